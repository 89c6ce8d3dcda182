package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"signpost/oidc/keys"
)

// nextKey is a key that is made some hours after start and signs an hour later.
func nextKey(id string, hours int) keys.Stored {
	k := key(id)
	k.CreatedAt = start.Add(time.Duration(hours) * time.Hour)
	k.SignsFrom = k.CreatedAt.Add(time.Hour)
	return k
}

func addKeys(t *testing.T, s Engine, tenant string, stored ...keys.Stored) {
	t.Helper()
	for _, k := range stored {
		if kept, err := s.AddKey(t.Context(), tenant, k); !kept || err != nil {
			t.Fatalf("AddKey(%s, %s) = %v, %v, want it kept", tenant, k.ID, kept, err)
		}
	}
}

func replaceKey(t *testing.T, s Engine, tenant string, r keys.Replacement) {
	t.Helper()
	if err := s.ReplaceKey(t.Context(), tenant, r); err != nil {
		t.Fatalf("ReplaceKey(%s, %s by %s): %v", tenant, r.Head, r.Next.ID, err)
	}
}

func mustHaveKeys(t *testing.T, s Engine, tenant string, want ...keys.Stored) {
	t.Helper()
	if got, err := s.Keys(t.Context(), tenant); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Keys(%s) =\n     %+v, %v\nwant %+v", tenant, got, err, want)
	}
}

// testReplaceKey: a line grows by one key after the other, the rest stays.
func testReplaceKey(t *testing.T, s Store) {
	seed(t, s)
	first, second, third := nextKey("key-1", 0), nextKey("key-2", 100), nextKey("key-3", 200)
	rsa, id := key("rsa"), key("id")
	rsa.Algorithm, id.Use = "RS256", keys.UseIntrospection
	rsa.CreatedAt, id.CreatedAt = start.Add(300*time.Hour), start.Add(301*time.Hour)
	addKeys(t, s, "example", first, rsa, id)
	addKeys(t, s, "other", first)

	before := revision(t, s)
	first.RemovedAt, first.Successor = start.Add(150*time.Hour), second.ID
	replaceKey(t, s, "example", keys.Replacement{Head: first.ID, Next: second, RemovedAt: first.RemovedAt})
	mustHaveKeys(t, s, "example", first, second, rsa, id)
	second.RemovedAt, second.Successor = start.Add(250*time.Hour), third.ID
	replaceKey(t, s.Again(t), "example", keys.Replacement{Head: second.ID, Next: third, RemovedAt: second.RemovedAt})
	mustHaveKeys(t, s, "example", first, second, third, rsa, id)
	mustHaveKeys(t, s, "other", nextKey("key-1", 0))
	if got := revision(t, s); got != before+2 {
		t.Errorf("two replacements moved the revision from %d to %d, want 2 more", before, got)
	}
	// There is a line: whoever thinks there is none is told so.
	if kept, err := s.AddKey(t.Context(), "example", key("late")); kept || err != nil {
		t.Errorf("AddKey beside a line of three = %v, %v, want it not kept", kept, err)
	}
}

func testReplaceKeyRefuses(t *testing.T, s Store) {
	seed(t, s)
	first, second := nextKey("key-1", 0), nextKey("key-2", 1)
	addKeys(t, s, "example", first)
	replaceKey(t, s, "example", keys.Replacement{Head: first.ID, Next: second, RemovedAt: start})
	want, err := s.Keys(t.Context(), "example")
	if err != nil {
		t.Fatalf("Keys: %v", err)
	}
	before := revision(t, s)
	rsa, id := nextKey("key-3", 2), nextKey("key-3", 2)
	rsa.Algorithm, id.Use = "RS256", keys.UseID
	for name, test := range map[string]struct {
		tenant string
		r      keys.Replacement
	}{
		"one that was replaced":    {"example", keys.Replacement{Head: first.ID, Next: nextKey("key-3", 2)}},
		"one that is not there":    {"example", keys.Replacement{Head: "unknown", Next: nextKey("key-3", 2)}},
		"one of another algorithm": {"example", keys.Replacement{Head: second.ID, Next: rsa}},
		"one of another use":       {"example", keys.Replacement{Head: second.ID, Next: id}},
		"another tenant's":         {"other", keys.Replacement{Head: second.ID, Next: nextKey("key-3", 2)}},
		"an unknown tenant's":      {"nobody", keys.Replacement{Head: second.ID, Next: nextKey("key-3", 2)}},
	} {
		for _, compromised := range []bool{false, true} {
			test.r.Compromised = compromised
			if err := s.ReplaceKey(t.Context(), test.tenant, test.r); !errors.Is(err, keys.ErrReplaced) {
				t.Errorf("ReplaceKey of %s (compromised: %v) = %v, want ErrReplaced", name, compromised, err)
			}
		}
	}
	taken := keys.Replacement{Head: second.ID, Next: nextKey(first.ID, 2)}
	if err := s.ReplaceKey(t.Context(), "example", taken); err == nil || errors.Is(err, keys.ErrReplaced) {
		t.Errorf("ReplaceKey with an ID that is taken = %v, want an error that is not ErrReplaced", err)
	}
	mustHaveKeys(t, s, "example", want...)
	if got := revision(t, s); got != before {
		t.Errorf("what was refused moved the revision from %d to %d", before, got)
	}
}

// testCompromisedKey: the replaced key and all before it count no more; the new one and
// other lines do.
func testCompromisedKey(t *testing.T, s Store) {
	seed(t, s)
	first, second, third := nextKey("key-1", 0), nextKey("key-2", 100), nextKey("key-3", 200)
	rsa, id := nextKey("rsa", 300), nextKey("id", 301)
	rsa.Algorithm, id.Use = "RS256", keys.UseID
	addKeys(t, s, "example", first, rsa, id)
	addKeys(t, s, "other", first)
	replaceKey(t, s, "example", keys.Replacement{Head: first.ID, Next: second, RemovedAt: start.Add(150 * time.Hour)})
	now := start.Add(120 * time.Hour)
	replaceKey(t, s, "example", keys.Replacement{Head: second.ID, Next: third, RemovedAt: now, Compromised: true})

	first.Successor, first.RemovedAt, first.Compromised = second.ID, now, true
	second.Successor, second.RemovedAt, second.Compromised = third.ID, now, true
	mustHaveKeys(t, s, "example", first, second, third, rsa, id)
	mustHaveKeys(t, s, "other", nextKey("key-1", 0))
}

// testRacingRotations: of many who replace one head one does, and the others are told.
func testRacingRotations(t *testing.T, s Store) {
	seed(t, s)
	addKeys(t, s, "example", nextKey("key", 0))
	addKeys(t, s, "other", nextKey("key", 0))
	before := revision(t, s)
	var mu sync.Mutex
	var winners []string
	race(t, s, func(racer int, engine Engine) {
		id := fmt.Sprintf("key-%d", racer)
		r := keys.Replacement{Head: "key", Next: nextKey(id, 1), RemovedAt: start.Add(2 * time.Hour), Compromised: racer%2 == 0}
		err := engine.ReplaceKey(t.Context(), "example", r)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			winners = append(winners, id)
		} else if !errors.Is(err, keys.ErrReplaced) {
			t.Errorf("ReplaceKey by racer %d = %v, want no error or ErrReplaced", racer, err)
		}
	})
	if len(winners) != 1 {
		t.Fatalf("%d racers replaced the key: %q, want one", len(winners), winners)
	}
	got, err := s.Keys(t.Context(), "example")
	if err != nil || len(got) != 2 || got[0].Successor != winners[0] || got[1].ID != winners[0] || got[1].Successor != "" {
		t.Errorf("Keys = %+v, %v, want the replaced one and %s", got, err, winners[0])
	}
	if got := revision(t, s); got != before+1 {
		t.Errorf("the revision went from %d to %d, want one more", before, got)
	}
	mustHaveKeys(t, s, "other", nextKey("key", 0))
}
