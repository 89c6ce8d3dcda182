package cache

import (
	"context"
	"errors"
	"time"

	"github.com/jellydator/ttlcache/v3"
	"golang.org/x/time/rate"
)

// counter is a token bucket: full it allows limit events at once, and it fills
// up evenly in one span. So a burst right after a quiet time and the steady flow
// behind it may come to twice the limit in the first span, never in a later one.
type counter = rate.Limiter

// counterKey keeps counters of different limits apart, so that a changed
// limit starts a counter of its own.
type counterKey struct {
	key   string
	limit int
	span  time.Duration
}

// newCounters makes the table of counters. Each use lengthens a counter's life by
// two spans; one left alone for so long owes nothing, is full again and need not be kept.
func newCounters(maxBytes uint64) *ttlcache.Cache[counterKey, *counter] {
	return ttlcache.New(ttlcache.WithMaxCost(maxBytes, func(item ttlcache.CostItem[counterKey, *counter]) uint64 {
		return size(item.Key.key, nil)
	}))
}

// errLimit is a fault of the caller: nothing would ever be allowed.
var errLimit = errors.New("cache: limit and span must be positive")

// errPassed is a fault of the caller: what passed cannot be taken back.
var errPassed = errors.New("cache: events that passed must not be negative")

// checkLimit is what every engine asks of who counts.
func checkLimit(passed, limit int, span time.Duration) error {
	switch {
	case limit <= 0 || span <= 0:
		return errLimit
	case passed < 0:
		return errPassed
	}
	return nil
}

// Allow implements Cache.
func (m *Memory) Allow(ctx context.Context, key string, limit int, span time.Duration) (bool, time.Duration, error) {
	ok, _, wait, err := m.AllowAfter(ctx, key, 0, limit, span)
	return ok, wait, err
}

// AllowAfter implements Cache.
func (m *Memory) AllowAfter(ctx context.Context, key string, passed, limit int, span time.Duration) (bool, int, time.Duration, error) {
	if err := m.usable(ctx); err != nil {
		return false, 0, 0, err
	}
	if err := checkLimit(passed, limit, span); err != nil {
		return false, 0, 0, err
	}
	item, _ := m.counters.GetOrSetFunc(
		counterKey{key, limit, span},
		func() *counter { return rate.NewLimiter(rate.Limit(float64(limit)/span.Seconds()), limit) },
		ttlcache.WithTTL[counterKey, *counter](2*span),
	)
	now, c := time.Now(), item.Value()
	owe(c, now, passed)
	if c.AllowN(now, 1) {
		return true, int(c.TokensAt(now)), 0, nil
	}
	return false, 0, untilNext(c, now), nil
}

// owe counts events whether there is room for them or not, until a whole burst is owed. No
// more than a burst can be counted at once.
func owe(c *counter, now time.Time, events int) {
	for events > 0 {
		part := min(events, c.Burst(), c.Burst()+int(c.TokensAt(now)))
		if part <= 0 {
			return
		}
		c.ReserveN(now, part)
		events -= part
	}
}

// untilNext returns how long it takes until the bucket holds a whole token. It is
// rounded up to the millisecond, so that whoever waits that long is not refused
// again for a rounding error.
func untilNext(c *counter, now time.Time) time.Duration {
	missing := 1 - c.TokensAt(now)
	wait := time.Duration(missing / float64(c.Limit()) * float64(time.Second))
	return wait.Truncate(time.Millisecond) + time.Millisecond
}
