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
	}
}
