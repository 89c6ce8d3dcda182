package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"signpost/oidc/issuer"
)

func testGrants(t *testing.T, s Store) {
	seed(t, s)
	a := saveAccount(t, s, "example", account("alice"))
	full, bare := grant(a, "full"), grant(a, "bare")
	bare.Resources, bare.LastUsedAt = nil, time.Time{}
	bare.AuthTime, bare.ACR, bare.AMR, bare.Key = time.Time{}, "", nil, ""
	if err := s.CreateGrant(t.Context(), "example", full, hash("first")); err != nil {
		t.Fatalf("CreateGrant with a refresh token: %v", err)
	}
	if err := s.CreateGrant(t.Context(), "example", bare, nil); err != nil {
		t.Fatalf("CreateGrant without a refresh token: %v", err)
	}
	for _, want := range []issuer.Grant{full, bare} {
		if got := loadGrant(t, s, "example", want.ID); !reflect.DeepEqual(got, want) {
			t.Errorf("Grant(%s) =\n     %+v\nwant %+v", want.ID, got, want)
		}
	}
	if got, err := s.Refresh(t.Context(), "example", hash("first")); err != nil || !reflect.DeepEqual(got.Grant, full) {
		t.Errorf("Refresh has the grant\n     %+v, %v\nwant %+v", got.Grant, err, full)
	}
	if rows := s.Rows(t, "SELECT grant_id FROM refresh_tokens"); !reflect.DeepEqual(rows, []string{full.ID}) {
		t.Errorf("refresh tokens belong to %q, want one of %q", rows, full.ID)
	}
	if _, err := s.Grant(t.Context(), "example", "unknown"); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Grant(unknown) = %v, want ErrNotFound", err)
	}
}

func testGrantWithoutAccount(t *testing.T, s Store) {
	seed(t, s)
	g := grant(account("nobody"), "code")
	if err := s.CreateGrant(t.Context(), "example", g, hash("first")); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("CreateGrant without an account = %v, want ErrNotFound", err)
	}
	if found, err := s.EndReplayed(t.Context(), "example", g.OriginHash, start, start); found || err != nil {
		t.Errorf("EndReplayed after a refused grant = %v, %v, want nothing there", found, err)
	}

	// A second grant that cannot have its ID or its token leaves nothing behind.
	first := createGrant(t, s, "example")
	second := grant(account("alice"), "second")
	if err := s.CreateGrant(t.Context(), "example", second, hash("first")); err == nil || errors.Is(err, issuer.ErrReplayed) {
		t.Errorf("CreateGrant with another grant's refresh token = %v, want an error that is no replay", err)
	}
	if _, err := s.Grant(t.Context(), "example", second.ID); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("half a grant was written: %v, want ErrNotFound", err)
	}
	second.ID = first.ID
	if err := s.CreateGrant(t.Context(), "example", second, nil); err == nil || errors.Is(err, issuer.ErrReplayed) {
		t.Errorf("CreateGrant with another grant's ID = %v, want an error that is no replay", err)
	}
	mustLive(t, s, "example", first.ID)
}

func testEndGrant(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	at := start.Add(time.Minute)
	if err := s.EndGrant(t.Context(), "example", g.ID, "revoked", at); err != nil {
		t.Fatalf("EndGrant: %v", err)
	}
	before := revision(t, s)
	if err := s.EndGrant(t.Context(), "example", g.ID, "logout", at.Add(time.Minute)); err != nil {
		t.Errorf("ending an ended grant = %v, want no error", err)
	}
	if found, err := s.EndReplayed(t.Context(), "example", g.OriginHash, start, at.Add(time.Minute)); found || err != nil {
		t.Errorf("EndReplayed of an ended grant = %v, %v, want nothing to end", found, err)
	}
	g.EndedAt, g.EndedReason = at, "revoked"
	if got := loadGrant(t, s, "example", g.ID); !reflect.DeepEqual(got, g) {
		t.Errorf("the ended grant is\n     %+v\nwant %+v", got, g)
	}
	if got := revision(t, s); got != before {
		t.Errorf("ending an ended grant moved the revision from %d to %d", before, got)
	}
	if err := s.EndGrant(t.Context(), "example", "unknown", "revoked", at); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("EndGrant(unknown) = %v, want ErrNotFound", err)
	}
}

func testR19Replay(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	replay := grant(account("alice"), "code at example")
	replay.ID = "replay"
	replay.CreatedAt = start.Add(time.Minute)
	if err := s.CreateGrant(t.Context(), "example", replay, hash("second")); !errors.Is(err, issuer.ErrReplayed) {
		t.Errorf("redeeming a code again = %v, want ErrReplayed", err)
	}
	mustBeEnded(t, s, "example", g.ID, "replay")
	if got := loadGrant(t, s, "example", g.ID).EndedAt; !got.Equal(replay.CreatedAt) {
		t.Errorf("the first grant ended at %v, want %v", got, replay.CreatedAt)
	}
	if _, err := s.Grant(t.Context(), "example", replay.ID); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("the replay made a grant: %v, want ErrNotFound", err)
	}
	if _, err := s.Refresh(t.Context(), "example", hash("second")); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("the replay made a refresh token: %v, want ErrNotFound", err)
	}
	if _, err := s.Rotate(t.Context(), "example", rotation("first", "next", start)); !errors.Is(err, issuer.ErrEnded) {
		t.Errorf("the first grant's refresh token after the replay = %v, want ErrEnded", err)
	}
	if err := s.CreateGrant(t.Context(), "example", replay, nil); !errors.Is(err, issuer.ErrReplayed) {
		t.Errorf("redeeming a code a third time = %v, want ErrReplayed", err)
	}
}

func testR19EndReplayed(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	if found, err := s.EndReplayed(t.Context(), "example", hash("never redeemed"), start, start); found || err != nil {
		t.Errorf("EndReplayed(unknown) = %v, %v, want false", found, err)
	}
	if found, err := s.EndReplayed(t.Context(), "example", g.OriginHash, start.Add(time.Second), start); found || err != nil {
		t.Errorf("EndReplayed of an older grant = %v, %v, want false", found, err)
	}
	mustLive(t, s, "example", g.ID)
	if found, err := s.EndReplayed(t.Context(), "example", g.OriginHash, start, start); !found || err != nil {
		t.Errorf("EndReplayed = %v, %v, want true", found, err)
	}
	mustBeEnded(t, s, "example", g.ID, "replay")
}

func testR19Race(t *testing.T, s Store) {
	seed(t, s)
	a := saveAccount(t, s, "example", account("alice"))
	var won, replayed atomic.Int32
	race(t, s, func(racer int, engine Engine) {
		g := grant(a, "one code")
		g.ID = fmt.Sprintf("grant-%d", racer)
		err := engine.CreateGrant(t.Context(), "example", g, hash(fmt.Sprintf("token %d", racer)))
		switch {
		case err == nil:
			won.Add(1)
		case errors.Is(err, issuer.ErrReplayed):
			replayed.Add(1)
		default:
			t.Errorf("CreateGrant by racer %d: %v", racer, err)
		}
	})
	if won.Load() != 1 || replayed.Load() != racers-1 {
		t.Errorf("%d racers redeemed the code and %d got ErrReplayed, want 1 and %d", won.Load(), replayed.Load(), racers-1)
	}
	ids := s.Rows(t, "SELECT id FROM grants")
	if len(ids) != 1 {
		t.Fatalf("the code made %d grants, want 1", len(ids))
	}
	mustBeEnded(t, s, "example", ids[0], "replay")
	if tokens := s.Rows(t, "SELECT grant_id FROM refresh_tokens"); !reflect.DeepEqual(tokens, ids) {
		t.Errorf("refresh tokens belong to %q, want one of %q", tokens, ids)
	}
}

func testR19OtherTenant(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	foreign := grant(saveAccount(t, s, "other", account("alice")), "code at example")
	before := revision(t, s)
	if err := s.CreateGrant(t.Context(), "other", foreign, hash("foreign")); !errors.Is(err, issuer.ErrReplayed) {
		t.Errorf("redeeming another tenant's code = %v, want ErrReplayed", err)
	}
	if _, err := s.Grant(t.Context(), "other", foreign.ID); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("another tenant's code made a grant: %v, want ErrNotFound", err)
	}
	mustLive(t, s, "example", g.ID)
	if got := revision(t, s); got != before {
		t.Errorf("another tenant's replay moved the revision from %d to %d", before, got)
	}
}
