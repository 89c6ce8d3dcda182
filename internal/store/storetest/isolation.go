package storetest

import (
	"errors"
	"reflect"
	"testing"

	"signpost/directory"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
)

// testIsolation asks every method for what another tenant has.
func testIsolation(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	addKeys(t, s, "example", key("key-1"))
	registered := grant(account("alice"), "registered")
	registered.ClientID, registered.Registration = "r1.registered", []byte("what the id says")
	if err := s.CreateGrant(t.Context(), "example", registered, nil); err != nil {
		t.Fatalf("CreateGrant: %v", err)
	}
	if err := s.KeepConsent(t.Context(), "example", g.AccountID, "webmail", "openid", start); err != nil {
		t.Fatalf("KeepConsent: %v", err)
	}
	alice := account("alice")
	before, ctx := revision(t, s), t.Context()

	for _, tenant := range []string{"other", "unknown", "", "Example", "example' OR '1'='1"} {
		for method, call := range map[string]func() error{
			"Account": func() error { _, err := s.Account(ctx, tenant, g.AccountID); return err },
			"AccountOf": func() error {
				_, err := s.AccountOf(ctx, tenant, alice.UpstreamIssuer, alice.UpstreamSubject)
				return err
			},
			"AccountByName": func() error { _, err := s.AccountByName(ctx, tenant, alice.Addresses[0]); return err },
			"Consent":       func() error { _, err := s.Consent(ctx, tenant, g.AccountID, "webmail"); return err },
			"KeepConsent":   func() error { return s.KeepConsent(ctx, tenant, g.AccountID, "webmail", "openid mail", start) },
			"Grant":         func() error { _, err := s.Grant(ctx, tenant, g.ID); return err },
			"Refresh":       func() error { _, err := s.Refresh(ctx, tenant, hash("first")); return err },
			"Rotate":        func() error { _, err := s.Rotate(ctx, tenant, rotation("first", "next", start)); return err },
			"EndGrant": func() error {
				return s.EndGrant(ctx, tenant, g.ID, "revoked", start)
			},
			"EndGrants": func() error {
				_, err := s.EndGrants(ctx, tenant, g.AccountID, "", "revoked", start)
				return err
			},
			"CreateGrant for its account": func() error {
				return s.CreateGrant(ctx, tenant, grant(account("alice"), "another code"), nil)
			},
		} {
			if err := call(); !errors.Is(err, issuer.ErrNotFound) {
				t.Errorf("%s of example's as tenant %q = %v, want ErrNotFound", method, tenant, err)
			}
		}
		if found, err := s.EndReplayed(ctx, tenant, g.OriginHash, start, start); found || err != nil {
			t.Errorf("EndReplayed of example's code as tenant %q = %v, %v, want nothing there", tenant, found, err)
		}
		if found, err := s.Keys(ctx, tenant); err != nil || len(found) != 0 {
			t.Errorf("Keys as tenant %q = %d keys, %v, want none", tenant, len(found), err)
		}
		if err := s.ReplaceKey(ctx, tenant, keys.Replacement{Head: "key-1", Next: key("key-2"), Compromised: true}); !errors.Is(err, keys.ErrReplaced) {
			t.Errorf("ReplaceKey of example's as tenant %q = %v, want ErrReplaced", tenant, err)
		}
		mustHaveGrants(t, s, tenant, g.AccountID)
		mustBeRegistered(t, s, tenant, "r1.registered", nil)
	}
	mustLive(t, s, "example", g.ID)
	mustHaveKeys(t, s, "example", key("key-1"))
	mustAllow(t, s, "example", g.AccountID, "webmail", "openid")
	if got := revision(t, s); got != before {
		t.Errorf("asking for another tenant's moved the revision from %d to %d", before, got)
	}
}

// testIsolationOfTwins has the same person, names, IDs, tokens and key IDs at
// both tenants: what happens at one leaves the other as it was.
func testIsolationOfTwins(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	twin := grant(saveAccount(t, s, "other", account("alice")), "code at other")
	twin.ID, twin.Scopes = g.ID, "openid"
	if err := s.CreateGrant(t.Context(), "other", twin, hash("first")); err != nil {
		t.Fatalf("CreateGrant with the same ID and token at another tenant: %v", err)
	}
	for _, tenant := range []string{"example", "other"} {
		if kept, err := s.AddKey(t.Context(), tenant, key("key-1")); !kept || err != nil {
			t.Errorf("AddKey(%s) = %v, %v, want it kept", tenant, kept, err)
		}
	}
	for tenant, want := range map[string]issuer.Grant{"example": g, "other": twin} {
		if got, err := s.Refresh(t.Context(), tenant, hash("first")); err != nil || !reflect.DeepEqual(got.Grant, want) {
			t.Errorf("Refresh(%s) has the grant\n     %+v, %v\nwant %+v", tenant, got.Grant, err, want)
		}
	}

	rotate(t, s, rotation("first", "second", start), "second")
	rotate(t, s, rotation("second", "third", start), "third")
	if got, err := s.Refresh(t.Context(), "other", hash("first")); err != nil || !got.UsedAt.IsZero() {
		t.Errorf("the other tenant's token was used at %v, %v, want it unused", got.UsedAt, err)
	}
	// The successor of the same hash was used at one tenant; at the other one
	// the predecessor may be repeated.
	for range 2 {
		if _, err := s.Rotate(t.Context(), "other", rotation("first", "second", start)); err != nil {
			t.Fatalf("Rotate at the other tenant: %v", err)
		}
	}
	if got, want := s.Rows(t, "SELECT tenant, repeats FROM refresh_tokens WHERE repeats > 0"), []string{"other|1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("repetitions were counted as %q, want %q", got, want)
	}
	if err := s.EndGrant(t.Context(), "other", twin.ID, "revoked", start); err != nil {
		t.Fatalf("EndGrant: %v", err)
	}
	mustLive(t, s, "example", g.ID)

	moved := account("alice")
	moved.Addresses, moved.Login = nil, ""
	saveAccount(t, s, "example", moved)
	heir := account("heir")
	heir.Login = "alice"
	if _, err := s.SaveAccount(t.Context(), "other", heir); !errors.Is(err, issuer.ErrTaken) {
		t.Errorf("SaveAccount of a name that was given up at another tenant = %v, want ErrTaken", err)
	}
}

// testIsolationOfTwinFacts has clients, resource servers, consents and registrations of
// the same names at both tenants.
func testIsolationOfTwinFacts(t *testing.T, s Store) {
	left, right := exampleTenant(), otherTenant()
	right.FixedClients = exampleTenant().FixedClients
	right.FixedClients[0].Name, right.FixedClients[0].SecretHash = "Webmail of Other", hash("other's secret")
	right.ResourceServers = exampleTenant().ResourceServers
	right.ResourceServers[0].SecretHash = hash("other's server's secret")
	base := save(t, s, 0, left, right)
	mustHave(t, s, left, right)
	for _, tenant := range []string{"example", "other"} {
		g := grant(saveAccount(t, s, tenant, account("alice")), "code at "+tenant)
		g.ClientID, g.Registration = "r1.registered", []byte("said at "+tenant)
		if err := s.CreateGrant(t.Context(), tenant, g, nil); err != nil {
			t.Fatalf("CreateGrant(%s): %v", tenant, err)
		}
		if err := s.KeepConsent(t.Context(), tenant, g.AccountID, "webmail", "allowed at "+tenant, start); err != nil {
			t.Fatalf("KeepConsent(%s): %v", tenant, err)
		}
	}
	for _, tenant := range []string{"example", "other"} {
		mustBeRegistered(t, s, tenant, "r1.registered", []byte("said at "+tenant))
		mustAllow(t, s, tenant, account("alice").ID, "webmail", "allowed at "+tenant)
	}

	left.FixedClients, left.ResourceServers, left.Clients = nil, nil, directory.ClientPolicy{}
	base = save(t, s, base, left)
	mustHave(t, s, left, right)
	if _, err := s.SaveTenants(t.Context(), base, nil, []string{"example"}); err != nil {
		t.Fatalf("SaveTenants(remove example): %v", err)
	}
	mustHave(t, s, right)
	mustBeRegistered(t, s, "other", "r1.registered", []byte("said at other"))
	mustAllow(t, s, "other", account("alice").ID, "webmail", "allowed at other")
}
