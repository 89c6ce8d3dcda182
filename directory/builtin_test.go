package directory

import (
	"strings"
	"testing"

	"signpost/oidc"
)

// The built-in programs are public, and have the redirect URIs that they are shipped with.
func TestR13BuiltInClients(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"thunderbird":      "http://localhost http://localhost/ http://127.0.0.1 http://127.0.0.1/",
		"OpenCloudDesktop": "http://127.0.0.1 http://localhost",
		"OpenCloudAndroid": "oc://android.opencloud.eu",
		"OpenCloudIOS":     "oc://ios.opencloud.eu",
	}
	clients := BuiltInClients()
	if len(clients) != len(want) {
		t.Errorf("%d built-in clients, want %d", len(clients), len(want))
	}
	for _, c := range clients {
		if got := strings.Join(c.RedirectURIs, " "); got != want[c.ID] {
			t.Errorf("client %s redirects to %q, want %q", c.ID, got, want[c.ID])
		}
		if c.Name == "" || c.Authentication != oidc.AuthNone || c.SecretHash != nil || c.JWKS != "" {
			t.Errorf("client %+v: want a public one with a name", c)
		}
	}
	clients[0].RedirectURIs[0] = "https://evil.example/"
	if got := BuiltInClients()[0].RedirectURIs[0]; got != "http://localhost" {
		t.Errorf("whoever changes the list changes it for others: %q", got)
	}
}

func TestRealmFixedClient(t *testing.T) {
	t.Parallel()
	own := FixedClient{ID: "OpenCloudIOS", Name: "Our own build", RedirectURIs: []string{"com.example.ios:/cb"}}
	s := mustCompile(t, []Tenant{
		{Name: "plain", Placement: PlacementPath},
		{
			Name: "careful", Placement: PlacementPath, FixedClients: []FixedClient{{ID: "web", Name: "Web"}, own},
			Clients: ClientPolicy{BuiltInOff: []string{"thunderbird", "OpenCloudIOS", "gone"}},
		},
	})
	for _, c := range []struct{ tenant, id, want string }{ // want is the name, or nothing
		{"plain", "thunderbird", "Thunderbird"},
		{"plain", "OpenCloudIOS", "OpenCloud iOS App"},
		{"plain", "Thunderbird", ""},
		{"plain", "web", ""},
		{"plain", "open", ""},
		{"plain", "", ""},
		{"careful", "thunderbird", ""},
		{"careful", "OpenCloudDesktop", "OpenCloud Desktop Client"},
		{"careful", "web", "Web"},
		{"careful", "OpenCloudIOS", "Our own build"}, // what is declared goes before what is built in
	} {
		r, _ := s.Realm(c.tenant)
		got, found := r.FixedClient(c.id)
		if got.Name != c.want || found != (c.want != "") {
			t.Errorf("FixedClient(%q) of %s = %q, %v; want %q", c.id, c.tenant, got.Name, found, c.want)
		}
	}
}

func TestRealmResourceServer(t *testing.T) {
	t.Parallel()
	r, _ := mustCompile(t, []Tenant{{Name: "one", Placement: PlacementBase, ResourceServers: []ResourceServer{{Name: "a"}, {Name: "dovecot", Audiences: []string{"x"}}}}}).Realm("one")
	if got, found := r.ResourceServer("dovecot"); !found || got.Audiences[0] != "x" {
		t.Errorf("ResourceServer(dovecot) = %+v, %v", got, found)
	}
	for _, name := range []string{"", "Dovecot", "x", "open"} {
		if got, found := r.ResourceServer(name); found {
			t.Errorf("ResourceServer(%q) = %+v, want none", name, got)
		}
	}
}
