package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"signpost/oidc/apppassword"
	"signpost/oidc/issuer"
)

// ofGrant makes a grant of an account, and returns it with an app password that is made from it and not kept yet.
func ofGrant(t *testing.T, s Engine, a issuer.Account, id string) (issuer.Grant, apppassword.Kept) {
	t.Helper()
	g := grant(a, "code for "+id)
	if err := s.CreateGrant(t.Context(), "example", g, nil); err != nil {
		t.Fatalf("CreateGrant: %v", err)
	}
	k := appPassword(a, id)
	k.GrantID, k.ClientID = g.ID, g.ClientID
	return g, k
}

// testR21BoundOfAppPasswords: those count that live, and no others.
func testR21BoundOfAppPasswords(t *testing.T, s Store) {
	seed(t, s)
	alice := saveAccount(t, s, "example", account("alice"))
	keepAppPassword(t, s, "example", appPassword(saveAccount(t, s, "example", account("bob")), "bobs"))
	revoked, dies := ofGrant(t, s, alice, "dies with its grant")
	replaced, stays := ofGrant(t, s, alice, "outlives its grant")
	for n, k := range []apppassword.Kept{appPassword(alice, "first"), dies, stays} {
		keepAppPassword(t, s, "example", k)
		if err := s.KeepAppPassword(t.Context(), "example", appPassword(alice, "one more"), n+1); !errors.Is(err, apppassword.ErrFull) {
			t.Errorf("KeepAppPassword beside %d of as many = %v, want ErrFull", n+1, err)
		}
	}
	for g, reason := range map[string]string{revoked.ID: "revoked", replaced.ID: "replaced"} {
		if err := s.EndGrant(t.Context(), "example", g, reason, start); err != nil {
			t.Fatalf("EndGrant: %v", err)
		}
	}
	if err := s.KeepAppPassword(t.Context(), "example", appPassword(alice, "in the place of the dead one"), 3); err != nil {
		t.Errorf("KeepAppPassword beside two that live, of three = %v", err)
	}
	// A Signpost of before ends a grant and not what was made from it.
	old, orphan := ofGrant(t, s, alice, "of a grant that an old one ends")
	keepAppPassword(t, s, "example", orphan)
	s.Rows(t, "UPDATE grants SET ended_at = 1, ended_reason = 'revoked' WHERE id = '"+old.ID+"' RETURNING id")
	if err := s.KeepAppPassword(t.Context(), "example", appPassword(alice, "in the place of that one"), 4); err != nil {
		t.Errorf("KeepAppPassword beside three that live, of four = %v", err)
	}
	if err := s.KeepAppPassword(t.Context(), "example", appPassword(alice, "one more"), 4); !errors.Is(err, apppassword.ErrFull) {
		t.Errorf("KeepAppPassword beside four that live, of four = %v, want ErrFull", err)
	}
}

func testR21RacingForTheLastAppPassword(t *testing.T, s Store) {
	seed(t, s)
	alice := saveAccount(t, s, "example", account("alice"))
	keepAppPassword(t, s, "example", appPassword(alice, "first"))
	kept := make([]bool, racers)
	race(t, s, func(racer int, engine Engine) {
		err := engine.KeepAppPassword(t.Context(), "example", appPassword(alice, fmt.Sprintf("racer %d", racer)), 2)
		if kept[racer] = err == nil; err != nil && !errors.Is(err, apppassword.ErrFull) {
			t.Errorf("KeepAppPassword by racer %d: %v", racer, err)
		}
	})
	if only(kept) < 0 {
		t.Errorf("kept by %v, want by one", kept)
	}
}

// testR21AppPasswordOfEndedSignIn: what has ended makes none any more, whoever had begun to.
func testR21AppPasswordOfEndedSignIn(t *testing.T, s Store) {
	seed(t, s)
	alice, bob := saveAccount(t, s, "example", account("alice")), saveAccount(t, s, "example", account("bob"))
	refused := func(name string, k apppassword.Kept) {
		t.Helper()
		if err := s.KeepAppPassword(t.Context(), "example", k, manyAppPasswords); !errors.Is(err, apppassword.ErrEnded) {
			t.Errorf("KeepAppPassword: %s = %v, want ErrEnded", name, err)
		}
	}
	for _, reason := range []string{"revoked", "replaced"} {
		g, k := ofGrant(t, s, alice, reason)
		if err := s.EndGrant(t.Context(), "example", g.ID, reason, start); err != nil {
			t.Fatalf("EndGrant: %v", err)
		}
		refused("its grant was "+reason, k)
	}
	_, foreign := ofGrant(t, s, bob, "bobs grant")
	foreign.AccountID = alice.ID
	refused("of another account's grant", foreign)
	foreign.GrantID = "unknown"
	refused("of no grant", foreign)

	page := appPassword(alice, "page")
	page.AllowedAt = start
	if _, err := s.EndGrants(t.Context(), "example", alice.ID, "open", "person", start); err != nil {
		t.Fatalf("EndGrants: %v", err)
	}
	keepAppPassword(t, s, "example", page) // one program's end is not the end of everything
	if _, err := s.EndGrants(t.Context(), "example", alice.ID, "", "person", start); err != nil {
		t.Fatalf("EndGrants: %v", err)
	}
	for name, at := range map[string]time.Time{"before": start.Add(-time.Hour), "in the same millisecond": start.Add(999 * time.Microsecond), "nobody knows when": {}} {
		k := appPassword(alice, name)
		k.AllowedAt = at
		refused("everything was ended since the session began "+name, k)
	}
	after := appPassword(alice, "after")
	after.AllowedAt = start.Add(time.Millisecond)
	keepAppPassword(t, s, "example", after)
	keepAppPassword(t, s, "example", appPassword(bob, "bobs"))
}

// testR21AppPasswordsMeetTheEnd: some make passwords from a grant while others end it. Whoever is first, none is left.
func testR21AppPasswordsMeetTheEnd(t *testing.T, s Store) {
	seed(t, s)
	alice := saveAccount(t, s, "example", account("alice"))
	g, k := ofGrant(t, s, alice, "contested")
	race(t, s, func(racer int, engine Engine) {
		var err error
		switch racer {
		case 2:
			err = engine.EndGrant(t.Context(), "example", g.ID, "revoked", start)
		case 3:
			_, err = engine.EndGrants(t.Context(), "example", alice.ID, "", "person", start)
		default:
			k := k
			k.ID, k.Selector = fmt.Sprintf("racer %d", racer), fmt.Sprintf("selector %d", racer)
			err = engine.KeepAppPassword(t.Context(), "example", k, manyAppPasswords)
		}
		if err != nil && !errors.Is(err, apppassword.ErrEnded) {
			t.Errorf("racer %d: %v", racer, err)
		}
	})
	mustList(t, s, "example", alice.ID)
}

// testR21EndOfEverything: what the person allowed before makes no grant after it, and nobody else's end counts.
func testR21EndOfEverything(t *testing.T, s Store) {
	seed(t, s)
	alice := saveAccount(t, s, "example", account("alice"))
	bob, twin := saveAccount(t, s, "example", account("bob")), saveAccount(t, s, "other", account("alice"))
	allowed := func(tenant string, a issuer.Account, code string, at time.Time, want error) {
		t.Helper()
		g := grant(a, code)
		g.AllowedAt = at
		if err := s.CreateGrant(t.Context(), tenant, g, hash("refresh "+code)); !errors.Is(err, want) {
			t.Errorf("CreateGrant by %s at %s, allowed at %v = %v, want %v", a.ID, tenant, at, err, want)
		}
	}
	end := func(client string, at time.Time, want time.Time) {
		t.Helper()
		if _, err := s.EndGrants(t.Context(), "example", alice.ID, client, "person", at); err != nil {
			t.Fatalf("EndGrants: %v", err)
		}
		for _, engine := range []Engine{s, s.Again(t)} {
			if got, err := engine.Account(t.Context(), "example", alice.ID); err != nil || !got.EndedBefore.Equal(want) {
				t.Errorf("after the end of %q at %v everything was ended before %v, %v, want %v", client, at, got.EndedBefore, err, want)
			}
		}
	}
	end("open", start, time.Time{})
	allowed("example", alice, "before any end", time.Time{}, nil)
	end("", start, start)
	end("", start.Add(-time.Hour), start) // a clock that is behind takes nothing back
	before := s.Rows(t, "SELECT id FROM grants ORDER BY id")
	allowed("example", alice, "nobody knows when", time.Time{}, issuer.ErrEnded)
	allowed("example", alice, "before", start.Add(-time.Minute), issuer.ErrEnded)
	allowed("example", alice, "in the same millisecond", start.Add(999*time.Microsecond), issuer.ErrEnded)
	if got := s.Rows(t, "SELECT id FROM grants ORDER BY id"); !slices.Equal(got, before) || len(s.Rows(t, "SELECT hash FROM refresh_tokens")) != 1 {
		t.Errorf("grants %q, want %q, and no refresh tokens of the refused ones", got, before)
	}
	alice.LastSignInAt = start.Add(time.Second)
	saveAccount(t, s, "example", alice) // who signs in again begins anew, and brings back nothing
	allowed("example", alice, "still before", start.Add(-time.Second), issuer.ErrEnded)
	allowed("example", alice, "after", start.Add(time.Millisecond), nil)
	allowed("example", bob, "bobs", start.Add(-time.Minute), nil)
	allowed("other", twin, "her twin's", start.Add(-time.Minute), nil)
}

func testR21PruneAppPasswords(t *testing.T, s Store) {
	seed(t, s)
	alice := saveAccount(t, s, "example", account("alice"))
	g, dead := ofGrant(t, s, alice, "dead")
	for _, k := range []apppassword.Kept{dead, appPassword(alice, "ended"), appPassword(alice, "living")} {
		keepAppPassword(t, s, "example", k)
	}
	if err := s.EndGrant(t.Context(), "example", g.ID, "revoked", ended); err != nil {
		t.Fatalf("EndGrant: %v", err)
	}
	if _, err := s.EndAppPassword(t.Context(), "example", alice.ID, "ended", "person", ended); err != nil {
		t.Fatalf("EndAppPassword: %v", err)
	}
	prune := func(endedBefore time.Time, most, want int) {
		t.Helper()
		if got, err := s.PruneAppPasswords(t.Context(), endedBefore, most); err != nil || got != want {
			t.Errorf("PruneAppPasswords(%v, %d) = %d, %v, want %d removed", endedBefore, most, got, err, want)
		}
	}
	late := ended.Add(time.Millisecond)
	prune(ended, 100, 0)
	prune(late, 1, 1)
	prune(late, 100, 1)
	prune(late, 100, 0)
	mustPruneGrants(t, s, late, 100, 0, 1)
	if got := s.Rows(t, "SELECT id FROM app_passwords"); !slices.Equal(got, []string{"living"}) {
		t.Errorf("app_passwords has %q, want the living one", got)
	}
}
