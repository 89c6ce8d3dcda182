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
// by the bytes they take: when there are more, those unused for the longest time
// go first, as if they had expired. It must be closed.
type Memory struct {
	maxBytes uint64
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

// overhead is about how many bytes an entry takes besides key and value: the
// bookkeeping of ttlcache and of the allocator, or a counter. What strangers make
// it keep is mostly small, so without it the bound would be none.
const overhead = 512

// errSize means that a value would push out all others and still not fit.
var errSize = errors.New("cache: value is larger than the cache")

// errTTL is a fault of the caller: a value without an end would never leave Redis.
var errTTL = errors.New("cache: time to live must be positive")

// NewMemory makes an empty cache whose values take at most maxBytes of memory, and
// whose counters at most as much again. Keys count, and about 500 bytes for each
// entry. It panics if maxBytes is not positive.
func NewMemory(maxBytes int64) *Memory {
	if maxBytes <= 0 {
		panic("cache: NewMemory wants a positive number of bytes")
	}
	m := &Memory{
		maxBytes: uint64(maxBytes),
		values: ttlcache.New(
			ttlcache.WithMaxCost(uint64(maxBytes), func(item ttlcache.CostItem[string, []byte]) uint64 {
				return size(item.Key, item.Value)
			}),
			ttlcache.WithDisableTouchOnHit[string, []byte](), // reading must not lengthen a life
		),
		counters: newCounters(uint64(maxBytes)),
		closed:   make(chan struct{}),
	}
	m.swept.Go(m.sweep)
	return m
}

// size returns about how many bytes an entry takes.
func size(key string, value []byte) uint64 {
	return uint64(len(key) + len(value) + overhead)
}

// keepable refuses what can never be kept.
func (m *Memory) keepable(key string, value []byte, ttl time.Duration) error {
	switch {
	case ttl <= 0:
		return errTTL
	case size(key, value) > m.maxBytes:
		return errSize
	}
	return nil
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
	if err := m.keepable(key, value, ttl); err != nil {
		return err
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
	if err := m.keepable(key, value, ttl); err != nil {
		return false, err
	}
	_, found := m.values.GetOrSet(key, bytes.Clone(value), ttlcache.WithTTL[string, []byte](ttl))
	return !found, nil
}
