package issuer_test

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/cache"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/oidc/issuer"
	"signpost/oidc/policy"
)

// conditional is the realm with conditions for a service and for programs.
func conditional(t testing.TB) *directory.Realm {
	t.Helper()
	text := strings.Replace(declaration, "    identity_providers:", `    clients:
      condition: '"staff" in claims.groups'
      fixed:
        - {id: desk, name: Desk, redirect_uris: ["http://127.0.0.1/cb"], dpop_bound_access_tokens: true, condition: 'client.kind == "fixed"'}
    broad_token: opaque
    identity_providers:`, 1)
	text = strings.Replace(text, "address_trust: email_verified}", "address_trust: email_verified, keep_claims: [groups]}", 1)
	text = strings.Replace(text, `"urn:ietf:params:oauth:scope:mail"], in_broad: false}`, `"urn:ietf:params:oauth:scope:mail"], in_broad: false, app_passwords: true, condition: 'claims.acr == "gold"'}`, 1)
	tenants, err := directory.Parse("tenants.yaml", []byte(text), os.LookupEnv, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := directory.Compile(base, tenants, 1)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := snapshot.Realm("example")
	return r
}

// TestPolicyRequest joins what is declared, known of the person, and kept of the sign-in.
func TestPolicyRequest(t *testing.T) {
	t.Parallel()
	r := conditional(t)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	i := &issuer.Issuer{Now: func() time.Time { return now }}
	signedInAt := now.Add(-time.Minute)
	account := issuer.Account{
		ID: "id", UpstreamIssuer: "https://login.example.test", Addresses: []string{"alice@example.test"}, Login: "al",
		Claims: map[string]any{"groups": []any{"staff"}, "acr": "platinum", "auth_time": 7.0, "domain": "elsewhere.test"},
	}
	for name, c := range map[string]struct {
		account issuer.Account
		grant   issuer.Grant
		want    map[string]any
	}{
		"everything known": {account, issuer.Grant{ACR: "gold", AMR: []string{"otp"}, AuthTime: signedInAt}, map[string]any{
			"groups": []any{"staff"}, "acr": "gold", "amr": []string{"otp"}, "auth_time": signedInAt,
			"address": "alice@example.test", "domain": "example.test", "login": "al",
		}},
		"a sign-in that says nothing": {account, issuer.Grant{}, map[string]any{
			"groups": []any{"staff"}, "address": "alice@example.test", "domain": "example.test", "login": "al",
		}},
		"an address that was lost": {issuer.Account{ID: "id", UpstreamIssuer: account.UpstreamIssuer, Addresses: []string{"a@lost.test"}, Login: "al"}, issuer.Grant{}, map[string]any{}},
	} {
		c.grant.Scopes, c.grant.ID, c.grant.ClientID, c.grant.Key = "openid", "g", "desk", "thumb"
		got, err := i.PolicyRequest(r, c.account, c.grant)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(got.Claims, c.want) || !got.AuthTime.Equal(c.grant.AuthTime) {
			t.Errorf("%s: conditions know %v (signed in at %v), want %v", name, got.Claims, got.AuthTime, c.want)
		}
		if got.BroadProfile != oidc.ProfileOpaque || got.TokenID != "" || !reflect.DeepEqual(got.Domains, []string{"example.test", "guests.test", "partner.test"}) {
			t.Errorf("%s: broad profile %q, token %q, domains %v", name, got.BroadProfile, got.TokenID, got.Domains)
		}
		imap, calendar := got.Services[0], got.Services[1]
		if imap.ID != "imap" || imap.Protocol != "imap" || imap.Condition.String() != `claims.acr == "gold"` || !imap.AppPasswords || calendar.Condition != nil || calendar.AppPasswords {
			t.Errorf("%s: services %+v, %+v", name, imap, calendar)
		}
	}
	if _, err := i.PolicyRequest(r, account, issuer.Grant{Scopes: "a  b"}); err == nil {
		t.Error("a grant with malformed scopes: no error")
	}
}

// TestAskedBy: who asks comes with the conditions of all programs, and with its own.
func TestAskedBy(t *testing.T) {
	t.Parallel()
	r := conditional(t)
	var request policy.Request
	issuer.AskedBy(&request, r, open)
	if request.ClientID != "open" || request.ClientKind != "open" || request.ClientBound || len(request.ClientConditions) != 1 {
		t.Errorf("open: %+v", request)
	}
	issuer.AskedBy(&request, r, clients.Client{ID: "desk", Kind: clients.Fixed, DPoPBound: true})
	if request.ClientID != "desk" || request.ClientKind != "fixed" || !request.ClientBound || len(request.ClientConditions) != 2 {
		t.Errorf("desk: %+v", request)
	}
}

// TestR15AskedByGrant: a program whose description is not at hand is not for that reason switched off,
// and the conditions for all programs hold for it.
func TestR15AskedByGrant(t *testing.T) {
	t.Parallel()
	r := conditional(t)
	memory := cache.NewMemory(1 << 20)
	t.Cleanup(memory.Close)
	i := &issuer.Issuer{Clients: &clients.Clients{Documents: memory, Now: time.Now}}
	for id, c := range map[string]struct {
		kind       clients.Kind
		conditions int
		err        error
	}{
		"open":                               {clients.Open, 1, nil},
		"desk":                               {clients.Fixed, 2, nil},
		"thunderbird":                        {clients.BuiltIn, 1, nil},
		"https://app.example/metadata.json":  {clients.URL, 1, nil},
		"https://127.0.0.1/not-a-public-one": {"", 0, clients.ErrUnknown},
		"nobody":                             {"", 0, clients.ErrUnknown},
	} {
		request := policy.Request{Grant: policy.Grant{ClientID: id}}
		err := i.AskedByGrant(t.Context(), &request, r)
		if !errors.Is(err, c.err) || request.ClientKind != string(c.kind) || len(request.ClientConditions) != c.conditions {
			t.Errorf("%s: kind %q, %d conditions, %v; want %q, %d, %v", id, request.ClientKind, len(request.ClientConditions), err, c.kind, c.conditions, c.err)
		}
		if request.ClientID != "" || request.ClientBound {
			t.Errorf("%s: %+v, want nothing said of who asks", id, request)
		}
	}
}
