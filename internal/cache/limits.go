package cache

import (
	"context"
	"errors"
	"time"
)

// Limits counts in Shared, and in Local while Shared is unavailable: a limit must
// not vanish with Redis. Then each process counts for itself, from nothing, so that
// several together may let through as many times the limit as they are.
type Limits struct {
	Shared Cache
	Local  Cache // of this process: Memory
}

// Allow is Cache.Allow.
func (l Limits) Allow(ctx context.Context, key string, limit int, span time.Duration) (bool, time.Duration, error) {
	ok, wait, err := l.Shared.Allow(ctx, key, limit, span)
	if errors.Is(err, ErrUnavailable) {
		return l.Local.Allow(ctx, key, limit, span)
	}
	return ok, wait, err
}
