package storetest

import (
	"context"
	"testing"
	"time"
)

// testBell says what raises the revision, by how much, and what does not.
func testBell(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
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
		{"a key", func() error { _, err := s.AddKey(t.Context(), "example", key("key-1")); return err }, 1},
		{"the end of a grant", func() error { return s.EndGrant(t.Context(), "example", g.ID, "revoked", start) }, 1},
		{"a replay", func() error { _, err := s.EndReplayed(t.Context(), "example", hash("quiet"), start, start); return err }, 1},
		{"facts", func() error {
			_, err := s.SaveTenants(t.Context(), revision(t, s), nil, []string{"other"})
			return err
		}, 1},
	} {
		before := revision(t, s)
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := revision(t, s) - before; got != step.want {
			t.Errorf("%s raised the revision by %d, want %d", step.name, got, step.want)
		}
	}
}

// watching starts Watch and returns what it calls, and what it returned when ctx
// has ended.
func watching(ctx context.Context, s Engine) (<-chan int64, <-chan error) {
	calls, end := make(chan int64, 100), make(chan error, 1)
	go func() {
		end <- s.Watch(ctx, time.Millisecond, func(revision int64) { calls <- revision })
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

func testWatch(t *testing.T, s Store) {
	seed(t, s)
	other := s.Again(t)
	own, _ := watching(t.Context(), s)
	foreign, _ := watching(t.Context(), other)
	for name, calls := range map[string]<-chan int64{"own": own, "foreign": foreign} {
		if got := next(t, calls); got != seeded {
			t.Fatalf("the %s watcher said %d at the start, want %d", name, got, seeded)
		}
	}
	for i := range int64(20) {
		// A commit that leaves the revision alone is not worth a word: a
		// watcher that speaks all the same says the same number twice below.
		saveAccount(t, s, "example", account("alice"))
		writer := []Engine{s.Engine, other}[i%2]
		want, err := writer.SaveTenants(t.Context(), seeded+i, nil, nil)
		if err != nil {
			t.Fatalf("SaveTenants: %v", err)
		}
		for name, calls := range map[string]<-chan int64{"own": own, "foreign": foreign} {
			if got := next(t, calls); got != want {
				t.Fatalf("the %s watcher said %d after change %d, want %d", name, got, i, want)
			}
		}
	}
}

func testWatchEnds(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	calls, end := watching(ctx, s)
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
