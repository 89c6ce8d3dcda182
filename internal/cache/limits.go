package cache

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// exactLimit is the largest limit that is asked of the shared counter each time: such
	// small ones stand between somebody and what they try to guess.
	exactLimit = 30
	// shareOf is which part of a limit a process may let through before it has told the
	// shared counter, and nearShares how many such shares must be left for it to do so.
	shareOf    = 10
	nearShares = 2
	// tellEvery is how long what was let through may stay untold, while Redis is there.
	tellEvery = 100 * time.Millisecond
	// maxTallies bounds how many keys a process counts itself; the counter is asked about others.
	maxTallies = 10_000
	// tellFor is how long telling may take at the end.
	tellFor = time.Second
)

// counters is what counts. Every Cache does.
type counters interface {
	Allow(ctx context.Context, key string, limit int, span time.Duration) (ok bool, wait time.Duration, err error)
	AllowAfter(ctx context.Context, key string, passed, limit int, span time.Duration) (ok bool, left int, wait time.Duration, err error)
}

// Limits counts events for several processes at a shared counter, without waiting for
// it where that can be helped.
//
// A limit of at most 30 events is exact: the counter is asked about each. Of a larger one a process
// lets through a tenth by itself and tells the counter in the background, after
// 100 ms at the latest. When the counter then says that less than two tenths are
// left, it is asked about each event until more must be left again; and when it says
// no, that holds for as long as it said. What was let through counts even if there was no room
// for it, and is paid back. So in any time the processes together let through no more
// than the limit allows for that time, and a tenth of it for each process.
//
// While the shared counter is unavailable each process counts at a local one, from
// nothing: a limit must not vanish with Redis. Then several together may let through as many
// times the limit as they are.
type Limits struct {
	shared, local counters

	mu      sync.Mutex
	tallies map[counterKey]*tally

	some    chan struct{} // something is untold
	much    chan struct{} // enough to tell it now
	closing sync.Once
	closed  chan struct{}
	told    sync.WaitGroup
}

// tally is what a process knows about a counter. There is none for one that is far from its
// limit and was told everything.
type tally struct {
	untold int       // events that were let through
	onWay  int       // and those that the counter is being told
	near   time.Time // until then little is left: ask about each event
	no     time.Time // until then nothing is left
}

// NewLimits makes limits of a counter that all processes share and one of this
// process. Close it before them.
func NewLimits(shared, local counters) *Limits {
	l := &Limits{
		shared: shared, local: local, tallies: map[counterKey]*tally{},
		some: make(chan struct{}, 1), much: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	l.told.Go(l.tell)
	return l
}

// Close tells the shared counter what it was not told yet. Closing again does nothing.
func (l *Limits) Close() {
	l.closing.Do(func() {
		close(l.closed)
		l.told.Wait()
	})
}

// Allow is Cache.Allow, but for what Limits says about large limits.
func (l *Limits) Allow(ctx context.Context, key string, limit int, span time.Duration) (bool, time.Duration, error) {
	if err := checkLimit(0, limit, span); err != nil {
		return false, 0, err
	}
	if limit <= exactLimit {
		ok, wait, err := l.shared.Allow(ctx, key, limit, span)
		return l.orLocal(ctx, counterKey{key, limit, span}, ok, wait, err)
	}
	if err := ctx.Err(); err != nil {
		return false, 0, err
	}
	k := counterKey{key, limit, span}
	known, ok, wait, untold := l.decide(k, time.Now())
	if known {
		return ok, wait, nil
	}
	ok, left, wait, err := l.shared.AllowAfter(ctx, key, untold, limit, span)
	back := 0
	if err != nil {
		back = untold
	}
	l.learn(k, untold, back, answer{ok, left, wait, err})
	return l.orLocal(ctx, k, ok, wait, err)
}

// orLocal counts an event at the local counter if the shared one could not.
func (l *Limits) orLocal(ctx context.Context, k counterKey, ok bool, wait time.Duration, err error) (bool, time.Duration, error) {
	if errors.Is(err, ErrUnavailable) {
		return l.local.Allow(ctx, k.key, k.limit, k.span)
	}
	return ok, wait, err
}

// share is how many events a process may let through by itself.
func (k counterKey) share() int { return k.limit / shareOf }

// decide answers from what is known here. Otherwise it returns what the counter is to be
// told with the question.
func (l *Limits) decide(k counterKey, now time.Time) (known, ok bool, wait time.Duration, untold int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tallies[k]
	if t == nil {
		if len(l.tallies) >= maxTallies {
			return false, false, 0, 0
		}
		t = &tally{}
		l.tallies[k] = t
	}
	switch {
	case now.Before(t.no):
		return true, false, t.no.Sub(now), 0
	case now.Before(t.near), t.untold+t.onWay >= k.share():
		untold, t.untold = t.untold, 0
		t.onWay += untold
		return false, false, 0, untold
	}
	t.untold++
	ring(l.some)
	if t.untold >= (k.share()+1)/2 {
		ring(l.much) // before the share is used up and somebody has to wait
	}
	return true, true, 0, 0
}

// answer is what the shared counter said.
type answer struct {
	ok   bool
	left int
	wait time.Duration
	err  error
}

// learn keeps what the counter said after it was told of some events. Those it did not count
// come back.
func (l *Limits) learn(k counterKey, told, back int, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tallies[k]
	if t == nil { // there was no room for it, or the counter had plenty left a moment ago
		return
	}
	t.onWay -= told
	if t.untold += back; back > 0 {
		ring(l.some)
	}
	if a.err != nil {
		return
	}
	now := time.Now()
	step := k.span / time.Duration(k.limit)
	t.near, t.no = time.Time{}, time.Time{}
	if missing := nearShares*k.share() - a.left; missing > 0 {
		t.near = now.Add(a.wait + time.Duration(missing)*step)
	}
	if !a.ok {
		t.no = now.Add(a.wait)
	}
	if t.needless(now) {
		delete(l.tallies, k)
	}
}

// needless reports whether nothing would be lost with a tally.
func (t *tally) needless(now time.Time) bool {
	return t.untold+t.onWay == 0 && !now.Before(t.near) && !now.Before(t.no)
}

// ring wakes whoever waits at a bell, or whoever does so next.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // it has rung
	}
}

// tell tells the shared counter what was let through, until Close.
func (l *Limits) tell() {
	for l.gather() {
		l.tellAll(context.Background())
	}
	ctx, cancel := context.WithTimeout(context.Background(), tellFor)
	defer cancel()
	l.tellAll(ctx)
}

// gather waits until there is enough to tell. It reports false after Close.
func (l *Limits) gather() bool {
	select {
	case <-l.some:
	case <-l.closed:
		return false
	}
	timer := time.NewTimer(tellEvery)
	defer timer.Stop()
	select {
	case <-l.much:
		return true
	case <-timer.C:
		return true
	case <-l.closed:
		return false
	}
}

// tellAll tells of every key once.
func (l *Limits) tellAll(ctx context.Context) {
	for k, untold := range l.takeUntold() {
		// The last of them is asked for, so that the answer says whether there was room. If
		// there was not, it was not counted, and is to be told again.
		ok, left, wait, err := l.shared.AllowAfter(ctx, k.key, untold-1, k.limit, k.span)
		back := 0
		switch {
		case err != nil:
			back = untold
		case !ok:
			back = 1
		}
		l.learn(k, untold, back, answer{ok, left, wait, err})
	}
}

// takeUntold is what there is to tell, on its way now. Where nothing is left anyway it can wait until
// somebody asks again. Tallies that are needless go.
func (l *Limits) takeUntold() map[counterKey]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	all := map[counterKey]int{}
	for k, t := range l.tallies {
		switch {
		case now.Before(t.no):
		case t.untold > 0:
			all[k] = t.untold
			t.onWay += t.untold
			t.untold = 0
		case t.needless(now):
			delete(l.tallies, k)
		}
	}
	return all
}
