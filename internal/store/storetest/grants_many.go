package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"signpost/oidc/issuer"
)

// createGrants makes a grant of the account for each client, each a minute after the
// one before.
func createGrants(t *testing.T, s Engine, tenant string, a issuer.Account, clients ...string) []issuer.Grant {
	t.Helper()
	var made []issuer.Grant
	for i, client := range clients {
		g := grant(a, fmt.Sprintf("code %d of %s at %s", i, a.ID, tenant))
		g.ClientID, g.CreatedAt = client, start.Add(time.Duration(i)*time.Minute)
		if err := s.CreateGrant(t.Context(), tenant, g, nil); err != nil {
			t.Fatalf("CreateGrant(%s, %s): %v", tenant, client, err)
		}
		made = append(made, g)
	}
	return made
}

// mustHaveGrants fails unless these grants of the account live.
func mustHaveGrants(t *testing.T, s Engine, tenant, accountID string, want ...issuer.Grant) {
	t.Helper()
	if got, err := s.Grants(t.Context(), tenant, accountID); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Grants(%s, %s) =\n     %+v, %v\nwant %+v", tenant, accountID, got, err, want)
	}
}

func testGrantsOfAccount(t *testing.T, s Store) {
	seed(t, s)
	alice := saveAccount(t, s, "example", account("alice"))
	bob := saveAccount(t, s, "example", account("bob"))
	mustHaveGrants(t, s, "example", alice.ID)
	mustHaveGrants(t, s, "example", "nobody")
	made := createGrants(t, s, "example", alice, "open", "webmail", "open")
	bobs := createGrants(t, s, "example", bob, "open")
	mustHaveGrants(t, s, "example", alice.ID, made[2], made[1], made[0])
	if err := s.EndGrant(t.Context(), "example", made[1].ID, "revoked", start); err != nil {
		t.Fatalf("EndGrant: %v", err)
	}
	mustHaveGrants(t, s, "example", alice.ID, made[2], made[0])
	mustHaveGrants(t, s, "example", bob.ID, bobs...)
}

// testEndGrants: the grants of one client end, then all that are left, each time with
// one stroke of the bell, and nobody else's.
func testEndGrants(t *testing.T, s Store) {
	seed(t, s)
	alice := saveAccount(t, s, "example", account("alice"))
	made := createGrants(t, s, "example", alice, "open", "webmail", "open", "mail")
	bobs := createGrants(t, s, "example", saveAccount(t, s, "example", account("bob")), "open")
	twins := createGrants(t, s, "other", saveAccount(t, s, "other", account("alice")), "open")
	if err := s.EndGrant(t.Context(), "example", made[0].ID, "earlier", start); err != nil {
		t.Fatalf("EndGrant: %v", err)
	}
	before, at := revision(t, s), start.Add(time.Hour)

	for i, step := range []struct {
		client string
		want   []issuer.Grant
	}{
		{"open", made[2:3]},
		{"", []issuer.Grant{made[1], made[3]}},
	} {
		ended, err := s.EndGrants(t.Context(), "example", alice.ID, step.client, "revoked", at)
		if err != nil || ended != len(step.want) {
			t.Errorf("EndGrants(client %q) = %d, %v, want %d", step.client, ended, err, len(step.want))
		}
		raised := before + int64(i) + 1
		told, got, err := s.Ended(t.Context(), raised-1)
		if err != nil || got != raised || len(told) != len(step.want) {
			t.Errorf("Ended after EndGrants(client %q) = %v at %d, %v, want %d at %d", step.client, told, got, err, len(step.want), raised)
		}
		for _, g := range step.want {
			mustBeEnded(t, s, "example", g.ID, "revoked")
			if got := loadGrant(t, s, "example", g.ID).EndedAt; !got.Equal(at) {
				t.Errorf("grant %s ended at %v, want %v", g.ID, got, at)
			}
			if !slices.Contains(told, issuer.EndedGrant{Tenant: "example", ID: g.ID}) {
				t.Errorf("Ended = %v, want %s among them", told, g.ID)
			}
		}
	}
	for _, client := range []string{"", "open", "unknown"} {
		if ended, err := s.EndGrants(t.Context(), "example", alice.ID, client, "again", at); err != nil || ended != 0 {
			t.Errorf("EndGrants(client %q) with none that lives = %d, %v, want 0", client, ended, err)
		}
	}
	if _, err := s.EndGrants(t.Context(), "example", "nobody", "", "revoked", at); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("EndGrants of an unknown account = %v, want ErrNotFound", err)
	}
	if got := revision(t, s); got != before+2 {
		t.Errorf("the revision went from %d to %d, want 2 more", before, got)
	}
	mustBeEnded(t, s, "example", made[0].ID, "earlier")
	mustLive(t, s, "example", bobs[0].ID)
	mustLive(t, s, "other", twins[0].ID)
}

// testRacingEndsOfAll: of many who end all grants of an account one finds them.
func testRacingEndsOfAll(t *testing.T, s Store) {
	seed(t, s)
	a := saveAccount(t, s, "example", account("alice"))
	made := createGrants(t, s, "example", a, slices.Repeat([]string{"open", "webmail"}, 10)...)
	before := revision(t, s)
	var ended atomic.Int32
	race(t, s, func(racer int, engine Engine) {
		n, err := engine.EndGrants(t.Context(), "example", a.ID, "", "revoked", start)
		if err != nil {
			t.Errorf("EndGrants by racer %d: %v", racer, err)
		}
		if n != 0 && n != len(made) {
			t.Errorf("EndGrants by racer %d ended %d grants, want all %d or none", racer, n, len(made))
		}
		ended.Add(int32(n))
	})
	if int(ended.Load()) != len(made) {
		t.Errorf("the racers ended %d grants, want each of %d once", ended.Load(), len(made))
	}
	if told, at, err := s.Ended(t.Context(), before); err != nil || at != before+1 || len(told) != len(made) {
		t.Errorf("Ended = %d grants at %d, %v, want %d at %d", len(told), at, err, len(made), before+1)
	}
}
