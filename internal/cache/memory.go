package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jellydator/ttlcache/v3"
)

// Memory is the cache of a single process. Values and counters are bounded each
// by a number of entries: when there are more, those unused for the longest time
// go first, as if they had expired. It must be closed.
type Memory struct {
	values   *ttlcache.Cache[string, []byte]
	counters *ttlcache.Cache[counterKey, *counter]
	channels channels

	closing sync.Once
	closed  chan struct{}
	swept   sync.WaitGroup
}

var _ Cache = (*Memory)(nil)

// sweepEvery is how often expired entries make room, so that the bound seldom
// pushes out one that is still wanted.
const sweepEvery = time.Second

// errTTL is a fault of the caller: a value without an end would never leave Redis.
var errTTL = errors.New("cache: time to live must be positive")

// NewMemory makes an empty cache of at most maxEntries values and as many
// counters. It panics if maxEntries is not positive.
func NewMemory(maxEntries int) *Memory {
	if maxEntries <= 0 {
		panic("cache: NewMemory wants a positive number of entries")
	}
	m := &Memory{
		values: ttlcache.New(
			ttlcache.WithCapacity[string, []byte](uint64(maxEntries)),
			ttlcache.WithDisableTouchOnHit[string, []byte](), // reading must not lengthen a life
		),
		counters: newCounters(maxEntries),
		closed:   make(chan struct{}),
	}
	m.swept.Go(m.sweep)
	return m
}

// sweep replaces the cleaner of ttlcache, which cannot be stopped reliably
// right after it was started.
func (m *Memory) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.closed:
			return
		case <-tick.C:
			m.values.DeleteExpired()
			m.counters.DeleteExpired()
		}
	}
}

// Close ends all subscriptions and the goroutine of the cache. Every later call
// returns ErrUnavailable. Closing again does nothing.
func (m *Memory) Close() {
	m.closing.Do(func() {
		close(m.closed)
		m.swept.Wait()
		m.channels.end()
	})
}

// usable is the first question of every method.
func (m *Memory) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	select {
	case <-m.closed:
		return ErrUnavailable
	default:
		return nil
	}
}

// Get implements Cache.
func (m *Memory) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := m.usable(ctx); err != nil {
		return nil, false, err
	}
	item := m.values.Get(key)
	if item == nil {
		return nil, false, nil
	}
	return bytes.Clone(item.Value()), true, nil
}

// Set implements Cache.
func (m *Memory) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := m.usable(ctx); err != nil {
		return err
	}
	if ttl <= 0 {
		return errTTL
	}
	m.values.Set(key, bytes.Clone(value), ttl)
	return nil
}

// Delete implements Cache.
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := m.usable(ctx); err != nil {
		return err
	}
	m.values.Delete(key)
	return nil
}

// Take implements Cache.
func (m *Memory) Take(ctx context.Context, key string) ([]byte, bool, error) {
	if err := m.usable(ctx); err != nil {
		return nil, false, err
	}
	item, found := m.values.GetAndDelete(key)
	if !found {
		return nil, false, nil
	}
	return item.Value(), true, nil // the cache has let go of it: no copy needed
}

// Add implements Cache.
func (m *Memory) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := m.usable(ctx); err != nil {
		return false, err
	}
	if ttl <= 0 {
		return false, errTTL
	}
	_, found := m.values.GetOrSet(key, bytes.Clone(value), ttlcache.WithTTL[string, []byte](ttl))
	return !found, nil
}
