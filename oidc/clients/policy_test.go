package clients_test

import (
	"encoding/hex"
	"fmt"
	"testing"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/clients"
)

func TestR13Find(t *testing.T) {
	t.Parallel()
	c := newRig(t)
	r := realm(t, "example", func(tenant *directory.Tenant) {
		tenant.FixedClients = []directory.FixedClient{
			{ID: "webmail", Name: "Webmail", RedirectURIs: []string{"https://mail.example.test/cb"}, Authentication: oidc.AuthSecretBasic, SecretHash: hashOf(secret), IDTokenAlgorithm: "ES256"},
			{ID: "OpenCloudIOS", Name: "Ours", RedirectURIs: []string{"oc://ours"}, Authentication: oidc.AuthNone},
		}
	})
	for id, want := range map[string]clients.Client{
		"open":         {Kind: clients.Open, Authentication: oidc.AuthNone, IDTokenAlgorithm: "RS256"},
		"webmail":      {Kind: clients.Fixed, Name: "Webmail", Authentication: oidc.AuthSecretBasic, IDTokenAlgorithm: "ES256"},
		"thunderbird":  {Kind: clients.BuiltIn, Name: "Thunderbird", Authentication: oidc.AuthNone, IDTokenAlgorithm: "RS256"},
		"OpenCloudIOS": {Kind: clients.Fixed, Name: "Ours", Authentication: oidc.AuthNone, IDTokenAlgorithm: "RS256"}, // declared before built in
	} {
		got := find(t, c.Clients, r, id)
		if got.ID != id || got.Kind != want.Kind || got.Name != want.Name || got.Authentication != want.Authentication || got.IDTokenAlgorithm != want.IDTokenAlgorithm || got.Registration != nil {
			t.Errorf("Find(%s) = %+v, want %+v", id, got, want)
		}
	}
	for _, id := range []string{"", "nobody", "Open", "open ", "webmail\n", "Thunderbird", "http://example.com/"} {
		unknown(t, c.Clients, r, id)
	}
}

// TestR13EachHasItsSwitch: what the tenant switches off is unknown.
func TestR13EachHasItsSwitch(t *testing.T) {
	t.Parallel()
	c := newRig(t)
	unknown(t, c.Clients, policy(t, directory.ClientPolicy{OpenOff: true}), "open")
	off := policy(t, directory.ClientPolicy{BuiltInOff: []string{"thunderbird"}})
	unknown(t, c.Clients, off, "thunderbird")
	find(t, c.Clients, off, "OpenCloudDesktop")
	find(t, c.Clients, off, "open")

	id := register(t, c.Clients, policy(t, directory.ClientPolicy{}), example).ClientID
	off = policy(t, directory.ClientPolicy{RegistrationOff: true})
	find(t, c.Clients, off, id) // known ones go on
	_, err := c.Register(t.Context(), off, []byte(example))
	wantCode(t, err, oidc.CodeAccessDenied, "registration is off")
}

// TestR14BlockableByHashSoftwareAndRedirect: the kill switch makes a client unknown, to
// Find and so to every endpoint, and refuses its registration.
func TestR14BlockableByHashSoftwareAndRedirect(t *testing.T) {
	t.Parallel()
	c := newRig(t)
	id := register(t, c.Clients, policy(t, directory.ClientPolicy{}), example).ClientID
	for name, match := range map[string]directory.ClientMatch{
		"id":                 {ID: id},
		"id hash":            {IDHash: hex.EncodeToString(hashOf(id))},
		"software id":        {SoftwareID: "4b3b7e0c-2c39-4d0e-93a7-0d5f1f4f5d11"},
		"redirect":           {Redirect: "com.example.mail:/redirect"},
		"scheme":             {Redirect: "com.example.mail"},
		"loopback, any port": {Redirect: "http://127.0.0.1:99/"},
		"localhost":          {Redirect: "http://localhost/"},
	} {
		denied := policy(t, directory.ClientPolicy{Deny: []directory.ClientMatch{{ID: "somebody"}, match}})
		unknown(t, c.Clients, denied, id)
		_, err := c.Register(t.Context(), denied, []byte(example))
		wantCode(t, err, oidc.CodeInvalidClientMetadata, "denied by "+name)
		allowed := policy(t, directory.ClientPolicy{Allow: []directory.ClientMatch{match}, Deny: []directory.ClientMatch{match}})
		unknown(t, c.Clients, allowed, id)
	}
	for _, match := range []directory.ClientMatch{
		{ID: id[1:]}, {IDHash: hex.EncodeToString(hashOf("x"))}, {SoftwareID: "other"}, {Redirect: "com.example"}, {Redirect: "com.example.mail:/"}, {Host: "mail.example.com"}, {},
	} {
		find(t, c.Clients, policy(t, directory.ClientPolicy{Deny: []directory.ClientMatch{match}}), id)
	}
	for _, id := range []string{"open", "thunderbird"} {
		unknown(t, c.Clients, policy(t, directory.ClientPolicy{Deny: []directory.ClientMatch{{ID: id}}}), id)
	}
	unknown(t, c.Clients, policy(t, directory.ClientPolicy{Deny: []directory.ClientMatch{{Redirect: "http://localhost"}}}), "thunderbird")
}

// TestR14AllowList: with a list only what it names registers, and one listed redirect
// URI brings no other with it.
func TestR14AllowList(t *testing.T) {
	t.Parallel()
	c := newRig(t)
	id := register(t, c.Clients, policy(t, directory.ClientPolicy{}), example).ClientID
	all := []directory.ClientMatch{{Redirect: "com.example.mail"}, {Redirect: "http://[::1]:7/"}}
	for name, list := range map[string][]directory.ClientMatch{
		"id": {{ID: id}}, "hash": {{IDHash: hex.EncodeToString(hashOf(id))}}, "software": {{ID: "x"}, {SoftwareID: "4b3b7e0c-2c39-4d0e-93a7-0d5f1f4f5d11"}}, "every redirect": all,
	} {
		r := policy(t, directory.ClientPolicy{Allow: list})
		find(t, c.Clients, r, id)
		if got := register(t, c.Clients, r, example).ClientID; got != id {
			t.Errorf("%s: registered as %s", name, got)
		}
		find(t, c.Clients, r, "open") // the list is for those who come by themselves
		find(t, c.Clients, r, "thunderbird")
	}
	for _, list := range [][]directory.ClientMatch{{{ID: "x"}}, all[:1], all[1:], {{Redirect: "com.example.other"}}, {{Host: "mail.example.com"}}} {
		r := policy(t, directory.ClientPolicy{Allow: list})
		unknown(t, c.Clients, r, id)
		_, err := c.Register(t.Context(), r, []byte(example))
		wantCode(t, err, oidc.CodeInvalidClientMetadata, "not in the list")
	}
}

// TestR14LoopbackIsOneName: a redirect URI is denied and allowed by any name of the
// loopback interface, up to the port.
func TestR14LoopbackIsOneName(t *testing.T) {
	t.Parallel()
	c := newRig(t)
	hosts := []string{"http://127.0.0.1", "http://[::1]", "http://localhost"}
	for _, listed := range hosts {
		for _, own := range hosts[:2] {
			match := []directory.ClientMatch{{Redirect: listed + "/cb"}}
			body := fmt.Appendf(nil, `{"redirect_uris":["%s/cb"]}`, own)
			_, err := c.Register(t.Context(), policy(t, directory.ClientPolicy{Deny: match}), body)
			wantCode(t, err, oidc.CodeInvalidClientMetadata, own+", denied by "+listed)
			if _, err := c.Register(t.Context(), policy(t, directory.ClientPolicy{Allow: match}), body); err != nil {
				t.Errorf("%s, allowed by %s: %v", own, listed, err)
			}
			other := fmt.Appendf(nil, `{"redirect_uris":["%s/cb2"]}`, own)
			if _, err := c.Register(t.Context(), policy(t, directory.ClientPolicy{Deny: match}), other); err != nil {
				t.Errorf("another path of %s, %s is denied: %v", own, listed, err)
			}
		}
		match := directory.ClientMatch{Redirect: listed}
		unknown(t, c.Clients, policy(t, directory.ClientPolicy{Deny: []directory.ClientMatch{match}}), "thunderbird")
	}
}
