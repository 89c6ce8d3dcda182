package issuer_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"signpost/oidc"
	"signpost/oidc/issuer"
)

// hanging is a database that answers when it is told to, or when nobody waits any more.
type hanging struct {
	*ledger
	answers chan struct{}
}

func (h hanging) Grant(ctx context.Context, tenant, id string) (issuer.Grant, error) {
	select {
	case <-h.answers:
		return h.ledger.Grant(ctx, tenant, id)
	case <-ctx.Done():
		h.set(func(l *ledger) { l.reads++ })
		return issuer.Grant{}, ctx.Err()
	}
}

func (h hanging) Ended(ctx context.Context, _ int64) ([]issuer.EndedGrant, int64, error) {
	<-ctx.Done()
	return nil, 0, ctx.Err()
}

// A database that hangs holds up nobody for longer than 2 s, and each grant's requests
// once in 5 s.
func TestR26HangingDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hanging{newLedger("g1"), make(chan struct{})}
		k := issuer.NewKnown(h, h, maxStale, time.Now)
		for _, want := range []time.Duration{2 * time.Second, 0, 0} {
			start := time.Now()
			_, _, err := k.Holder(t.Context(), "example", "g1")
			if oidc.CodeOf(err) != oidc.CodeTemporarilyUnavailable {
				t.Errorf("Holder = %v, want temporarily_unavailable", err)
			}
			if took := time.Since(start); took != want {
				t.Errorf("Holder took %v, want %v", took, want)
			}
		}
		if h.reads != 1 {
			t.Errorf("the grant was read %d times, want once", h.reads)
		}
		start := time.Now()
		if err := k.Looked(t.Context(), start, 0); err != nil {
			t.Errorf("Looked: %v", err)
		}
		if err := k.Looked(t.Context(), start, 1); err == nil || time.Since(start) != 2*time.Second {
			t.Errorf("Looked = %v after %v, want an error after 2 s", err, time.Since(start))
		}
	})
}

// All who ask at the same time wait for one look-up, and whoever hangs up ends it for nobody.
func TestR26OneLookUpForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hanging{newLedger("g1"), make(chan struct{})}
		k := issuer.NewKnown(h, h, maxStale, time.Now)
		first, hangUp := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		ask := func(ctx context.Context) {
			if _, g, err := k.Holder(ctx, "example", "g1"); err != nil || g.ID != "g1" {
				t.Errorf("Holder = %q, %v, want g1", g.ID, err)
			}
		}
		asking.Go(func() { ask(first) })
		synctest.Wait()
		for range 10 {
			asking.Go(func() { ask(t.Context()) })
		}
		synctest.Wait()
		hangUp()
		close(h.answers)
		asking.Wait()
		if h.reads != 1 {
			t.Errorf("the grant was read %d times, want once", h.reads)
		}
	})
}
