package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"signpost/oidc/apppassword"
	"signpost/oidc/issuer"
)

// manyAppPasswords is more than any test makes of one account.
const manyAppPasswords = 100

// appPassword returns one of an account, with every field that it can have while it lives.
func appPassword(a issuer.Account, id string) apppassword.Kept {
	return apppassword.Kept{
		ID: id, Selector: "selector-" + id, Hash: hash("password " + id), AccountID: a.ID, ClientID: "account-page",
		Label: "Printer <second floor>", Username: "alice@example.com", Audiences: []string{"mail.example.com", "https://dav.example.com/"},
		Scopes: "urn:ietf:params:oauth:scope:mail urn:ietf:params:oauth:scope:calendars", CreatedAt: start,
	}
}

func keepAppPassword(t *testing.T, s Engine, tenant string, k apppassword.Kept) {
	t.Helper()
	if err := s.KeepAppPassword(t.Context(), tenant, k, manyAppPasswords); err != nil {
		t.Fatalf("KeepAppPassword(%s, %s): %v", tenant, k.ID, err)
	}
}

func mustHaveAppPassword(t *testing.T, s Engine, tenant string, want apppassword.Kept) {
	t.Helper()
	if got, err := s.AppPassword(t.Context(), tenant, want.Selector); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("AppPassword(%s, %s) = %+v, %v\nwant %+v", tenant, want.Selector, got, err, want)
	}
}

// mustList fails unless an account has these app passwords, in this order.
func mustList(t *testing.T, s Engine, tenant, accountID string, want ...apppassword.Kept) {
	t.Helper()
	if got, err := s.AppPasswords(t.Context(), tenant, accountID); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("AppPasswords(%s, %s) = %+v, %v\nwant %+v", tenant, accountID, got, err, want)
	}
}

func testAppPasswords(t *testing.T, s Store) {
	seed(t, s)
	alice, bob := saveAccount(t, s, "example", account("alice")), saveAccount(t, s, "example", account("bob"))
	before := revision(t, s)
	older, newer, bobs := appPassword(alice, "older"), appPassword(alice, "newer"), appPassword(bob, "bobs")
	newer.CreatedAt, newer.Label = start.Add(time.Hour), ""
	for _, k := range []apppassword.Kept{older, newer, bobs} {
		keepAppPassword(t, s, "example", k)
	}
	for _, k := range []apppassword.Kept{older, newer, bobs} {
		mustHaveAppPassword(t, s.Again(t), "example", k)
	}
	mustList(t, s, "example", alice.ID, newer, older)
	mustList(t, s, "example", "nobody")
	if _, err := s.AppPassword(t.Context(), "example", "unknown"); !errors.Is(err, apppassword.ErrNotFound) {
		t.Errorf("AppPassword(unknown) = %v, want ErrNotFound", err)
	}

	second := appPassword(bob, "second")
	second.Selector = older.Selector
	if err := s.KeepAppPassword(t.Context(), "example", second, manyAppPasswords); !errors.Is(err, apppassword.ErrTaken) {
		t.Errorf("KeepAppPassword with a selector that is there = %v, want ErrTaken", err)
	}
	mustHaveAppPassword(t, s, "example", older)
	nobodys := appPassword(issuer.Account{ID: "nobody"}, "nobodys")
	if err := s.KeepAppPassword(t.Context(), "example", nobodys, manyAppPasswords); !errors.Is(err, apppassword.ErrNotFound) {
		t.Errorf("KeepAppPassword of an unknown account = %v, want ErrNotFound", err)
	}
	short := appPassword(bob, "short")
	short.Hash = short.Hash[:31]
	if err := s.KeepAppPassword(t.Context(), "example", short, manyAppPasswords); err == nil {
		t.Error("KeepAppPassword with a hash of 31 bytes = nil, want an error")
	}
	if got := revision(t, s); got != before {
		t.Errorf("app passwords moved the revision from %d to %d: they are read at each check", before, got)
	}
}

// testAppPasswordUse: noted once in a while, whoever else notes it.
func testAppPasswordUse(t *testing.T, s Store) {
	seed(t, s)
	k := appPassword(saveAccount(t, s, "example", account("alice")), "one")
	keepAppPassword(t, s, "example", k)
	for _, step := range []struct {
		at, noted time.Duration
	}{{0, 0}, {30 * time.Minute, 0}, {time.Hour, 0}, {time.Hour + time.Second, time.Hour + time.Second}, {2 * time.Hour, time.Hour + time.Second}} {
		now := start.Add(step.at)
		if err := s.UseAppPassword(t.Context(), "example", k.ID, now, now.Add(-time.Hour)); err != nil {
			t.Fatalf("UseAppPassword: %v", err)
		}
		k.LastUsedAt = start.Add(step.noted)
		mustHaveAppPassword(t, s, "example", k)
	}
	if err := s.UseAppPassword(t.Context(), "example", "unknown", start, start); err != nil {
		t.Errorf("UseAppPassword(unknown) = %v, want nil", err)
	}
}

func testR21EndAppPassword(t *testing.T, s Store) {
	seed(t, s)
	alice, bob := saveAccount(t, s, "example", account("alice")), saveAccount(t, s, "example", account("bob"))
	first, second, bobs := appPassword(alice, "first"), appPassword(alice, "second"), appPassword(bob, "bobs")
	for _, k := range []apppassword.Kept{first, second, bobs} {
		keepAppPassword(t, s, "example", k)
	}
	end := func(accountID, id, reason string, now time.Time, want bool) {
		t.Helper()
		if got, err := s.EndAppPassword(t.Context(), "example", accountID, id, reason, now); err != nil || got != want {
			t.Errorf("EndAppPassword(%s, %s) = %v, %v, want %v", accountID, id, got, err, want)
		}
	}
	end(alice.ID, "bobs", "person", start, false)
	end(alice.ID, "unknown", "person", start, false)
	end(alice.ID, "first", "person", start.Add(time.Hour), true)
	end(alice.ID, "first", "administrator", start.Add(2*time.Hour), false) // the first reason stays
	first.EndedAt, first.EndedReason = start.Add(time.Hour), "person"
	mustHaveAppPassword(t, s.Again(t), "example", first)
	mustList(t, s, "example", alice.ID, second)

	for accountID, want := range map[string]int{alice.ID: 1, "nobody": 0} {
		if got, err := s.EndAppPasswords(t.Context(), "example", accountID, "administrator", start.Add(3*time.Hour)); err != nil || got != want {
			t.Errorf("EndAppPasswords(%s) = %d, %v, want %d", accountID, got, err, want)
		}
	}
	second.EndedAt, second.EndedReason = start.Add(3*time.Hour), "administrator"
	mustHaveAppPassword(t, s, "example", first)
	mustHaveAppPassword(t, s, "example", second)
	mustHaveAppPassword(t, s, "example", bobs)
	mustList(t, s, "example", alice.ID)
}

// testR21GrantOfAppPassword: how the grant ended is told with the password, also when the grant is gone.
func testR21GrantOfAppPassword(t *testing.T, s Store) {
	seed(t, s)
	alice := saveAccount(t, s, "example", account("alice"))
	for n, reason := range []string{"", "revoked", "person", "administrator", "reuse", "replay", "replaced", "expired"} {
		g := grant(alice, fmt.Sprintf("code %d", n))
		if err := s.CreateGrant(t.Context(), "example", g, nil); err != nil {
			t.Fatalf("CreateGrant: %v", err)
		}
		k := appPassword(alice, "of "+g.ID)
		k.GrantID, k.ClientID = g.ID, g.ClientID
		keepAppPassword(t, s, "example", k)
		mustHaveAppPassword(t, s, "example", k)
		if reason == "" {
			continue
		}
		if err := s.EndGrant(t.Context(), "example", g.ID, reason, start); err != nil {
			t.Fatalf("EndGrant: %v", err)
		}
		k.GrantEnded = reason
		if reason != "replaced" && reason != "expired" {
			k.EndedAt, k.EndedReason = start, reason
		}
		mustHaveAppPassword(t, s, "example", k)
		if reason != "revoked" {
			continue
		}
		// A grant that is gone has ended, whyever it is gone.
		if n, err := s.PruneGrants(t.Context(), start.Add(time.Hour), 1); n != 1 || err != nil {
			t.Fatalf("PruneGrants = %d, %v, want the one", n, err)
		}
		k.GrantEnded = "gone"
		mustHaveAppPassword(t, s, "example", k)
	}
}

// testR21AppPasswordsDieWithTheAccount, and with the tenant.
func testR21AppPasswordsDieWithTheAccount(t *testing.T, s Store) {
	seed(t, s)
	for _, tenant := range []string{"example", "other"} {
		keepAppPassword(t, s, tenant, appPassword(saveAccount(t, s, tenant, account("alice")), "one"))
	}
	if _, err := s.SaveTenants(t.Context(), seeded, nil, []string{"example"}); err != nil {
		t.Fatalf("SaveTenants: %v", err)
	}
	if rows := s.Rows(t, "SELECT tenant FROM app_passwords"); len(rows) != 1 || rows[0] != "other" {
		t.Errorf("app_passwords has %q, want that of the other tenant alone", rows)
	}
}

// testAppPasswordIsolation: twins at two tenants, and every method asked as another tenant.
func testAppPasswordIsolation(t *testing.T, s Store) {
	seed(t, s)
	mine, theirs := appPassword(saveAccount(t, s, "example", account("alice")), "one"), appPassword(saveAccount(t, s, "other", account("alice")), "one")
	theirs.Label = "the other tenant's"
	keepAppPassword(t, s, "example", mine)
	keepAppPassword(t, s, "other", theirs)
	g := grant(account("alice"), "twin")
	if err := s.CreateGrant(t.Context(), "other", g, nil); err != nil {
		t.Fatalf("CreateGrant: %v", err)
	}
	far := appPassword(account("alice"), "far")
	far.GrantID = g.ID // which lives, but at the other tenant
	if err := s.KeepAppPassword(t.Context(), "example", far, manyAppPasswords); !errors.Is(err, apppassword.ErrEnded) {
		t.Errorf("KeepAppPassword of another tenant's grant = %v, want ErrEnded", err)
	}
	for _, tenant := range []string{"unknown", "", "Example", "example' OR '1'='1"} {
		if _, err := s.AppPassword(t.Context(), tenant, mine.Selector); !errors.Is(err, apppassword.ErrNotFound) {
			t.Errorf("AppPassword as tenant %q = %v, want ErrNotFound", tenant, err)
		}
		if err := s.KeepAppPassword(t.Context(), tenant, appPassword(account("alice"), "new"), manyAppPasswords); !errors.Is(err, apppassword.ErrNotFound) {
			t.Errorf("KeepAppPassword as tenant %q = %v, want ErrNotFound", tenant, err)
		}
		mustList(t, s, tenant, mine.AccountID)
	}
	if ended, err := s.EndAppPassword(t.Context(), "unknown", mine.AccountID, mine.ID, "person", start); ended || err != nil {
		t.Errorf("EndAppPassword of example's as the other tenant = %v, %v, want nothing ended", ended, err)
	}
	if ended, err := s.EndAppPasswords(t.Context(), "other", mine.AccountID, "person", start); ended != 1 || err != nil {
		t.Errorf("EndAppPasswords of the other tenant = %d, %v, want its own alone", ended, err)
	}
	if err := s.UseAppPassword(t.Context(), "other", "one", start, start); err != nil {
		t.Errorf("UseAppPassword: %v", err)
	}
	mustHaveAppPassword(t, s, "example", mine)
	theirs.EndedAt, theirs.EndedReason, theirs.LastUsedAt = start, "person", start
	mustHaveAppPassword(t, s, "other", theirs)
}

// testRacingAppPasswords: of many with one selector one is kept, and of many who end it one did.
func testRacingAppPasswords(t *testing.T, s Store) {
	seed(t, s)
	alice := saveAccount(t, s, "example", account("alice"))
	kept, ended := make([]bool, racers), make([]bool, racers)
	race(t, s, func(racer int, engine Engine) {
		k := appPassword(alice, fmt.Sprintf("racer %d", racer))
		k.Selector = "contested"
		err := engine.KeepAppPassword(t.Context(), "example", k, manyAppPasswords)
		if kept[racer] = err == nil; err != nil && !errors.Is(err, apppassword.ErrTaken) {
			t.Errorf("KeepAppPassword by racer %d: %v", racer, err)
		}
	})
	winner, err := s.AppPassword(t.Context(), "example", "contested")
	if err != nil || only(kept) < 0 || winner.ID != fmt.Sprintf("racer %d", only(kept)) {
		t.Fatalf("kept by %v, and there is %+v, %v: want the one winner's", kept, winner, err)
	}
	race(t, s, func(racer int, engine Engine) {
		var err error
		if racer%3 == 0 {
			var n int
			n, err = engine.EndAppPasswords(t.Context(), "example", alice.ID, "person", start)
			ended[racer] = n == 1
		} else {
			ended[racer], err = engine.EndAppPassword(t.Context(), "example", alice.ID, winner.ID, "person", start)
		}
		if err != nil {
			t.Errorf("end by racer %d: %v", racer, err)
		}
	})
	if only(ended) < 0 {
		t.Errorf("ended by %v, want one", ended)
	}
}

// only returns the one that is true, or -1.
func only(list []bool) int {
	found := -1
	for i, yes := range list {
		if yes && found >= 0 {
			return -1
		}
		if yes {
			found = i
		}
	}
	return found
}
