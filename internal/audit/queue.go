package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Sizes and times of a Queue.
const (
	queueSize = 10_000 // events: some MiB; minutes of a server with a hundred a second
	batchSize = 500    // events in one transaction
	// gatherFor is how long the first event of a batch waits for company: twenty
	// transactions a second are few enough for SQLite's one writer.
	gatherFor = 50 * time.Millisecond
	// roomFor is how long Record waits for room. What it describes was decided before,
	// and is not true for much longer: a grant may end meanwhile (R26).
	roomFor = time.Second
	// tryFor bounds one try to keep a batch.
	tryFor     = 10 * time.Second
	firstPause = 100 * time.Millisecond // between tries; doubled each time up to longestPause
	// longestPause is short beside the time in which the queue fills.
	longestPause = 5 * time.Second
)

var (
	errClosed = errors.New("audit: queue is closed")
	errFull   = errors.New("audit: queue is full")
	// errNoTime is told at once: no database keeps an event without a time, so it would
	// be tried for ever, and everything behind it would wait.
	errNoTime = errors.New("audit: event has no time")
)

// Queue is a Log that takes events without waiting for the database: they are kept a
// moment later, many in one transaction, in the order in which they came. While they
// cannot be kept they wait; nothing of them is lost but with the process. When too many
// wait, Record waits too. An event may be kept twice if the database kept it and its
// answer got lost. Make one with NewQueue, and Close it. It is safe for use by many
// goroutines.
type Queue struct {
	keep func(context.Context, []Event) error
	log  *slog.Logger

	room    chan struct{} // has as many elements as events wait
	arrived chan struct{} // says that there is work
	closing chan struct{} // closed by Close
	hurry   chan struct{} // ends one pause
	ended   chan struct{} // closed when the writer has ended
	cut     context.CancelFunc

	mu      sync.Mutex
	closed  bool
	waiting []Event       // the oldest first; those that are being kept are among them
	emptied chan struct{} // closed when nothing waits any more; nil if nobody asked
}

// NewQueue starts a queue. keep keeps all events that it is given, in their order, or
// none, and ends when its context does; it is called by one goroutine alone. Its errors are
// logged, once for each outage.
func NewQueue(keep func(ctx context.Context, events []Event) error, log *slog.Logger) *Queue {
	ctx, cut := context.WithCancel(context.Background())
	q := &Queue{
		keep: keep, log: log, cut: cut,
		room: make(chan struct{}, queueSize), arrived: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		closing: make(chan struct{}), ended: make(chan struct{}),
	}
	go q.write(ctx)
	return q
}

// Record takes an event. When the queue is full it waits for room, a second at most and
// not longer than ctx; an error means that the event was not taken, and what it
// describes must not go on.
func (q *Queue) Record(ctx context.Context, e Event) error {
	if e.At.IsZero() {
		return errNoTime
	}
	if err := q.reserve(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		<-q.room
		return errClosed
	}
	q.waiting = append(q.waiting, e)
	say(q.arrived)
	return nil
}

// reserve finds room for one event.
func (q *Queue) reserve(ctx context.Context) error {
	select {
	case q.room <- struct{}{}:
		return nil
	default:
	}
	full := time.NewTimer(roomFor)
	defer full.Stop()
	select {
	case q.room <- struct{}{}:
		return nil
	case <-q.closing:
		return errClosed
	case <-full.C:
		return errFull
	case <-ctx.Done():
		return fmt.Errorf("wait for room in the audit queue: %w", ctx.Err())
	}
}

// Depth returns how many events wait to be kept.
func (q *Queue) Depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// Oldest returns when the event happened that waits longest; zero if none waits.
func (q *Queue) Oldest() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return time.Time{}
	}
	return q.waiting[0].At
}

// Flush returns when nothing waits any more, or with the error of ctx.
func (q *Queue) Flush(ctx context.Context) error {
	q.mu.Lock()
	if len(q.waiting) == 0 {
		q.mu.Unlock()
		return nil
	}
	if q.emptied == nil {
		q.emptied = make(chan struct{})
	}
	emptied := q.emptied
	q.mu.Unlock()
	say(q.hurry)
	select {
	case <-emptied:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the audit queue: %w", ctx.Err())
	}
}

// Close takes no more events and returns when those that wait are kept, or ctx has ended.
// The error says how many were lost: their only trace, so log it. A second Close does nothing.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	close(q.closing)
	q.mu.Unlock()
	say(q.hurry)
	select {
	case <-q.ended:
	case <-ctx.Done():
	}
	q.cut()
	<-q.ended
	if lost := q.Depth(); lost > 0 {
		return fmt.Errorf("audit: %d events were lost: they could not be kept before the end: %w", lost, context.Cause(ctx))
	}
	return nil
}

// write keeps what waits until the queue is closed and empty, or cut.
func (q *Queue) write(ctx context.Context) {
	defer close(q.ended)
	for q.gather() {
		batch := q.next()
		if !q.insist(ctx, batch) {
			return
		}
		q.done(len(batch))
	}
}

// gather waits until there is a batch worth a transaction. It returns false when the
// queue is closed and empty.
func (q *Queue) gather() bool {
	for q.Depth() == 0 {
		select {
		case <-q.arrived: // perhaps word of an event that the batch before took along
		case <-q.closing:
			return q.Depth() > 0
		}
	}
	gathered := time.NewTimer(gatherFor)
	defer gathered.Stop()
	for q.Depth() < batchSize {
		select {
		case <-q.arrived:
		case <-gathered.C:
			return true
		case <-q.closing:
			return true
		}
	}
	return true
}

// next returns the oldest events, which stay in the queue.
func (q *Queue) next() []Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.waiting[:min(batchSize, len(q.waiting))])
}

// done takes the oldest n events out and makes room for as many.
func (q *Queue) done(n int) {
	q.mu.Lock()
	q.waiting = q.waiting[n:]
	if len(q.waiting) == 0 && q.emptied != nil {
		close(q.emptied)
		q.emptied = nil
	}
	q.mu.Unlock()
	for range n {
		<-q.room
	}
}

// insist tries to keep a batch until that succeeds, or returns false when ctx ends.
func (q *Queue) insist(ctx context.Context, batch []Event) bool {
	var failing time.Time // since when; zero while it goes well
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := q.try(ctx, batch)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return false
		}
		if failing.IsZero() {
			failing = time.Now()
			q.log.ErrorContext(ctx, "audit: events cannot be kept and wait", "waiting", q.Depth(), "err", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-q.hurry:
		case <-time.After(pause):
		}
	}
	if !failing.IsZero() {
		q.log.InfoContext(ctx, "audit: events are kept again", "waiting", q.Depth(), "after", time.Since(failing).Round(time.Second))
	}
	return true
}

func (q *Queue) try(ctx context.Context, batch []Event) error {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	return q.keep(ctx, batch)
}

// say leaves word, unless it has been left already.
func say(word chan<- struct{}) {
	select {
	case word <- struct{}{}:
	default:
	}
}
