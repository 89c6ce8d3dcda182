package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signpost/internal/cache"
	"signpost/internal/cache/cachetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, func(t *testing.T, run cachetest.Case) {
		bubble(t, 1<<20, func(t *testing.T, m *cache.Memory) { run(t, m, time.Sleep) })
	})
}

// bubble runs a test with a cache whose time is fake: time.Sleep returns at once.
func bubble(t *testing.T, maxBytes int64, test func(t *testing.T, m *cache.Memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := cache.NewMemory(maxBytes)
		t.Cleanup(m.Close)
		test(t, m)
	})
}

// room returns the bytes in which so many small entries fit, and not one more:
// each takes 512 bytes, and its key and value a few of the spare ones.
func room(entries int64) int64 { return entries*512 + 500 }

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
	bubble(t, room(10), func(t *testing.T, m *cache.Memory) {
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

// Strangers choose how long some values are, so counting entries bounds nothing.
func TestMemoryIsBoundedByBytes(t *testing.T) {
	t.Parallel()
	const maxBytes, large = 1 << 20, 100_000
	for what, c := range map[string]struct {
		key   string
		value []byte
		least int // how many of the newest are still there
	}{
		"large values":  {"", make([]byte, large), 10},
		"large keys":    {strings.Repeat("k", large), nil, 10},
		"small entries": {"", nil, 1900},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			bubble(t, maxBytes, func(t *testing.T, m *cache.Memory) {
				const n = 2500
				for i := range n {
					if err := m.Set(t.Context(), fmt.Sprintf("%s%05d", c.key, i), c.value, time.Hour); err != nil {
						t.Fatal(err)
					}
				}
				kept, newest := 0, 0
				for i := range n {
					if has(t, m, fmt.Sprintf("%s%05d", c.key, i)) {
						kept, newest = kept+1, newest+1
						continue
					}
					newest = 0
				}
				if bytes := kept * (len(c.key) + len(c.value) + 512); bytes > maxBytes {
					t.Errorf("%d entries are there, %d bytes, want at most %d", kept, bytes, maxBytes)
				}
				if kept != newest || newest < c.least {
					t.Errorf("%d entries are there, %d of them the newest; want only those, and at least %d", kept, newest, c.least)
				}
			})
		})
	}
}

func TestMemoryCountsBytesOfWhatIsReplacedAndTaken(t *testing.T) {
	t.Parallel()
	bubble(t, 10_000, func(t *testing.T, m *cache.Memory) {
		add(t, m, "wanted", time.Hour)
		for range 100 {
			if err := m.Set(t.Context(), "replaced", make([]byte, 4000), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			if won, err := m.Add(t.Context(), "taken", make([]byte, 3000), time.Hour); !won || err != nil {
				t.Fatalf("Add: got %v, %v, want true", won, err)
			}
			if _, found, err := m.Take(t.Context(), "taken"); !found || err != nil {
				t.Fatalf("Take: got %v, %v, want it found", found, err)
			}
		}
		if !has(t, m, "wanted") || !has(t, m, "replaced") {
			t.Error("what was replaced or taken still takes room: others were pushed out")
		}
		if err := m.Set(t.Context(), "replaced", make([]byte, 9000), time.Hour); err != nil {
			t.Fatal(err)
		}
		if has(t, m, "wanted") || !has(t, m, "replaced") {
			t.Error("a value that grew: want the older entry pushed out for it")
		}
	})
}

func TestMemoryLeastRecentlyUsedGoesFirst(t *testing.T) {
	t.Parallel()
	bubble(t, room(3), func(t *testing.T, m *cache.Memory) {
		for _, key := range []string{"a", "b", "c"} {
			add(t, m, key, time.Hour)
		}
		has(t, m, "a")
		add(t, m, "d", time.Hour)
		for key, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
			if got := has(t, m, key); got != want {
				t.Errorf("%s: found %v, want %v: b is the one that nobody used", key, got, want)
			}
		}
	})
}

func TestMemoryRefusesWhatWouldPushOutAll(t *testing.T) {
	t.Parallel()
	bubble(t, 10_000, func(t *testing.T, m *cache.Memory) {
		add(t, m, "wanted", time.Hour)
		if err := m.Set(t.Context(), "huge", make([]byte, 10_000), time.Hour); err == nil {
			t.Error("Set of more than the cache holds: want an error")
		}
		if won, err := m.Add(t.Context(), "huge", make([]byte, 10_000), time.Hour); won || err == nil {
			t.Errorf("Add of more than the cache holds: got %v, %v, want an error", won, err)
		}
		if !has(t, m, "wanted") {
			t.Error("a value that does not fit pushed out another")
		}
	})
}

func TestMemoryCountersAreBoundedByBytes(t *testing.T) {
	t.Parallel()
	bubble(t, 100_000, func(t *testing.T, m *cache.Memory) {
		long := strings.Repeat("k", 10_000)
		for i := range 100 {
			if ok, _, err := m.Allow(t.Context(), fmt.Sprint(long, i), 1, time.Hour); !ok || err != nil {
				t.Fatalf("Allow(%d): got %v, %v, want true", i, ok, err)
			}
		}
		for _, c := range []struct {
			counter int
			want    bool
		}{{99, false}, {91, false}, {90, true}, {0, true}} {
			if ok, _, err := m.Allow(t.Context(), fmt.Sprint(long, c.counter), 1, time.Hour); ok != c.want || err != nil {
				t.Errorf("counter %d of 100: allowed again %v, %v; want %v: nine fit, the newest", c.counter, ok, err, c.want)
			}
		}
	})
}

func TestMemoryExpiredEntriesMakeRoomFirst(t *testing.T) {
	t.Parallel()
	bubble(t, room(10), func(t *testing.T, m *cache.Memory) {
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
	bubble(t, room(10), func(t *testing.T, m *cache.Memory) {
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
	bubble(t, room(10), func(t *testing.T, m *cache.Memory) {
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
	bubble(t, room(10), func(t *testing.T, m *cache.Memory) {
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
		bubble(t, room(10), func(t *testing.T, m *cache.Memory) {
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
	for _, n := range []int64{0, -1} {
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
