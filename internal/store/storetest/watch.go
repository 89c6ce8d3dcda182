package storetest

import (
	"context"
	"testing"
	"time"

	"signpost/internal/audit"
	"signpost/oidc/keys"
)

// testBell says what raises the revision, by how much, and what does not; and that
// OnRing is called for the one and not for the other.
func testBell(t *testing.T, s Store) {
	rung := 0
	s.OnRing(func() { rung++ })
	seed(t, s)
	g := createGrant(t, s, "example")
	if rung != 1 {
		t.Errorf("OnRing was called %d times for the first facts and a grant, want once", rung)
	}
	for _, step := range []struct {
		name string
		do   func() error
		want int64
	}{
		{"a sign-in", func() error { _, err := s.SaveAccount(t.Context(), "example", account("alice")); return err }, 0},
		{"a grant", func() error { return s.CreateGrant(t.Context(), "example", grant(account("alice"), "quiet"), nil) }, 0},
		{"a rotation", func() error {
			_, err := s.Rotate(t.Context(), "example", rotation("first", "second", start))
			return err
		}, 0},
		{"an event", func() error { return s.Record(t.Context(), event("example")) }, 0},
		{"many events", func() error { return s.RecordAll(t.Context(), []audit.Event{event("example")}) }, 0},
		{"a key", func() error { _, err := s.AddKey(t.Context(), "example", key("key-1")); return err }, 1},
		{"a key that is there", func() error { _, err := s.AddKey(t.Context(), "example", key("key-1")); return err }, 0},
		{"a replacement of a key", func() error {
			return s.ReplaceKey(t.Context(), "example", keys.Replacement{Head: "key-1", Next: key("key-2")})
		}, 1},
		{"a consent", func() error {
			return s.KeepConsent(t.Context(), "example", g.AccountID, g.ClientID, g.Scopes, start)
		}, 0},
		{"a consent that is forgotten", func() error { return s.ForgetConsent(t.Context(), "example", g.AccountID, g.ClientID) }, 0},
		{"the end of a grant", func() error { return s.EndGrant(t.Context(), "example", g.ID, "revoked", start) }, 1},
		{"the end of an ended grant", func() error { return s.EndGrant(t.Context(), "example", g.ID, "revoked", start) }, 0},
		{"a replay", func() error { _, err := s.EndReplayed(t.Context(), "example", hash("quiet"), start, start); return err }, 1},
		{"the end of all grants, of which none lives", func() error {
			_, err := s.EndGrants(t.Context(), "example", g.AccountID, "", "revoked", start)
			return err
		}, 0},
		{"facts", func() error {
			_, err := s.SaveTenants(t.Context(), revision(t, s), nil, []string{"other"})
			return err
		}, 1},
	} {
		before := revision(t, s)
		rung = 0
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := revision(t, s) - before; got != step.want || int64(rung) != step.want {
			t.Errorf("%s raised the revision by %d and called OnRing %d times, want %d for both", step.name, got, rung, step.want)
		}
	}
	if _, err := s.SaveTenants(t.Context(), -1, nil, nil); err == nil {
		t.Error("SaveTenants from a base before all = nil, want a conflict")
	}
	if rung != 1 {
		t.Errorf("a change that was refused called OnRing %d times, want none", rung-1)
	}
}

// watching starts Watch and returns what it calls, and what it returned when ctx
// has ended.
func watching(ctx context.Context, s Engine, every time.Duration) (<-chan int64, <-chan error) {
	calls, end := make(chan int64), make(chan error, 1)
	go func() {
		end <- s.Watch(ctx, every, func(revision int64) {
			select {
			case calls <- revision:
			case <-ctx.Done():
			}
		})
	}()
	return calls, end
}

// next returns what a watcher says next.
func next(t *testing.T, calls <-chan int64) int64 {
	t.Helper()
	select {
	case revision := <-calls:
		return revision
	case <-time.After(10 * time.Second):
		t.Fatal("the watcher said nothing for 10 seconds")
		return 0
	}
}

// testWatch: a watcher says the revision after every look, changed or not, and none
// that is out of date once the look began after the change.
func testWatch(t *testing.T, s Store) {
	seed(t, s)
	other := s.Again(t)
	own, _ := watching(t.Context(), s, time.Millisecond)
	foreign, _ := watching(t.Context(), other, time.Millisecond)
	watchers := map[string]<-chan int64{"own": own, "foreign": foreign}
	for name, calls := range watchers {
		for range 3 {
			if got := next(t, calls); got != seeded {
				t.Fatalf("the %s watcher said %d at the start, want %d again and again", name, got, seeded)
			}
		}
	}
	for i := range int64(20) {
		saveAccount(t, s, "example", account("alice"))
		writer := []Engine{s.Engine, other}[i%2]
		want, err := writer.SaveTenants(t.Context(), seeded+i, nil, nil)
		if err != nil {
			t.Fatalf("SaveTenants: %v", err)
		}
		for name, calls := range watchers {
			next(t, calls) // that look may have begun before the change
			for range 2 {
				if got := next(t, calls); got != want {
					t.Fatalf("the %s watcher said %d after change %d, want %d", name, got, i, want)
				}
			}
		}
	}
}

// testNudge has a watcher that would look again in an hour.
func testNudge(t *testing.T, s Store) {
	s.Nudge() // nobody watches yet
	calls, _ := watching(t.Context(), s, time.Hour)
	if got := next(t, calls); got != 0 {
		t.Fatalf("the watcher said %d at the start, want 0", got)
	}
	seed(t, s)
	for range 3 {
		s.Nudge()
		s.Nudge() // two words are one
		got := next(t, calls)
		for got == 0 { // a nudge from before the change was still on its way
			got = next(t, calls)
		}
		if got != seeded {
			t.Errorf("the nudged watcher said %d, want %d", got, seeded)
		}
	}
}

func testWatchEnds(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	calls, end := watching(ctx, s, time.Millisecond)
	next(t, calls)
	cancel()
	select {
	case err := <-end:
		if err != nil {
			t.Errorf("Watch = %v after its context ended, want nil", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Watch goes on 10 seconds after its context ended")
	}
	// Nothing stays behind that would keep the store from working.
	seed(t, s)
	if err := s.Watch(ctx, time.Hour, func(int64) { t.Error("a watcher whose context has ended spoke") }); err != nil {
		t.Errorf("Watch with an ended context = %v, want nil", err)
	}
}
