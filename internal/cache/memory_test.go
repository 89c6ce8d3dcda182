package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"signpost/internal/cache"
	"signpost/internal/cache/cachetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, func(t *testing.T, run cachetest.Case) {
		bubble(t, 1000, func(t *testing.T, m *cache.Memory) { run(t, m, time.Sleep) })
	})
}

// bubble runs a test with a cache whose time is fake: time.Sleep returns at once.
func bubble(t *testing.T, maxEntries int, test func(t *testing.T, m *cache.Memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := cache.NewMemory(maxEntries)
		t.Cleanup(m.Close)
		test(t, m)
	})
}

func add(t *testing.T, m *cache.Memory, key string, ttl time.Duration) {
	t.Helper()
	if won, err := m.Add(t.Context(), key, []byte(key), ttl); !won || err != nil {
		t.Fatalf("Add(%q): got %v, %v, want true", key, won, err)
	}
}

func has(t *testing.T, m *cache.Memory, key string) bool {
	t.Helper()
	_, found, err := m.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get(%q): %v", key, err)
	}
	return found
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	bubble(t, 10, func(t *testing.T, m *cache.Memory) {
		for i := range 100 {
			add(t, m, fmt.Sprint(i), time.Hour)
		}
		for i := range 100 {
			if got, want := has(t, m, fmt.Sprint(i)), i >= 90; got != want {
				t.Errorf("key %d of 100 in a cache of 10: found %v, want %v", i, got, want)
			}
		}
	})
}

func TestMemoryExpiredEntriesMakeRoomFirst(t *testing.T) {
	t.Parallel()
	bubble(t, 10, func(t *testing.T, m *cache.Memory) {
		add(t, m, "wanted", time.Hour)
		for i := range 9 {
			add(t, m, fmt.Sprint("brief ", i), 10*time.Second)
		}
		time.Sleep(12 * time.Second)
		for i := range 9 {
			add(t, m, fmt.Sprint("next ", i), time.Hour)
		}
		if !has(t, m, "wanted") {
			t.Error("a living entry was pushed out while expired ones were there")
		}
	})
}

func TestMemoryCountersAreBoundedApartFromValues(t *testing.T) {
	t.Parallel()
	bubble(t, 10, func(t *testing.T, m *cache.Memory) {
		add(t, m, "value", time.Hour)
		for i := range 100 {
			if ok, _, err := m.Allow(t.Context(), fmt.Sprint(i), 1, time.Hour); !ok || err != nil {
				t.Fatalf("Allow(%d): got %v, %v, want true", i, ok, err)
			}
		}
		if !has(t, m, "value") {
			t.Error("counters pushed out a value")
		}
		if ok, _, err := m.Allow(t.Context(), "99", 1, time.Hour); ok || err != nil {
			t.Errorf("Allow of the newest counter: got %v, %v, want it still counted", ok, err)
		}
		if ok, _, err := m.Allow(t.Context(), "0", 1, time.Hour); !ok || err != nil {
			t.Errorf("Allow of the oldest counter: got %v, %v, want it forgotten: the cache holds 10", ok, err)
		}
	})
}

func TestMemoryChangedLimitCountsAnew(t *testing.T) {
	t.Parallel()
	bubble(t, 10, func(t *testing.T, m *cache.Memory) {
		for _, limit := range []int{1, 2} {
			for i := range limit {
				if ok, _, err := m.Allow(t.Context(), "key", limit, time.Hour); !ok || err != nil {
					t.Errorf("limit %d, event %d: got %v, %v, want true", limit, i+1, ok, err)
				}
			}
		}
	})
}

func TestMemoryClose(t *testing.T) {
	t.Parallel()
	bubble(t, 10, func(t *testing.T, m *cache.Memory) {
		messages, stop, err := m.Subscribe(t.Context(), "bell")
		if err != nil {
			t.Fatal(err)
		}
		m.Close()
		m.Close()
		if _, open := <-messages; open {
			t.Error("the subscription outlived the cache")
		}
		stop()
		ctx := t.Context()
		for name, call := range map[string]func() error{
			"Get":       func() error { _, _, err := m.Get(ctx, "key"); return err },
			"Set":       func() error { return m.Set(ctx, "key", nil, time.Minute) },
			"Delete":    func() error { return m.Delete(ctx, "key") },
			"Take":      func() error { _, _, err := m.Take(ctx, "key"); return err },
			"Add":       func() error { _, err := m.Add(ctx, "key", nil, time.Minute); return err },
			"Allow":     func() error { _, _, err := m.Allow(ctx, "key", 1, time.Minute); return err },
			"Publish":   func() error { return m.Publish(ctx, "bell", nil) },
			"Subscribe": func() error { _, _, err := m.Subscribe(ctx, "bell"); return err },
		} {
			if err := call(); !errors.Is(err, cache.ErrUnavailable) {
				t.Errorf("%s after Close: got %v, want ErrUnavailable", name, err)
			}
		}
	})
}

// TestMemoryCloseWhilePublishing would panic if a message were sent to a closed channel.
func TestMemoryCloseWhilePublishing(t *testing.T) {
	t.Parallel()
	for range 50 {
		bubble(t, 10, func(t *testing.T, m *cache.Memory) {
			ctx, cancel := context.WithCancel(t.Context())
			for range 4 {
				if _, _, err := m.Subscribe(ctx, "bell"); err != nil {
					t.Fatal(err)
				}
				go func() {
					for m.Publish(t.Context(), "bell", []byte("ring")) == nil {
					}
				}()
			}
			cancel()
			m.Close()
			synctest.Wait()
			if err := m.Publish(t.Context(), "bell", nil); !errors.Is(err, cache.ErrUnavailable) {
				t.Errorf("Publish after Close: got %v, want ErrUnavailable", err)
			}
		})
	}
}

func TestNewMemoryWantsRoom(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, -1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewMemory(%d) did not panic", n)
				}
			}()
			cache.NewMemory(n)
		}()
	}
}
