package directory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"signpost/scopes"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	text := map[string]string{"en": "x"}
	for what, c := range map[string]struct {
		change func([]Tenant) []Tenant
		want   string // lines
	}{
		"nothing": {func(ts []Tenant) []Tenant { return ts }, ""},
		"a tenant is new": {func(ts []Tenant) []Tenant {
			return append(ts, Tenant{Name: "new", Domains: []Domain{{Name: "new.test"}}, Services: []Service{{ID: "mail"}}})
		}, "+ tenant new\n+ domain new/new.test\n+ service new/mail"},
		"a tenant is gone": {func(ts []Tenant) []Tenant { return ts[:1] }, "- tenant other\n- domain other/other.test\n- service other/mail"},
		"everything is gone and comes again": {func([]Tenant) []Tenant { return []Tenant{{Name: "x"}} },
			"+ tenant x\n- tenant example\n- domain example/example.test\n- domain example/example.org\n- identity provider example/staff\n" +
				"- service example/mail\n- service example/send\n- service example/calendars\n- service example/files\n" +
				"- tenant other\n- domain other/other.test\n- service other/mail"},
		"tenant": {func(ts []Tenant) []Tenant {
			ts[0].Title, ts[0].Help, ts[0].Placement = "New", "", PlacementPath
			return ts
		},
			"~ tenant example: issuer base -> path, title Example Organisation -> New, help https://www.example.test/help -> nothing"},
		"order of domains": {func(ts []Tenant) []Tenant {
			ts[0].Domains = []Domain{ts[0].Domains[1], ts[0].Domains[0]}
			return ts
		}, "~ tenant example: order of domains changed"},
		"domains": {func(ts []Tenant) []Tenant {
			ts[0].Domains = []Domain{ts[0].Domains[1], {Name: "new.test", Verification: VerificationOperator}}
			return ts
		}, "+ domain example/new.test\n- domain example/example.test"},
		"verification": {func(ts []Tenant) []Tenant { ts[1].Domains[0].Verification = "dns"; return ts }, "~ domain other/other.test: verification operator -> dns"},
		"identity provider": {func(ts []Tenant) []Tenant {
			p := &ts[0].IdentityProviders[0]
			p.ClientSecret, p.Scopes, p.Domains = "correct horse", []string{"openid"}, []string{"example.test"}
			return ts
		}, "~ identity provider example/staff: client_secret changed, scopes openid profile email -> openid, domains example.test example.org -> example.test"},
		"service": {func(ts []Tenant) []Tenant {
			s := &ts[0].Services[0]
			s.Endpoints, s.Lifetime, s.InBroad, s.Order = append(s.Endpoints, Endpoint{URL: "https://x.test/"}), 5*time.Minute, true, 9
			return ts
		}, "~ service example/mail: endpoints imap.example.test:993/tls -> imap.example.test:993/tls https://x.test/, lifetime 15m0s -> 5m0s, in_broad false -> true, order 1 -> 9"},
		"client policy": {func(ts []Tenant) []Tenant {
			ts[0].Clients = ClientPolicy{RegistrationOff: true, BuiltInOff: []string{"OpenCloudIOS"}, Device: DeviceOff, Deny: []ClientMatch{{Host: "evil.test"}, {SoftwareID: "x"}}}
			return ts
		}, "~ client policy example: registration true -> false, built_in OpenCloudIOS true -> false, device fixed-clients -> off, deny nothing -> host=evil.test software_id=x"},
		"client policy of a new tenant": {func(ts []Tenant) []Tenant {
			return append(ts, Tenant{Name: "new", Clients: ClientPolicy{URLsOff: true, OpenOff: true, Allow: []ClientMatch{{ID: "a"}}}})
		}, "+ tenant new\n~ client policy new: url_ids true -> false, open true -> false, allow nothing -> id=a"},
		"what zero means of programs": {func(ts []Tenant) []Tenant {
			ts[0].Clients.Device, ts[0].Services[2].DPoP = DeviceFixed, ""
			return ts
		}, ""},
		"programs are new": {func(ts []Tenant) []Tenant {
			ts[0].FixedClients, ts[1].ResourceServers = []FixedClient{{ID: "webmail"}}, []ResourceServer{{Name: "dovecot"}}
			return ts
		}, "+ client example/webmail\n+ resource server other/dovecot"},
		"dpop":                {func(ts []Tenant) []Tenant { ts[0].Services[2].DPoP = DPoPAccepts; return ts }, "~ service example/calendars: dpop none -> accepts"},
		"what zero means":     {func(ts []Tenant) []Tenant { ts[0].Services[0].Lifetime = 0; return ts }, ""},
		"a scope":             {func(ts []Tenant) []Tenant { ts[1].Scopes = []scopes.Scope{{Name: "a"}}; return ts }, "+ scope other/a"},
		"a service by its id": {func(ts []Tenant) []Tenant { ts[1].Services[0].ID = "post"; return ts }, "+ service other/post\n- service other/mail"},
	} {
		changes := Diff(mustParse(t, installation), c.change(mustParse(t, installation)))
		if got := lines(changes); got != c.want {
			t.Errorf("%s: Diff says\n%s\nwant\n%s", what, got, c.want)
		}
	}

	before := []Tenant{{Name: "t", Scopes: []scopes.Scope{{Name: "a", Title: text, Text: text}}}}
	after := []Tenant{{Name: "t", Scopes: []scopes.Scope{{Name: "a", Title: map[string]string{"en": "y"}, Text: text, Broad: true, Opens: []string{"imap"}}}}}
	if got, want := lines(Diff(before, after)), "~ scope t/a: opens nothing -> imap, broad false -> true, title changed"; got != want {
		t.Errorf("scopes: Diff says %s, want %s", got, want)
	}
}

func TestDiffPrograms(t *testing.T) {
	t.Parallel()
	tenant := func(c FixedClient, s ResourceServer) []Tenant {
		c.ID, s.Name = "webmail", "dovecot"
		return []Tenant{{Name: "t", FixedClients: []FixedClient{c}, ResourceServers: []ResourceServer{s}}}
	}
	before := tenant(FixedClient{Name: "Webmail", RedirectURIs: []string{"https://a.test/"}, Authentication: "none"}, ResourceServer{Audiences: []string{"a"}, SecretHash: []byte{1}})
	after := tenant(FixedClient{
		Name: "Mail", RedirectURIs: []string{"https://b.test/"}, PostLogoutRedirectURIs: []string{"https://b.test/bye"}, Authentication: "private_key_jwt",
		SecretHash: []byte{1}, JWKS: "{}", IDTokenAlgorithm: "ES256", DPoPBound: true,
	}, ResourceServer{Audiences: []string{"a", "b"}, Authentication: "private_key_jwt", SecretHash: []byte{2}, JWKS: "{}"})
	const want = "~ client t/webmail: name Webmail -> Mail, redirect_uris https://a.test/ -> https://b.test/, post_logout_redirect_uris nothing -> https://b.test/bye, " +
		"authentication none -> private_key_jwt, secret changed, jwks changed, id_token_algorithm RS256 -> ES256, dpop_bound_access_tokens false -> true\n" +
		"~ resource server t/dovecot: audiences a -> a b, authentication nothing -> private_key_jwt, secret changed, jwks changed"
	if got := lines(Diff(before, after)); got != want {
		t.Errorf("Diff says\n%s\nwant\n%s", got, want)
	}
	if got, want := lines(Diff(before, nil)), "- tenant t\n- client t/webmail\n- resource server t/dovecot"; got != want {
		t.Errorf("a tenant is gone: Diff says\n%s\nwant\n%s", got, want)
	}
}

func lines(changes []Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, c.String())
	}
	return strings.Join(all, "\n")
}

// Whatever happens to a secret, a change says only that it did.
func TestChangesNeverShowASecret(t *testing.T) {
	t.Parallel()
	with := func(secret Secret) []Tenant {
		tenants := mustParse(t, installation)
		tenants[0].IdentityProviders[0].ClientSecret = secret
		return tenants
	}
	for what, c := range map[string]struct{ before, after []Tenant }{
		"set":     {with(""), with("hunter2")},
		"rotated": {with("hunter2"), with("hunter3")},
		"removed": {with("hunter2"), with("")},
		"added":   {nil, with("hunter2")},
		"gone":    {with("hunter2"), nil},
	} {
		changes := Diff(c.before, c.after)
		if len(changes) == 0 {
			t.Errorf("%s: no change", what)
		}
		if shown := fmt.Sprintf("%v %+v %#v", lines(changes), changes, changes); strings.Contains(shown, "hunter") {
			t.Errorf("%s: a change shows the secret: %s", what, shown)
		}
	}
}
