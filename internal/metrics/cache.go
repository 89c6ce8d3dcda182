package metrics

import (
	"context"
	"time"
)

// CacheEngine is what internal/cache.Cache does; its comments are the contract.
type CacheEngine interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Delete(ctx context.Context, key string) error
	Take(ctx context.Context, key string) (value []byte, found bool, err error)
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (won bool, err error)
	Allow(ctx context.Context, key string, limit int, span time.Duration) (ok bool, wait time.Duration, err error)
	AllowAfter(ctx context.Context, key string, passed, limit int, span time.Duration) (ok bool, left int, wait time.Duration, err error)
	Publish(ctx context.Context, channel string, message []byte) error
	Subscribe(ctx context.Context, channel string) (messages <-chan []byte, stop func(), err error)
}

// ObservedCache times every call of a cache and counts what its readers find. name is
// what the metrics call it.
func (m *Metrics) ObservedCache(name string, next CacheEngine) CacheEngine {
	return observedCache{next, m, name}
}

type observedCache struct {
	CacheEngine
	m    *Metrics
	name string
}

func (c observedCache) ended(ctx context.Context, operation string, start time.Time, err *error) {
	c.m.Call(ctx, Cache, operation, start, *err)
}

func (c observedCache) looked(found bool, err error) {
	switch {
	case err != nil:
		c.m.Lookup(c.name, Fail)
	case found:
		c.m.Lookup(c.name, Hit)
	default:
		c.m.Lookup(c.name, Miss)
	}
}

func (c observedCache) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	defer c.ended(ctx, "get", time.Now(), &err)
	value, found, err = c.CacheEngine.Get(ctx, key)
	c.looked(found, err)
	return value, found, err
}

func (c observedCache) Take(ctx context.Context, key string) (value []byte, found bool, err error) {
	defer c.ended(ctx, "take", time.Now(), &err)
	value, found, err = c.CacheEngine.Take(ctx, key)
	c.looked(found, err)
	return value, found, err
}

func (c observedCache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) (err error) {
	defer c.ended(ctx, "set", time.Now(), &err)
	return c.CacheEngine.Set(ctx, key, value, ttl)
}

func (c observedCache) Delete(ctx context.Context, key string) (err error) {
	defer c.ended(ctx, "delete", time.Now(), &err)
	return c.CacheEngine.Delete(ctx, key)
}

func (c observedCache) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (won bool, err error) {
	defer c.ended(ctx, "add", time.Now(), &err)
	return c.CacheEngine.Add(ctx, key, value, ttl)
}

func (c observedCache) Allow(ctx context.Context, key string, limit int, span time.Duration) (allowed bool, wait time.Duration, err error) {
	defer c.ended(ctx, "allow", time.Now(), &err)
	return c.CacheEngine.Allow(ctx, key, limit, span)
}

func (c observedCache) AllowAfter(ctx context.Context, key string, passed, limit int, span time.Duration) (allowed bool, left int, wait time.Duration, err error) {
	defer c.ended(ctx, "allow_after", time.Now(), &err)
	return c.CacheEngine.AllowAfter(ctx, key, passed, limit, span)
}

func (c observedCache) Publish(ctx context.Context, channel string, message []byte) (err error) {
	defer c.ended(ctx, "publish", time.Now(), &err)
	return c.CacheEngine.Publish(ctx, channel, message)
}

// Subscribe is timed until the subscription stands, not until it ends.
func (c observedCache) Subscribe(ctx context.Context, channel string) (messages <-chan []byte, stop func(), err error) {
	defer c.ended(ctx, "subscribe", time.Now(), &err)
	return c.CacheEngine.Subscribe(ctx, channel)
}
