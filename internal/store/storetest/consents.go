package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"signpost/oidc/issuer"
)

// mustAllow fails unless these scopes are remembered; "" means that nothing is.
func mustAllow(t *testing.T, s Engine, tenant, accountID, clientID, want string) {
	t.Helper()
	got, err := s.Consent(t.Context(), tenant, accountID, clientID)
	if want == "" {
		if !errors.Is(err, issuer.ErrNotFound) || got != "" {
			t.Errorf("Consent(%s, %s, %s) = %q, %v, want ErrNotFound", tenant, accountID, clientID, got, err)
		}
		return
	}
	if err != nil || got != want {
		t.Errorf("Consent(%s, %s, %s) = %q, %v, want %q", tenant, accountID, clientID, got, err, want)
	}
}

func testR12Consent(t *testing.T, s Store) {
	seed(t, s)
	alice := saveAccount(t, s, "example", account("alice"))
	bob := saveAccount(t, s, "example", account("bob"))
	mustAllow(t, s, "example", alice.ID, "webmail", "")
	for i, granted := range []string{"openid mail", "openid"} { // the second has fewer: it replaces
		if err := s.KeepConsent(t.Context(), "example", alice.ID, "webmail", granted, start.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatalf("KeepConsent(%q): %v", granted, err)
		}
		mustAllow(t, s, "example", alice.ID, "webmail", granted)
	}
	mustAllow(t, s.Again(t), "example", alice.ID, "webmail", "openid")
	mustAllow(t, s, "example", alice.ID, "other", "")
	mustAllow(t, s, "example", bob.ID, "webmail", "")
	if err := s.KeepConsent(t.Context(), "example", "nobody", "webmail", "openid", start); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("KeepConsent of an unknown account = %v, want ErrNotFound", err)
	}
	want := fmt.Sprintf("%s|webmail|openid|%d", alice.ID, start.Add(time.Hour).UnixMilli())
	if rows := s.Rows(t, "SELECT account_id, client_id, scopes, at FROM consents"); len(rows) != 1 || rows[0] != want {
		t.Errorf("consents has %q, want %q alone", rows, want)
	}
}

// testR12ForgottenConsent: of one client, then of all; everybody else's stay.
func testR12ForgottenConsent(t *testing.T, s Store) {
	seed(t, s)
	alice := saveAccount(t, s, "example", account("alice"))
	bob := saveAccount(t, s, "example", account("bob"))
	twin := saveAccount(t, s, "other", account("alice"))
	allow := func(tenant, accountID, clientID string) {
		t.Helper()
		if err := s.KeepConsent(t.Context(), tenant, accountID, clientID, "openid", start); err != nil {
			t.Fatalf("KeepConsent(%s, %s): %v", tenant, clientID, err)
		}
	}
	forget := func(tenant, accountID, clientID string) {
		t.Helper()
		if err := s.ForgetConsent(t.Context(), tenant, accountID, clientID); err != nil {
			t.Errorf("ForgetConsent(%s, %s, %q) = %v", tenant, accountID, clientID, err)
		}
	}
	for _, client := range []string{"webmail", "files", "chat"} {
		allow("example", alice.ID, client)
	}
	allow("example", bob.ID, "webmail")
	allow("other", twin.ID, "webmail")

	forget("example", alice.ID, "webmail")
	forget("example", alice.ID, "webmail") // a second time changes nothing
	forget("example", alice.ID, "unknown")
	forget("example", "nobody", "")
	forget("unknown", alice.ID, "")
	mustAllow(t, s.Again(t), "example", alice.ID, "webmail", "")
	mustAllow(t, s, "example", alice.ID, "files", "openid")
	allow("example", alice.ID, "webmail")
	forget("example", alice.ID, "")
	for _, client := range []string{"webmail", "files", "chat"} {
		mustAllow(t, s, "example", alice.ID, client, "")
	}
	mustAllow(t, s, "example", bob.ID, "webmail", "openid")
	mustAllow(t, s, "other", twin.ID, "webmail", "openid")
}

func testR12RacingConsents(t *testing.T, s Store) {
	seed(t, s)
	a := saveAccount(t, s, "example", account("alice"))
	race(t, s, func(racer int, engine Engine) {
		if err := engine.KeepConsent(t.Context(), "example", a.ID, "webmail", "openid", start); err != nil {
			t.Errorf("KeepConsent by racer %d: %v", racer, err)
		}
	})
	mustAllow(t, s, "example", a.ID, "webmail", "openid")
}

// mustBeRegistered fails unless this is kept of the client; nil means nothing.
func mustBeRegistered(t *testing.T, s Engine, tenant, clientID string, want []byte) {
	t.Helper()
	idHash := sha256.Sum256([]byte(clientID))
	got, found, err := s.Registration(t.Context(), tenant, idHash[:])
	if err != nil || found != (want != nil) || string(got) != string(want) {
		t.Errorf("Registration(%s, %s) = %q, %v, %v, want %q", tenant, clientID, got, found, err, want)
	}
}

func testR14Registration(t *testing.T, s Store) {
	seed(t, s)
	a := saveAccount(t, s, "example", account("alice"))
	mustBeRegistered(t, s, "example", "r1.registered", nil)
	for _, step := range []struct {
		code, client string
		says         []byte
	}{
		{"without", "fixed", nil},
		{"first", "r1.registered", []byte("\x00\xff what the id says")},
		{"second", "r1.registered", []byte("what it says differently")},
		{"third", "r1.registered", nil},
		{"another client's", "r1.another", []byte("another")},
	} {
		g := grant(a, step.code)
		g.ClientID, g.Registration = step.client, step.says
		if err := s.CreateGrant(t.Context(), "example", g, nil); err != nil {
			t.Fatalf("CreateGrant(%s): %v", step.code, err)
		}
		if got := loadGrant(t, s, "example", g.ID); got.Registration != nil {
			t.Errorf("Grant(%s) has the registration %q, want none", step.code, got.Registration)
		}
	}
	mustBeRegistered(t, s, "example", "fixed", nil)
	mustBeRegistered(t, s.Again(t), "example", "r1.registered", []byte("\x00\xff what the id says"))
	mustBeRegistered(t, s, "example", "r1.another", []byte("another"))
	mustBeRegistered(t, s, "other", "r1.registered", nil)

	// A code that comes again makes no grant and keeps nothing.
	replay := grant(a, "first")
	replay.ClientID, replay.Registration = "r1.replayed", []byte("replayed")
	if err := s.CreateGrant(t.Context(), "example", replay, nil); !errors.Is(err, issuer.ErrReplayed) {
		t.Errorf("CreateGrant with a used code = %v, want ErrReplayed", err)
	}
	mustBeRegistered(t, s, "example", "r1.replayed", nil)
}

// testR14RacingGrants: many people use a new program for the first time at once.
func testR14RacingGrants(t *testing.T, s Store) {
	seed(t, s)
	a := saveAccount(t, s, "example", account("alice"))
	race(t, s, func(racer int, engine Engine) {
		g := grant(a, fmt.Sprintf("code %d", racer))
		g.ClientID, g.Registration = "r1.registered", []byte("what the id says")
		if err := engine.CreateGrant(t.Context(), "example", g, hash(fmt.Sprintf("token %d", racer))); err != nil {
			t.Errorf("CreateGrant by racer %d: %v", racer, err)
		}
	})
	mustBeRegistered(t, s, "example", "r1.registered", []byte("what the id says"))
	if rows := s.Rows(t, "SELECT id FROM grants"); len(rows) != racers {
		t.Errorf("%d grants were made, want %d", len(rows), racers)
	}
}
