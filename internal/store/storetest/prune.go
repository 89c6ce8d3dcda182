package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/audit"
	"signpost/oidc/apppassword"
	"signpost/oidc/issuer"
)

func mustPrune(t *testing.T, s Engine, before time.Time, most, want int) {
	t.Helper()
	if got, err := s.PruneAudit(t.Context(), before, most); err != nil || got != want {
		t.Errorf("PruneAudit(%v, %d) = %d, %v, want %d removed", before, most, got, err, want)
	}
}

func testPruneAudit(t *testing.T, s Store) {
	mustPrune(t, s, start, 100, 0)
	events := numbered(8, nil)
	events[6].At = start // kept late, as after an outage
	recordAll(t, s, events...)
	limit := start.Add(5 * time.Minute)
	mustPrune(t, s, limit, 2, 2)
	mustFind(t, s, audit.Query{}, "r1", "r2", "r3", "r4", "r5", "r7")
	mustPrune(t, s, limit, 2, 2)
	mustPrune(t, s.Again(t), limit, 100, 2)
	mustFind(t, s, audit.Query{}, "r5", "r7") // r5 happened at the limit, not before it
	mustPrune(t, s, limit, 100, 0)
	mustPrune(t, s, limit.Add(-time.Hour), 100, 0)
	mustPrune(t, s, limit.Add(time.Millisecond), 100, 1)
	mustFind(t, s, audit.Query{}, "r7")
}

// testPruneKeepsNewest: the id of the newest event is never given out again.
func testPruneKeepsNewest(t *testing.T, s Store) {
	recordAll(t, s, numbered(3, nil)...)
	last := search(t, s, audit.Query{Newest: true, Limit: 1})
	mustPrune(t, s, start.Add(time.Hour), 100, 2)
	mustFind(t, s, audit.Query{}, "r2")
	recordAll(t, s, numbered(1, nil)...)
	mustFind(t, s, audit.Query{After: last[0].ID}, "r0")
}

// testPruneRefusesYoung: what happened lately stays, whatever somebody asks for.
func testPruneRefusesYoung(t *testing.T, s Store) {
	now := time.Now()
	events := numbered(2, nil)
	events[0].At = now.Add(-13 * time.Hour)
	events[1].At = now
	recordAll(t, s, events...)
	for _, before := range []time.Time{now.Add(-11 * time.Hour), now, now.Add(time.Hour)} {
		if got, err := s.PruneAudit(t.Context(), before, 100); err == nil || got != 0 {
			t.Errorf("PruneAudit of everything before %v ago = %d, %v, want an error", now.Sub(before), got, err)
		}
	}
	mustFind(t, s, audit.Query{}, "r0", "r1")
	mustPrune(t, s, now.Add(-12*time.Hour-time.Minute), 100, 1)
	mustFind(t, s, audit.Query{}, "r1")
}

func testRacingPruners(t *testing.T, s Store) {
	const many = 400
	recordAll(t, s, numbered(many+1, nil)...)
	var removed atomic.Int64
	race(t, s, func(racer int, engine Engine) {
		n, err := engine.PruneAudit(t.Context(), start.Add(many*time.Minute), many/racers*2)
		if err != nil {
			t.Errorf("PruneAudit by racer %d: %v", racer, err)
		}
		removed.Add(int64(n))
	})
	if got := removed.Load(); got > many {
		t.Errorf("%d events were removed, want no more than the %d there were", got, many)
	}
	rest, err := s.PruneAudit(t.Context(), start.Add(many*time.Minute), many)
	if err != nil || removed.Load()+int64(rest) != many {
		t.Errorf("%d events were removed at once and %d after it, %v, want %d", removed.Load(), rest, err, many)
	}
	mustFind(t, s, audit.Query{}, fmt.Sprintf("r%d", many))
}

// ended is when the grants of the tests end.
var ended = start.Add(24 * time.Hour)

func mustPruneGrants(t *testing.T, s Engine, endedBefore time.Time, most, tokens, grants int) {
	t.Helper()
	if got, err := s.PruneRefreshTokens(t.Context(), endedBefore, most); err != nil || got != tokens {
		t.Errorf("PruneRefreshTokens(%v, %d) = %d, %v, want %d removed", endedBefore, most, got, err, tokens)
	}
	if got, err := s.PruneGrants(t.Context(), endedBefore, most); err != nil || got != grants {
		t.Errorf("PruneGrants(%v, %d) = %d, %v, want %d removed", endedBefore, most, got, err, grants)
	}
}

// testR18PruneKeepsFamilies: however old a used token is, while its family lives it is known
// that it was stolen when it comes again.
func testR18PruneKeepsFamilies(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	rotate(t, s, rotation("first", "second", start), "second")
	rotate(t, s, rotation("second", "third", start), "third")
	before := s.Rows(t, "SELECT * FROM refresh_tokens ORDER BY hash")
	years := start.Add(10 * 365 * 24 * time.Hour)
	mustPruneGrants(t, s, years, 100, 0, 0)
	if got := s.Rows(t, "SELECT * FROM refresh_tokens ORDER BY hash"); len(got) != 3 || !slices.Equal(got, before) {
		t.Errorf("the family has the rows\n%q\nwant it as before:\n%q", got, before)
	}
	if _, err := s.Rotate(t.Context(), "example", rotation("first", "stolen", years)); !errors.Is(err, issuer.ErrReused) {
		t.Errorf("Rotate with the oldest token of a living family = %v, want ErrReused", err)
	}
	mustBeEnded(t, s, "example", g.ID, "reuse")
}

func testR19PruneGrants(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	rotate(t, s, rotation("first", "second", start), "second")
	twin := grant(saveAccount(t, s, "other", account("alice")), "code at other")
	twin.ID = g.ID
	living := grant(account("alice"), "living")
	for tenant, g := range map[string]issuer.Grant{"other": twin, "example": living} {
		if err := s.CreateGrant(t.Context(), tenant, g, hash("first of "+tenant)); err != nil {
			t.Fatalf("CreateGrant(%s): %v", tenant, err)
		}
	}
	if err := s.EndGrant(t.Context(), "example", g.ID, "revoked", ended); err != nil {
		t.Fatalf("EndGrant: %v", err)
	}
	at := revision(t, s)

	// Until then its code is known when it comes again, and its tokens are known for what they are.
	mustPruneGrants(t, s, ended, 100, 0, 0)
	if err := s.CreateGrant(t.Context(), "example", g, nil); !errors.Is(err, issuer.ErrReplayed) {
		t.Errorf("CreateGrant with the code of an ended grant = %v, want ErrReplayed", err)
	}
	if _, err := s.Rotate(t.Context(), "example", rotation("second", "third", ended)); !errors.Is(err, issuer.ErrEnded) {
		t.Errorf("Rotate with a token of an ended grant = %v, want ErrEnded", err)
	}

	// The tokens go first, in their portions, and the grant when none is left.
	late := ended.Add(time.Millisecond)
	mustPruneGrants(t, s, late, 1, 1, 0)
	mustPruneGrants(t, s, late, 1, 1, 1)
	mustPruneGrants(t, s, late, 100, 0, 0)
	if _, err := s.Grant(t.Context(), "example", g.ID); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Grant of one that was removed = %v, want ErrNotFound", err)
	}
	if _, err := s.Rotate(t.Context(), "example", rotation("second", "third", ended)); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Rotate with a token of a grant that was removed = %v, want ErrNotFound", err)
	}
	mustLive(t, s, "other", twin.ID)
	mustLive(t, s, "example", living.ID)
	if got := len(s.Rows(t, "SELECT hash FROM refresh_tokens")); got != 2 {
		t.Errorf("%d refresh tokens are left, want the 2 of living grants", got)
	}
	if got := revision(t, s); got != at {
		t.Errorf("removing what has ended moved the revision from %d to %d", at, got)
	}
	if got, err := s.Account(t.Context(), "example", g.AccountID); err != nil || !reflect.DeepEqual(got, account("alice")) {
		t.Errorf("Account = %+v, %v, want it as before", got, err)
	}
}

// testR21PruneKeepsGrants: why a grant ended decides whether its app passwords go on, so it is
// kept while one does.
func testR21PruneKeepsGrants(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	password := apppassword.Kept{
		ID: "password", Selector: "selector", Hash: hash("password"), AccountID: g.AccountID, GrantID: g.ID, ClientID: g.ClientID,
		Username: "alice@example.com", Audiences: []string{"mail.example.com"}, CreatedAt: start,
	}
	if err := s.KeepAppPassword(t.Context(), "example", password, manyAppPasswords); err != nil {
		t.Fatalf("KeepAppPassword: %v", err)
	}
	if err := s.EndGrant(t.Context(), "example", g.ID, "replaced", ended); err != nil {
		t.Fatalf("EndGrant: %v", err)
	}
	years := ended.Add(10 * 365 * 24 * time.Hour)
	mustPruneGrants(t, s, years, 100, 1, 0)
	mustBeEnded(t, s, "example", g.ID, "replaced")
	if got, err := s.AppPassword(t.Context(), "example", password.Selector); err != nil || !got.Lives() {
		t.Errorf("AppPassword = %+v, %v, want it alive", got, err)
	}
	if _, err := s.EndAppPassword(t.Context(), "example", g.AccountID, password.ID, "person", ended); err != nil {
		t.Fatalf("EndAppPassword: %v", err)
	}
	mustPruneGrants(t, s, years, 100, 0, 1)
}
