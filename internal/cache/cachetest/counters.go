package cachetest

import (
	"fmt"
	"testing"
	"time"

	"signpost/internal/cache"
)

// rounding is how much longer than needed an engine may make somebody wait.
const rounding = 10 * time.Millisecond

// wantAllowed fails unless the next n events are allowed at once.
func wantAllowed(t *testing.T, c cache.Cache, key string, limit int, span time.Duration, n int) {
	t.Helper()
	for i := range n {
		ok, wait, err := c.Allow(t.Context(), key, limit, span)
		if err != nil || !ok || wait != 0 {
			t.Fatalf("Allow(%q, %d, %v), event %d of %d: got %v, %v, %v, want it allowed without waiting", key, limit, span, i+1, n, ok, wait, err)
		}
	}
}

// wantRefused fails unless the next event is refused, and returns the wait. It
// may be rounded up a little, so that whoever waits that long is not refused again.
func wantRefused(t *testing.T, c cache.Cache, key string, limit int, span time.Duration) time.Duration {
	t.Helper()
	ok, wait, err := c.Allow(t.Context(), key, limit, span)
	if err != nil || ok || wait <= 0 || wait > span+rounding {
		t.Fatalf("Allow(%q, %d, %v): got %v, %v, %v, want a refusal and a wait of at most the span", key, limit, span, ok, wait, err)
	}
	return wait
}

func allowBurst(t *testing.T, c cache.Cache, advance func(time.Duration)) {
	for _, limit := range []int{1, 2, 3, 7, 60} {
		key := fmt.Sprint("key ", limit)
		wantAllowed(t, c, key, limit, time.Minute, limit)
		wait := wantRefused(t, c, key, limit, time.Minute)
		again := wantRefused(t, c, key, limit, time.Minute)
		if again > wait {
			t.Errorf("limit %d: a refusal lengthened the wait from %v to %v", limit, wait, again)
		}
		advance(wait)
		wantAllowed(t, c, key, limit, time.Minute, 1)
		wantRefused(t, c, key, limit, time.Minute)
	}
}

// allowRefills also proves that a counter is not forgotten too early: after half
// a span only half of the events are back.
func allowRefills(t *testing.T, c cache.Cache, advance func(time.Duration)) {
	wantAllowed(t, c, "key", 10, time.Minute, 10)
	wantRefused(t, c, "key", 10, time.Minute)
	advance(31 * time.Second)
	wantAllowed(t, c, "key", 10, time.Minute, 5)
	wantRefused(t, c, "key", 10, time.Minute)
	advance(61 * time.Second)
	wantAllowed(t, c, "key", 10, time.Minute, 10)
	wantRefused(t, c, "key", 10, time.Minute)
	advance(time.Hour) // a long rest saves nothing up
	wantAllowed(t, c, "key", 10, time.Minute, 10)
	wantRefused(t, c, "key", 10, time.Minute)
}

func allowKeysApart(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	for _, key := range []string{"", "a", "a:", "ab", "A"} {
		wantAllowed(t, c, key, 2, time.Minute, 2)
		wantRefused(t, c, key, 2, time.Minute)
	}
}

func allowAndValues(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	set(t, c, "key", "value", time.Minute)
	wantAllowed(t, c, "key", 1, time.Minute, 1)
	wantValue(t, c, "key", "value")
	if err := c.Delete(t.Context(), "key"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	wantRefused(t, c, "key", 1, time.Minute)
	wantNothing(t, c, "key")
}

func allowRacers(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	const limit = racers / 4
	wins := race(t, func(int) (bool, error) {
		ok, _, err := c.Allow(t.Context(), "key", limit, time.Hour)
		return ok, err
	})
	if wins != limit {
		t.Errorf("%d of %d racers were allowed, want %d", wins, racers, limit)
	}
}

func allowArguments(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	for _, a := range []struct {
		limit int
		span  time.Duration
	}{{0, time.Minute}, {-1, time.Minute}, {1, 0}, {1, -time.Second}} {
		ok, _, err := c.Allow(t.Context(), "key", a.limit, a.span)
		wantFault(t, fmt.Sprintf("Allow %d in %v", a.limit, a.span), err)
		if ok {
			t.Errorf("Allow %d in %v: allowed", a.limit, a.span)
		}
		ok, _, _, err = c.AllowAfter(t.Context(), "key", 0, a.limit, a.span)
		wantFault(t, fmt.Sprintf("AllowAfter %d in %v", a.limit, a.span), err)
		if ok {
			t.Errorf("AllowAfter %d in %v: allowed", a.limit, a.span)
		}
	}
	_, _, _, err := c.AllowAfter(t.Context(), "key", -1, 10, time.Minute)
	wantFault(t, "AllowAfter fewer than none", err)
}

// after calls AllowAfter for a limit of ten a minute.
func after(t *testing.T, c cache.Cache, passed int) (ok bool, left int, wait time.Duration) {
	t.Helper()
	ok, left, wait, err := c.AllowAfter(t.Context(), "key", passed, 10, time.Minute)
	if err != nil {
		t.Fatalf("AllowAfter(%d): %v", passed, err)
	}
	if ok != (wait == 0) || left > 0 && !ok {
		t.Errorf("AllowAfter(%d): got %v, %d left, wait %v, which cannot be", passed, ok, left, wait)
	}
	return ok, left, wait
}

// step is how long ten a minute take for one.
const step = 6 * time.Second

func allowAfter(t *testing.T, c cache.Cache, advance func(time.Duration)) {
	for i, a := range []struct {
		passed int
		ok     bool
		left   int
	}{{0, true, 9}, {4, true, 4}, {1, true, 2}, {2, false, 0}, {0, false, 0}} {
		if ok, left, _ := after(t, c, a.passed); ok != a.ok || left != a.left {
			t.Errorf("call %d after %d: got %v, %d left, want %v, %d", i+1, a.passed, ok, left, a.ok, a.left)
		}
	}
	advance(step)
	if ok, left, _ := after(t, c, 0); !ok || left != 0 {
		t.Errorf("a step later: got %v, %d left, want the one that there is room for", ok, left)
	}
	advance(5*step + step/2)
	if ok, left, _ := after(t, c, 1); !ok || left != 3 {
		t.Errorf("five steps later, after one: got %v, %d left, want it allowed, 3 left", ok, left)
	}
}

func allowAfterDebt(t *testing.T, c cache.Cache, advance func(time.Duration)) {
	ok, _, wait := after(t, c, 15)
	if ok || wait <= 5*step || wait > 6*step+time.Second {
		t.Errorf("after 15 of 10: got %v, wait %v, want it refused for six steps", ok, wait)
	}
	advance(5*step + step/2)
	if ok, _, wait := after(t, c, 0); ok || wait > step {
		t.Errorf("before it is paid back: got %v, wait %v, want a refusal for less than a step", ok, wait)
	}
	advance(step)
	if ok, left, _ := after(t, c, 0); !ok || left != 0 {
		t.Errorf("when it is paid back: got %v, %d left, want one", ok, left)
	}
}

func allowAfterMostDebt(t *testing.T, c cache.Cache, advance func(time.Duration)) {
	for range 3 {
		ok, _, wait := after(t, c, 1_000_000)
		if ok || wait <= 10*step || wait > 11*step+time.Second {
			t.Errorf("after a million: got %v, wait %v, want it refused for eleven steps", ok, wait)
		}
	}
	advance(11*step + step/2)
	if ok, _, _ := after(t, c, 0); !ok {
		t.Error("eleven steps later it is still refused")
	}
}
