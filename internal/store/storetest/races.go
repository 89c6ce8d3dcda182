package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"signpost/directory"
	"signpost/oidc/issuer"
)

// The tests of this file have one kind of change meet another one. Whatever the
// order, the end must be that of one after the other.

// newIssuer takes over the domains of the provider "staff" in these tests.
const newIssuer = "https://new.example.com"

// takenOver is the example tenant after the provider "new" has got the domains
// example.com and example.net; "staff" goes on with example.biz.
func takenOver() directory.Tenant {
	t := exampleTenant()
	t.IdentityProviders = append(t.IdentityProviders, directory.IdentityProvider{
		Name: "new", Title: "New", Issuer: newIssuer, ClientID: "signpost", Scopes: []string{"openid"},
		Domains: t.IdentityProviders[0].Domains, AddressTrust: directory.TrustEmailVerified,
	})
	t.IdentityProviders[0].Domains = []string{"example.biz"}
	return t
}

// heir is who claims the names of an account at the provider "new".
func heir(name string) issuer.Account {
	a := account(name)
	a.ID, a.UpstreamIssuer = "heir-of-"+name, newIssuer
	return a
}

// testTenantsAreOneMoment reads while two states of the facts replace each other: what
// is read is one of them, whole, and the one of its revision.
func testTenantsAreOneMoment(t *testing.T, s Store) {
	seed(t, s)
	states := [2][]directory.Tenant{
		{exampleTenant(), otherTenant()},
		{takenOver(), otherTenant()},
	}
	states[1][1].Title, states[1][1].Domains = "Other, renamed", nil
	last := int64(seeded)
	race(t, s, func(racer int, engine Engine) {
		if racer == 0 {
			for last < 30 {
				next := last + 1
				if _, err := engine.SaveTenants(t.Context(), last, states[(next-seeded)%2], nil); err != nil {
					t.Errorf("SaveTenants at %d: %v", last, err)
				}
				last = next
			}
			return
		}
		for range 5 {
			got, revision, err := engine.Tenants(t.Context())
			if err != nil {
				t.Errorf("Tenants: %v", err)
				return
			}
			if want := states[(revision-seeded)%2]; !reflect.DeepEqual(got, want) {
				t.Errorf("Tenants at revision %d =\n     %+v\nwant %+v", revision, got, want)
			}
		}
	})
}

// testR1FactsChangeDuringSignIns: people sign in at the old and at the new provider
// while the domains go from one to the other. Whoever comes too early or too late is
// not spoken for; nobody meets an account that is not spoken for any more.
func testR1FactsChangeDuringSignIns(t *testing.T, s Store) {
	seed(t, s)
	name := func(racer int) string { return fmt.Sprintf("person-%d", racer/2%5) }
	race(t, s, func(racer int, engine Engine) {
		var err error
		switch {
		case racer == racers/2:
			if _, err := engine.SaveTenants(t.Context(), seeded, []directory.Tenant{takenOver()}, nil); err != nil {
				t.Errorf("SaveTenants: %v", err)
			}
		case racer%4 < 2:
			_, err = engine.SaveAccount(t.Context(), "example", account(name(racer)))
		default:
			_, err = engine.SaveAccount(t.Context(), "example", heir(name(racer)))
		}
		if err != nil && !errors.Is(err, issuer.ErrUnvouched) {
			t.Errorf("SaveAccount by racer %d = %v, want no error or ErrUnvouched", racer, err)
		}
	})
	for racer := range 10 {
		saveAccount(t, s, "example", heir(name(racer)))
	}
	mustHoldOwnNames(t, s)
	if rows := s.Rows(t, "SELECT account_id FROM account_names WHERE account_id NOT LIKE 'heir-of-%'"); len(rows) != 0 {
		t.Errorf("%d names belong to accounts that nobody speaks for", len(rows))
	}
}

// testR1AHolderSignsInAsItsNameGoes: somebody takes a name from an account that nobody
// speaks for, in the moment in which its owner signs in again with another one.
func testR1AHolderSignsInAsItsNameGoes(t *testing.T, s Store) {
	seed(t, s)
	name := func(racer int) string { return fmt.Sprintf("person-%d", racer/2) }
	for racer := 0; racer < racers; racer += 2 {
		saveAccount(t, s, "example", account(name(racer)))
	}
	save(t, s, seeded, takenOver())
	again := func(racer int) issuer.Account {
		a := account(name(racer))
		a.Addresses, a.Login, a.LastSignInAt = []string{name(racer) + "@example.biz"}, "", start.Add(time.Hour)
		return a
	}
	race(t, s, func(racer int, engine Engine) {
		a := heir(name(racer))
		if racer%4 == 0 || racer%4 == 3 { // both through each engine
			a = again(racer)
		}
		if _, err := engine.SaveAccount(t.Context(), "example", a); err != nil {
			t.Errorf("SaveAccount of %s: %v", a.ID, err)
		}
	})
	mustHoldOwnNames(t, s)
	for racer := 0; racer < racers; racer += 2 {
		for _, want := range []issuer.Account{again(racer), heir(name(racer))} {
			if got, err := s.Account(t.Context(), "example", want.ID); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("Account(%s) = %+v, %v\nwant %+v", want.ID, got, err, want)
			}
		}
	}
}

// mustHoldOwnNames fails unless the names that accounts hold are the ones they have.
func mustHoldOwnNames(t *testing.T, s Store) {
	t.Helper()
	held := make(map[string]bool)
	for _, row := range s.Rows(t, "SELECT account_id, name FROM account_names WHERE tenant = 'example'") {
		held[row] = true
	}
	for _, id := range s.Rows(t, "SELECT id FROM accounts WHERE tenant = 'example'") {
		a, err := s.Account(t.Context(), "example", id)
		if err != nil {
			t.Fatalf("Account(%s): %v", id, err)
		}
		for _, name := range slices.Compact(append(slices.Clone(a.Addresses), a.Login)) {
			if name == "" {
				continue
			}
			if !held[id+"|"+name] {
				t.Errorf("account %s has the name %s and does not hold it", id, name)
			}
			delete(held, id+"|"+name)
		}
	}
	for row := range held {
		t.Errorf("%s is held by an account that does not have it", row)
	}
}

// testR18UseMeetsEnd: a grant is used and ended at once. What was made before the end
// is part of the family; after it nothing is made.
func testR18UseMeetsEnd(t *testing.T, s Store) {
	seed(t, s)
	a := saveAccount(t, s, "example", account("alice"))
	name := func(racer int) string { return fmt.Sprintf("code %d", racer/2) }
	for racer := 0; racer < racers; racer += 2 {
		if err := s.CreateGrant(t.Context(), "example", grant(a, name(racer)), hash(name(racer))); err != nil {
			t.Fatalf("CreateGrant: %v", err)
		}
	}
	before := revision(t, s)
	race(t, s, func(racer int, engine Engine) {
		var err error
		if racer%4 == 0 || racer%4 == 3 { // both through each engine
			err = engine.EndGrant(t.Context(), "example", grant(a, name(racer)).ID, "revoked", start)
		} else if _, err = engine.Rotate(t.Context(), "example", rotation(name(racer), name(racer)+" next", start)); errors.Is(err, issuer.ErrEnded) {
			err = nil
		}
		if err != nil {
			t.Errorf("racer %d: %v", racer, err)
		}
	})
	if got := revision(t, s) - before; got != racers/2 {
		t.Errorf("the ends raised the revision by %d, want %d", got, racers/2)
	}
	for racer := 0; racer < racers; racer += 2 {
		mustBeEnded(t, s, "example", grant(a, name(racer)).ID, "revoked")
		for _, token := range []string{name(racer), name(racer) + " next"} {
			_, err := s.Rotate(t.Context(), "example", rotation(token, token+" later", start))
			if !errors.Is(err, issuer.ErrEnded) && !errors.Is(err, issuer.ErrNotFound) {
				t.Errorf("Rotate(%q) after the end = %v, want ErrEnded, or ErrNotFound of one never made", token, err)
			}
		}
	}
}

// testRacingEnds: of many who end one grant one rings the bell, once.
func testRacingEnds(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	before := revision(t, s)
	race(t, s, func(racer int, engine Engine) {
		var err error
		if racer%3 == 0 {
			_, err = engine.EndReplayed(t.Context(), "example", g.OriginHash, start, start)
		} else {
			err = engine.EndGrant(t.Context(), "example", g.ID, fmt.Sprintf("reason %d", racer), start)
		}
		if err != nil {
			t.Errorf("racer %d: %v", racer, err)
		}
	})
	mustEnd(t, s.Engine, before, before+1, issuer.EndedGrant{Tenant: "example", ID: g.ID})
}
