package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"signpost/directory"
	"signpost/oidc/issuer"
)

func mustEnd(t *testing.T, s Engine, since int64, revision int64, want ...issuer.EndedGrant) {
	t.Helper()
	got, at, err := s.Ended(t.Context(), since)
	if err != nil || !reflect.DeepEqual(got, want) || at != revision {
		t.Errorf("Ended(%d) = %v at %d, %v, want %v at %d", since, got, at, err, want, revision)
	}
}

// testEnded: every way in which a grant ends is told, once, with the revision that it
// raised.
func testEnded(t *testing.T, s Store) {
	mustEnd(t, s, 0, 0)
	seed(t, s)
	g := createGrant(t, s, "example")
	twin := grant(saveAccount(t, s, "other", account("alice")), "code at other")
	twin.ID = g.ID
	replayed, late := grant(account("alice"), "replayed"), grant(account("alice"), "late")
	for tenant, grants := range map[string][]issuer.Grant{"example": {replayed, late}, "other": {twin}} {
		for _, g := range grants {
			if err := s.CreateGrant(t.Context(), tenant, g, nil); err != nil {
				t.Fatalf("CreateGrant: %v", err)
			}
		}
	}
	mustEnd(t, s, 0, seeded)

	again := replayed
	again.ID = "again"
	ended := func(tenant, id string) issuer.EndedGrant { return issuer.EndedGrant{Tenant: tenant, ID: id} }
	var all []issuer.EndedGrant
	for i, step := range []struct {
		name string
		do   func() error
		want issuer.EndedGrant
	}{
		{"EndGrant", func() error { return s.EndGrant(t.Context(), "other", twin.ID, "revoked", start) }, ended("other", twin.ID)},
		{"a replay", func() error {
			if err := s.CreateGrant(t.Context(), "example", again, nil); !errors.Is(err, issuer.ErrReplayed) {
				return fmt.Errorf("a grant of a used code: %s, want ErrReplayed", fmt.Sprint(err))
			}
			return nil
		}, ended("example", replayed.ID)},
		{"EndReplayed", func() error {
			_, err := s.EndReplayed(t.Context(), "example", late.OriginHash, start, start)
			return err
		}, ended("example", late.ID)},
		{"a reuse", func() error {
			rotate(t, s, rotation("first", "second", start), "second")
			rotate(t, s, rotation("second", "third", start), "third")
			if _, err := s.Rotate(t.Context(), "example", rotation("first", "fourth", start)); !errors.Is(err, issuer.ErrReused) {
				return fmt.Errorf("a rotation with a used token: %s, want ErrReused", fmt.Sprint(err))
			}
			return nil
		}, ended("example", g.ID)},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		all = append(all, step.want)
		raised := seeded + int64(i) + 1
		mustEnd(t, s.Engine, raised-1, raised, step.want)
		mustEnd(t, s.Engine, raised, raised)
	}
	mustEnd(t, s.Again(t), 0, seeded+4, all...)

	// Whoever is removed has nothing left that could be told.
	if _, err := s.SaveTenants(t.Context(), seeded, nil, []string{"other"}); err != nil {
		t.Fatalf("SaveTenants(remove other): %v", err)
	}
	mustEnd(t, s, 0, seeded+5, all[1:]...)
}

// testEndedByReplacement: the grants of an account that lost its name end together.
func testEndedByReplacement(t *testing.T, s Store) {
	seed(t, s)
	old := createGrant(t, s, "example")
	second, before := grant(account("alice"), "second"), grant(account("alice"), "before")
	for _, g := range []issuer.Grant{second, before} {
		if err := s.CreateGrant(t.Context(), "example", g, nil); err != nil {
			t.Fatalf("CreateGrant: %v", err)
		}
	}
	if err := s.EndGrant(t.Context(), "example", before.ID, "revoked", start); err != nil {
		t.Fatalf("EndGrant: %v", err)
	}
	moved := exampleTenant()
	moved.IdentityProviders[0].Issuer = "https://new.example.com"
	base := save(t, s, seeded, moved)
	heir := account("alice")
	heir.ID, heir.UpstreamIssuer = "heir", "https://new.example.com"
	saveAccount(t, s, "example", heir)

	got, at, err := s.Ended(t.Context(), base)
	slices.SortFunc(got, func(a, b issuer.EndedGrant) int { return len(a.ID) - len(b.ID) })
	if err != nil || at != base+1 || len(got) != 2 {
		t.Fatalf("Ended = %v at %d, %v, want two grants at %d", got, at, err, base+1)
	}
	for _, id := range []string{old.ID, second.ID} {
		if !slices.Contains(got, issuer.EndedGrant{Tenant: "example", ID: id}) {
			t.Errorf("Ended = %v, want %s among them", got, id)
		}
	}
	mustEnd(t, s.Engine, base+1, base+1)
}

// testR26EndsAreSeenInOrder: who reads what ended, and goes on from the revision that
// came with it, misses none and hears of none twice.
func testR26EndsAreSeenInOrder(t *testing.T, s Store) {
	seed(t, s)
	a := saveAccount(t, s, "example", account("alice"))
	for racer := range racers {
		g := grant(a, fmt.Sprintf("code %d", racer))
		if err := s.CreateGrant(t.Context(), "example", g, nil); err != nil {
			t.Fatalf("CreateGrant: %v", err)
		}
	}
	var told []issuer.EndedGrant
	since := int64(seeded)
	read := func() {
		ended, revision, err := s.Ended(t.Context(), since)
		if err != nil {
			t.Errorf("Ended: %v", err)
		}
		told, since = append(told, ended...), revision
	}
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				read()
			}
		}
	})
	race(t, s, func(racer int, engine Engine) {
		id := grant(a, fmt.Sprintf("code %d", racer)).ID
		if err := engine.EndGrant(t.Context(), "example", id, "revoked", start); err != nil {
			t.Errorf("EndGrant by racer %d: %v", racer, err)
		}
	})
	close(done)
	reader.Wait()
	read()

	times := make(map[string]int)
	for _, g := range told {
		times[g.ID]++
	}
	for racer := range racers {
		if got := times[grant(a, fmt.Sprintf("code %d", racer)).ID]; got != 1 {
			t.Errorf("the end of grant %d was told %d times, want once", racer, got)
		}
	}
}

// testRemovalMeetsEnds removes a tenant while its grants are used and end: the two
// lock the same rows. Each is done whole or finds nothing there, a rotation perhaps the end.
func testRemovalMeetsEnds(t *testing.T, s Store) {
	third := directory.Tenant{Name: "third", Placement: directory.PlacementPath}
	base := save(t, s, 0, exampleTenant(), otherTenant(), third)
	a := saveAccount(t, s, "example", account("alice"))
	for racer := range racers {
		name := fmt.Sprintf("code %d", racer)
		if err := s.CreateGrant(t.Context(), "example", grant(a, name), hash(name)); err != nil {
			t.Fatalf("CreateGrant: %v", err)
		}
	}
	race(t, s, func(racer int, engine Engine) {
		var err error
		name := fmt.Sprintf("code %d", racer)
		switch {
		case racer == racers/2:
			_, err = engine.SaveTenants(t.Context(), base, []directory.Tenant{otherTenant()}, []string{"example"})
		case racer%3 == 0:
			err = engine.EndGrant(t.Context(), "example", grant(a, name).ID, "revoked", start)
		case racer%3 == 1:
			_, err = engine.Rotate(t.Context(), "example", rotation(name, name+" next", start))
		default:
			_, err = engine.EndReplayed(t.Context(), "example", hash(name), start, start)
		}
		if err != nil && !errors.Is(err, issuer.ErrNotFound) && !errors.Is(err, issuer.ErrEnded) {
			t.Errorf("racer %d: %v, want no error, ErrNotFound or ErrEnded", racer, err)
		}
	})
	mustHave(t, s, otherTenant(), third)
	if rows := s.Rows(t, "SELECT id FROM grants"); len(rows) != 0 {
		t.Errorf("%d grants are left of a tenant that was removed", len(rows))
	}
}
