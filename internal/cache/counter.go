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
// its span; one left alone for so long is full again and need not be kept.
func newCounters(maxBytes uint64) *ttlcache.Cache[counterKey, *counter] {
	return ttlcache.New(ttlcache.WithMaxCost(maxBytes, func(item ttlcache.CostItem[counterKey, *counter]) uint64 {
		return size(item.Key.key, nil)
	}))
}

// errLimit is a fault of the caller: nothing would ever be allowed.
var errLimit = errors.New("cache: limit and span must be positive")

// Allow implements Cache.
func (m *Memory) Allow(ctx context.Context, key string, limit int, span time.Duration) (bool, time.Duration, error) {
	if err := m.usable(ctx); err != nil {
		return false, 0, err
	}
	if limit <= 0 || span <= 0 {
		return false, 0, errLimit
	}
	item, _ := m.counters.GetOrSetFunc(
		counterKey{key, limit, span},
		func() *counter { return rate.NewLimiter(rate.Limit(float64(limit)/span.Seconds()), limit) },
		ttlcache.WithTTL[counterKey, *counter](span),
	)
	now := time.Now()
	if item.Value().AllowN(now, 1) {
		return true, 0, nil
	}
	return false, untilNext(item.Value(), now), nil
}

// untilNext returns how long it takes until the bucket holds a whole token. It is
// rounded up to the millisecond, so that whoever waits that long is not refused
// again for a rounding error.
func untilNext(c *counter, now time.Time) time.Duration {
	missing := 1 - c.TokensAt(now)
	wait := time.Duration(missing / float64(c.Limit()) * float64(time.Second))
	return wait.Truncate(time.Millisecond) + time.Millisecond
}
