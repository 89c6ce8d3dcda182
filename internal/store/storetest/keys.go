package storetest

import (
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"signpost/oidc/keys"
)

func key(id string) keys.Stored {
	return keys.Stored{ID: id, Use: keys.UseAccess, Algorithm: "ES256", Sealed: []byte("sealed " + id), CreatedAt: start}
}

func testKeys(t *testing.T, s Store) {
	seed(t, s)
	if got, err := s.Keys(t.Context(), "example"); err != nil || got == nil || len(got) != 0 {
		t.Errorf("Keys of a new tenant = %#v, %v, want an empty slice", got, err)
	}
	access, rsa, id := key("key-c"), key("key-b"), key("key-a")
	access.CreatedAt = start.Add(-time.Hour)
	rsa.Algorithm = "RS256"
	id.Use = keys.UseID
	id.CreatedAt = start.Add(time.Hour)
	for _, k := range []keys.Stored{id, rsa, access} {
		before := revision(t, s)
		if kept, err := s.AddKey(t.Context(), "example", k); !kept || err != nil {
			t.Errorf("AddKey(%s) = %v, %v, want it kept", k.ID, kept, err)
		}
		if got := revision(t, s); got != before+1 {
			t.Errorf("AddKey(%s) moved the revision from %d to %d, want one more", k.ID, before, got)
		}
	}
	before := revision(t, s)
	second := key("key-d")
	if kept, err := s.AddKey(t.Context(), "example", second); kept || err != nil {
		t.Errorf("AddKey of a second key of one use and algorithm = %v, %v, want it not kept", kept, err)
	}
	if got := revision(t, s); got != before {
		t.Errorf("a key that was not kept moved the revision from %d to %d", before, got)
	}
	want := []keys.Stored{access, rsa, id}
	if got, err := s.Keys(t.Context(), "example"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Keys = %+v, %v\nwant %+v", got, err, want)
	}
	if _, err := s.AddKey(t.Context(), "nobody", key("key-e")); err == nil {
		t.Error("AddKey for an unknown tenant = no error, want one")
	}
}

func testRacingKeys(t *testing.T, s Store) {
	seed(t, s)
	var kept atomic.Int32
	race(t, s, func(racer int, engine Engine) {
		ok, err := engine.AddKey(t.Context(), "example", key(fmt.Sprintf("key-%d", racer)))
		if err != nil {
			t.Errorf("AddKey by racer %d: %v", racer, err)
		}
		if ok {
			kept.Add(1)
		}
	})
	if kept.Load() != 1 {
		t.Errorf("%d keys were kept, want 1", kept.Load())
	}
	if got, err := s.Keys(t.Context(), "example"); err != nil || len(got) != 1 {
		t.Errorf("Keys = %d keys, %v, want 1", len(got), err)
	}
}
