package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"signpost/internal/cache"
)

// counting is a shared counter that answers as it is told.
type counting struct {
	cache.Cache
	ok   bool
	wait time.Duration
	err  error
}

func (c *counting) Allow(context.Context, string, int, time.Duration) (bool, time.Duration, error) {
	return c.ok, c.wait, c.err
}

func TestLimits(t *testing.T) {
	t.Parallel()
	local := cache.NewMemory(1 << 20)
	t.Cleanup(local.Close)
	shared := &counting{}
	limits := cache.Limits{Shared: shared, Local: local}
	allow := func(what string, wantOK, wantWait bool) {
		t.Helper()
		ok, wait, err := limits.Allow(t.Context(), "key", 2, time.Hour)
		if ok != wantOK || (wait > 0) != wantWait || err != nil {
			t.Errorf("%s: got %v, %v, %v, want %v, a wait: %v", what, ok, wait, err, wantOK, wantWait)
		}
	}

	*shared = counting{ok: true}
	for range 5 {
		allow("the shared counter allows", true, false)
	}
	*shared = counting{wait: time.Second}
	allow("the shared counter refuses", false, true)
	*shared = counting{err: fmt.Errorf("%w: allow: refused", cache.ErrUnavailable)}
	allow("without it, first event", true, false)
	allow("without it, second event", true, false)
	allow("without it, third event", false, true)
	*shared = counting{ok: true}
	allow("the shared counter is back", true, false)

	fault := errors.New("fault of the caller")
	*shared = counting{err: fault}
	if ok, _, err := limits.Allow(t.Context(), "other", 2, time.Hour); ok || !errors.Is(err, fault) {
		t.Errorf("another error: got %v, %v, want it as it is", ok, err)
	}
}

func TestLimitsWithoutRedis(t *testing.T) {
	t.Parallel()
	r, _ := openRedis(t, "redis://"+freeAddress(t), newGuard(t))
	local := cache.NewMemory(1 << 20)
	t.Cleanup(local.Close)
	limits := cache.Limits{Shared: r, Local: local}
	for i, want := range []bool{true, true, false} {
		if ok, _, err := limits.Allow(t.Context(), "key", 2, time.Hour); ok != want || err != nil {
			t.Errorf("event %d: got %v, %v, want %v", i+1, ok, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, _, err := limits.Allow(ctx, "new", 2, time.Hour); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: got %v, %v, want context.Canceled", ok, err)
	}
}
