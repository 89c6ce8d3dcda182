package cachetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"signpost/internal/cache"
)

func setAndGet(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	wantNothing(t, c, "key")
	set(t, c, "key", "value", time.Minute)
	wantValue(t, c, "key", "value")
	wantValue(t, c, "key", "value")
}

func setReplaces(t *testing.T, c cache.Cache, advance func(time.Duration)) {
	set(t, c, "longer", "old", 10*time.Second)
	set(t, c, "longer", "new", time.Minute)
	set(t, c, "shorter", "old", time.Minute)
	set(t, c, "shorter", "new", 10*time.Second)
	wantValue(t, c, "longer", "new")
	wantValue(t, c, "shorter", "new")
	advance(20 * time.Second)
	wantValue(t, c, "longer", "new")
	wantNothing(t, c, "shorter")
}

func deleteKey(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	set(t, c, "key", "value", time.Minute)
	set(t, c, "other", "value", time.Minute)
	for range 2 { // the second time there is nothing, and that is no error
		if err := c.Delete(t.Context(), "key"); err != nil {
			t.Errorf("Delete: %v", err)
		}
		wantNothing(t, c, "key")
	}
	wantValue(t, c, "other", "value")
}

func emptyValue(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	for _, value := range [][]byte{nil, {}} {
		if err := c.Set(t.Context(), "key", value, time.Minute); err != nil {
			t.Fatalf("Set of %#v: %v", value, err)
		}
		wantValue(t, c, "key", "")
		if won, err := c.Add(t.Context(), "key", []byte("x"), time.Minute); won || err != nil {
			t.Errorf("Add over an empty value: got %v, %v, want the key to be taken", won, err)
		}
		if got, found, err := c.Take(t.Context(), "key"); err != nil || !found || len(got) != 0 {
			t.Errorf("Take: got %q, %v, %v, want an empty value", got, found, err)
		}
	}
}

func copies(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	in := []byte("value")
	if err := c.Set(t.Context(), "set", in, time.Minute); err != nil {
		t.Fatalf("Set: %v", err)
	}
	if _, err := c.Add(t.Context(), "add", in, time.Minute); err != nil {
		t.Fatalf("Add: %v", err)
	}
	in[0] = 'X'
	for _, key := range []string{"set", "add"} {
		out, _, err := c.Get(t.Context(), key)
		if err != nil || string(out) != "value" {
			t.Fatalf("Get(%q) after the caller changed its slice: got %q, %v, want %q", key, out, err, "value")
		}
		out[0] = 'Y'
		wantValue(t, c, key, "value")
	}
}

// distinctKeys has keys that an engine could mix up: prefixes, separators,
// letter case, and bytes that are special in the protocols of servers.
func distinctKeys(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	keys := []string{
		"", "a", "A", "a:", "a:b", "a:b:c", "ab", "a b", "a*", "a?", "[a]", "{a}", "{a}b", "a{b}",
		"a\x00", "a\x00b", "a\nb", "a\r\n", "\xff\xfe", "ä", "a\u0308", " a", "a ",
	}
	for i, key := range keys {
		set(t, c, key, fmt.Sprint("value ", i), time.Minute)
	}
	for i, key := range keys {
		wantValue(t, c, key, fmt.Sprint("value ", i))
	}
	if err := c.Delete(t.Context(), "a"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	for i, key := range keys {
		if key != "a" {
			wantValue(t, c, key, fmt.Sprint("value ", i))
		}
	}
	wantNothing(t, c, "a")
}

func expiry(t *testing.T, c cache.Cache, advance func(time.Duration)) {
	set(t, c, "short", "value", 10*time.Second)
	set(t, c, "long", "value", time.Hour)
	advance(9 * time.Second)
	wantValue(t, c, "short", "value")
	advance(2 * time.Second)
	wantNothing(t, c, "short")
	wantValue(t, c, "long", "value")
}

func getDoesNotTouch(t *testing.T, c cache.Cache, advance func(time.Duration)) {
	set(t, c, "key", "value", 10*time.Second)
	for range 3 {
		advance(3 * time.Second)
		wantValue(t, c, "key", "value")
		if won, err := c.Add(t.Context(), "key", []byte("other"), time.Hour); won || err != nil {
			t.Errorf("Add over a living value: got %v, %v, want false", won, err)
		}
	}
	advance(2 * time.Second)
	wantNothing(t, c, "key")
}

func takeRemoves(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	set(t, c, "key", "value", time.Minute)
	got, found, err := c.Take(t.Context(), "key")
	if err != nil || !found || string(got) != "value" {
		t.Errorf("first Take: got %q, %v, %v, want %q", got, found, err, "value")
	}
	got, found, err = c.Take(t.Context(), "key")
	if err != nil || found || len(got) != 0 {
		t.Errorf("second Take: got %q, %v, %v, want nothing", got, found, err)
	}
	wantNothing(t, c, "key")
}

func takeExpired(t *testing.T, c cache.Cache, advance func(time.Duration)) {
	set(t, c, "key", "value", 10*time.Second)
	advance(11 * time.Second)
	got, found, err := c.Take(t.Context(), "key")
	if err != nil || found || len(got) != 0 {
		t.Errorf("Take: got %q, %v, %v, want nothing", got, found, err)
	}
}

func takeOneWinner(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	for round := range 20 {
		key := fmt.Sprint("key ", round)
		set(t, c, key, "value", time.Minute)
		wins := race(t, func(int) (bool, error) {
			got, found, err := c.Take(t.Context(), key)
			return found && string(got) == "value", err
		})
		if wins != 1 {
			t.Errorf("round %d: %d of %d takers found the value, want 1", round, wins, racers)
		}
	}
}

func addKeepsFirst(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	if won, err := c.Add(t.Context(), "key", []byte("first"), time.Minute); !won || err != nil {
		t.Errorf("first Add: got %v, %v, want true", won, err)
	}
	if won, err := c.Add(t.Context(), "key", []byte("second"), time.Minute); won || err != nil {
		t.Errorf("second Add: got %v, %v, want false", won, err)
	}
	wantValue(t, c, "key", "first")
	if err := c.Delete(t.Context(), "key"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	if won, err := c.Add(t.Context(), "key", []byte("third"), time.Minute); !won || err != nil {
		t.Errorf("Add after Delete: got %v, %v, want true", won, err)
	}
	wantValue(t, c, "key", "third")
}

func addAfterExpiry(t *testing.T, c cache.Cache, advance func(time.Duration)) {
	for _, value := range []string{"first", "second"} {
		if won, err := c.Add(t.Context(), "key", []byte(value), 10*time.Second); !won || err != nil {
			t.Errorf("Add of %q: got %v, %v, want true", value, won, err)
		}
		wantValue(t, c, "key", value)
		advance(9 * time.Second)
		wantValue(t, c, "key", value)
		advance(2 * time.Second)
		wantNothing(t, c, "key")
	}
}

func addOneWinner(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	for round := range 20 {
		key := fmt.Sprint("key ", round)
		wins := race(t, func(i int) (bool, error) {
			return c.Add(t.Context(), key, fmt.Append(nil, i), time.Minute)
		})
		if wins != 1 {
			t.Errorf("round %d: %d of %d adders won, want 1", round, wins, racers)
		}
	}
}

func positiveTTL(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	for _, ttl := range []time.Duration{0, -1, -time.Second} {
		wantFault(t, fmt.Sprintf("Set for %v", ttl), c.Set(t.Context(), "key", []byte("value"), ttl))
		won, err := c.Add(t.Context(), "key", []byte("value"), ttl)
		wantFault(t, fmt.Sprintf("Add for %v", ttl), err)
		if won {
			t.Errorf("Add for %v: won", ttl)
		}
		wantNothing(t, c, "key")
	}
}

func cancelledContext(t *testing.T, c cache.Cache, _ func(time.Duration)) {
	set(t, c, "key", "value", time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Get":        func() error { _, _, err := c.Get(ctx, "key"); return err },
		"Set":        func() error { return c.Set(ctx, "key", []byte("other"), time.Minute) },
		"Delete":     func() error { return c.Delete(ctx, "key") },
		"Take":       func() error { _, _, err := c.Take(ctx, "key"); return err },
		"Add":        func() error { _, err := c.Add(ctx, "new", []byte("other"), time.Minute); return err },
		"Allow":      func() error { _, _, err := c.Allow(ctx, "key", 1, time.Minute); return err },
		"AllowAfter": func() error { _, _, _, err := c.AllowAfter(ctx, "key", 1, 1, time.Minute); return err },
		"Publish":    func() error { return c.Publish(ctx, "key", []byte("message")) },
		"Subscribe":  func() error { _, _, err := c.Subscribe(ctx, "key"); return err },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", name, err)
		}
	}
	wantValue(t, c, "key", "value")
	wantNothing(t, c, "new")
	if ok, _, err := c.Allow(t.Context(), "key", 1, time.Minute); !ok || err != nil {
		t.Errorf("Allow after a cancelled one: got %v, %v, want it uncounted", ok, err)
	}
}
