package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"signpost/internal/cache"
)

// told is a shared counter that can be away, and counts who asks it.
type told struct {
	cache.Cache

	mu   sync.Mutex
	err  error // what every call returns, if any
	news heard
}

// heard is what a shared counter was told.
type heard struct {
	calls   int
	passed  int // events
	allowed int // events that it allowed
}

func (c *told) Allow(ctx context.Context, key string, limit int, span time.Duration) (bool, time.Duration, error) {
	if err := c.call(); err != nil {
		return false, 0, err
	}
	return c.Cache.Allow(ctx, key, limit, span)
}

func (c *told) AllowAfter(ctx context.Context, key string, passed, limit int, span time.Duration) (bool, int, time.Duration, error) {
	if err := c.call(); err != nil {
		return false, 0, 0, err
	}
	ok, left, wait, err := c.Cache.AllowAfter(ctx, key, passed, limit, span)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.news.passed += passed; ok {
		c.news.allowed++
	}
	return ok, left, wait, err
}

func (c *told) call() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.news.calls++
	return c.err
}

func (c *told) heard() heard {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.news
}

// answer makes every call return an error, or none.
func (c *told) answer(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// errAway is the error of a counter that does not answer.
var errAway = fmt.Errorf("%w: allow: refused", cache.ErrUnavailable)

// replicas are processes at one counter, in a bubble where only the test lets time pass.
type replicas struct {
	*testing.T
	shared *told
	all    []*cache.Limits
}

// withReplicas runs a test with some processes. Their goroutines must end with it, or the
// bubble does not.
func withReplicas(t *testing.T, number int, test func(r replicas)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		memory := func() *cache.Memory {
			m := cache.NewMemory(1 << 20)
			t.Cleanup(m.Close)
			return m
		}
		r := replicas{T: t, shared: &told{Cache: memory()}}
		for range number {
			l := cache.NewLimits(r.shared, memory())
			t.Cleanup(l.Close)
			r.all = append(r.all, l)
		}
		test(r)
	})
}

// ask counts events at one process, until one is refused, and returns how many passed and the wait.
func (r replicas) ask(replica int, key string, limit, events int) (passed int, wait time.Duration) {
	r.Helper()
	for range events {
		ok, wait, err := r.all[replica].Allow(r.Context(), key, limit, time.Minute)
		if err != nil || ok != (wait == 0) {
			r.Fatalf("Allow(%q, %d): got %v, %v, %v", key, limit, ok, wait, err)
		}
		if !ok {
			return passed, wait
		}
		passed++
	}
	return passed, 0
}

// wait lets time pass.
func (r replicas) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestLimitsFarAwayCostNothing(t *testing.T) {
	t.Parallel()
	withReplicas(t, 1, func(r replicas) {
		if passed, _ := r.ask(0, "key", 1000, 40); passed != 40 || r.shared.heard().calls != 0 {
			r.Errorf("40 events at once: %d passed with %d calls, want all and none", passed, r.shared.heard().calls)
		}
		r.wait(time.Second)
		if r.shared.heard().calls != 1 || r.shared.heard().passed != 39 { // and one that it was asked for
			r.Errorf("a second later: %d calls told of %d, want one of 39", r.shared.heard().calls, r.shared.heard().passed)
		}
		r.wait(time.Hour)
		if r.shared.heard().calls != 1 {
			r.Errorf("an idle hour later: %d calls, want no more", r.shared.heard().calls)
		}
		for range 50 { // ten a second, as is allowed for ever
			r.ask(0, "key", 1000, 1)
			r.wait(100 * time.Millisecond)
		}
		if calls := r.shared.heard().calls - 1; calls > 51 {
			r.Errorf("50 events in five seconds: %d calls, want no more than events", calls)
		}
	})
}

// TestLimitsAreTheSameEverywhere: what passed at one process counts at the others.
func TestLimitsAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	withReplicas(t, 3, func(r replicas) {
		passed := 0
		for range 100 {
			for replica := range r.all {
				n, _ := r.ask(replica, "key", 100, 1)
				passed += n
			}
			synctest.Wait()
		}
		if passed < 100 || passed > 130 {
			r.Errorf("%d of 300 events at once passed, want 100 and at most 10 for each process", passed)
		}
		for replica := range r.all { // when all is paid back
			r.wait(time.Minute)
			n, _ := r.ask(replica, "key", 100, 1)
			passed += n
		}
		r.wait(time.Minute)
		if counted := r.shared.heard().passed + r.shared.heard().allowed; counted != passed {
			r.Errorf("the counter counted %d events, want the %d that passed", counted, passed)
		}
	})
}

// TestLimitsHoldInAnyTime: the bound that is promised, with everything that can pass at the worst
// moments.
func TestLimitsHoldInAnyTime(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{time.Millisecond, 70 * time.Millisecond, time.Second, 13 * time.Second} {
		t.Run(fmt.Sprint("pauses of ", pause), func(t *testing.T) {
			t.Parallel()
			const limit, number = 600, 4
			withReplicas(t, number, func(r replicas) {
				began, passed := time.Now(), 0
				for range 300 {
					for replica := range r.all {
						n, _ := r.ask(replica, "key", limit, 500)
						passed += n
					}
					most := limit + int(time.Since(began).Minutes()*limit) + number*limit/10
					if passed > most {
						t.Fatalf("after %v %d passed, want at most %d", time.Since(began), passed, most)
					}
					r.wait(pause)
				}
				if least := int(time.Since(began).Minutes() * limit); passed < min(least, 300*limit/2) {
					r.Errorf("after %v only %d passed, want what the limit allows: %d", time.Since(began), passed, least)
				}
			})
		})
	}
}

// TestLimitsRememberARefusal for as long as it was said to last, and no longer.
func TestLimitsRememberARefusal(t *testing.T) {
	t.Parallel()
	withReplicas(t, 2, func(r replicas) {
		first, wait := r.ask(0, "key", 100, 200)
		if first != 100 || wait <= 0 || wait > time.Second {
			t.Fatalf("%d passed, wait %v, want the limit and a wait of less than a second", first, wait)
		}
		calls := r.shared.heard().calls
		for range 100 {
			if passed, again := r.ask(0, "key", 100, 1); passed != 0 || again > wait {
				t.Fatalf("again: %d passed, wait %v, want a refusal of at most %v", passed, again, wait)
			}
		}
		if r.shared.heard().calls != calls {
			r.Errorf("%d calls for what was known", r.shared.heard().calls-calls)
		}
		r.wait(wait)
		if passed, _ := r.ask(0, "key", 100, 2); passed != 1 {
			r.Errorf("%d passed after the wait, want 1", passed)
		}
		if passed, _ := r.ask(0, "other", 100, 1); passed != 1 {
			r.Error("another key was refused")
		}
	})
}

// TestSmallLimitsAreExact: nobody gets one more guess for every process.
func TestSmallLimitsAreExact(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 5, 30} {
		withReplicas(t, 4, func(r replicas) {
			passed := 0
			for range 2 * limit {
				for replica := range r.all {
					n, _ := r.ask(replica, "key", limit, 1)
					passed += n
				}
			}
			if passed != limit || r.shared.heard().calls != 8*limit {
				r.Errorf("%d of %d passed with %d calls, want %d and one call for each", passed, 8*limit, r.shared.heard().calls, limit)
			}
		})
	}
}

func TestLimitsWhileTheCounterIsAway(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{2, 100} {
		withReplicas(t, 1, func(r replicas) {
			r.shared.answer(errAway)
			passed, wait := r.ask(0, "key", limit, 500)
			if passed < limit || passed > limit+limit/10 || wait == 0 {
				r.Errorf("away: %d of %d passed, wait %v, want the limit of this process and at most a tenth", passed, limit, wait)
			}
			r.wait(10 * time.Second) // it is told again and again, in vain
			r.shared.answer(nil)
			r.wait(time.Second)
			passed, _ = r.ask(0, "key", limit, 500)
			if want := limit - limit/10; passed < want || passed > want+limit/50 {
				r.Errorf("back: %d of %d passed, want those that were not told before to count", passed, limit)
			}
		})
	}
}

func TestLimitsPassErrorsOn(t *testing.T) {
	t.Parallel()
	withReplicas(t, 1, func(r replicas) {
		fault := errors.New("fault of the caller")
		r.shared.answer(fault)
		if ok, _, err := r.all[0].Allow(r.Context(), "key", 2, time.Hour); ok || !errors.Is(err, fault) {
			r.Errorf("a fault of the counter: got %v, %v, want it as it is", ok, err)
		}
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		if ok, _, err := r.all[0].Allow(ctx, "key", 100, time.Hour); ok || !errors.Is(err, context.Canceled) {
			r.Errorf("a context that has ended: got %v, %v, want context.Canceled", ok, err)
		}
		for _, a := range []struct {
			limit int
			span  time.Duration
		}{{0, time.Minute}, {-1, time.Minute}, {100, 0}} {
			if ok, _, err := r.all[0].Allow(r.Context(), "key", a.limit, a.span); ok || err == nil {
				r.Errorf("%d in %v: got %v, %v, want an error", a.limit, a.span, ok, err)
			}
		}
	})
}

// TestLimitsAreBounded: for strangers with many addresses no memory is kept without end, and
// their limits hold all the same.
func TestLimitsAreBounded(t *testing.T) {
	t.Parallel()
	withReplicas(t, 1, func(r replicas) {
		const many = 3 * cache.MaxTallies
		for n := range many {
			r.ask(0, fmt.Sprint("key ", n), 100, 1)
		}
		if held := r.all[0].Tallies(); held > cache.MaxTallies {
			r.Errorf("%d keys are held, want at most %d", held, cache.MaxTallies)
		}
		if passed, _ := r.ask(0, "one more", 100, 200); passed != 100 {
			r.Errorf("%d passed where nothing can be counted here, want 100", passed)
		}
		r.wait(time.Second)
		r.ask(0, "near", 100, 95)
		r.wait(time.Second)
		if held := r.all[0].Tallies(); held != 1 {
			r.Errorf("%d keys are held after all was told, want the one that is near its limit", held)
		}
		r.wait(time.Minute)
		r.ask(0, "key", 100, 1)
		r.wait(time.Second)
		if held := r.all[0].Tallies(); held > 0 {
			r.Errorf("%d keys are held when no limit is near, want none", held)
		}
	})
}

func TestLimitsTellAtTheEnd(t *testing.T) {
	t.Parallel()
	withReplicas(t, 1, func(r replicas) {
		r.ask(0, "key", 1000, 40)
		r.all[0].Close()
		r.all[0].Close() // twice does no harm
		if r.shared.heard().calls != 1 || r.shared.heard().passed != 39 {
			r.Errorf("%d calls told of %d, want one of 39", r.shared.heard().calls, r.shared.heard().passed)
		}
	})
}

func TestLimitsWithoutRedis(t *testing.T) {
	t.Parallel()
	r, _ := openRedis(t, "redis://"+freeAddress(t), newGuard(t))
	local := cache.NewMemory(1 << 20)
	t.Cleanup(local.Close)
	limits := cache.NewLimits(r, local)
	t.Cleanup(limits.Close)
	for i, want := range []bool{true, true, false} {
		if ok, _, err := limits.Allow(t.Context(), "key", 2, time.Hour); ok != want || err != nil {
			t.Errorf("event %d: got %v, %v, want %v", i+1, ok, err, want)
		}
	}
	passed := 0
	for range 300 {
		if ok, _, err := limits.Allow(t.Context(), "key", 100, time.Hour); ok {
			passed++
		} else if err != nil {
			t.Fatalf("a large limit: %v", err)
		}
	}
	if passed < 100 || passed > 110 {
		t.Errorf("%d passed of a large limit, want 100 and at most a tenth", passed)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, _, err := limits.Allow(ctx, "new", 2, time.Hour); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: got %v, %v, want context.Canceled", ok, err)
	}
}
