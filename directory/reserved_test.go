package directory

import "testing"

// TestR7NamesAreReservedAcrossTenants: what any tenant calls an audience, an issuer or a
// resource server is reserved at all of them.
func TestR7NamesAreReservedAcrossTenants(t *testing.T) {
	t.Parallel()
	s, err := Compile("https://id.example.com", []Tenant{
		{Name: "one", Placement: PlacementPath, Services: []Service{webdav("https://cloud.example.net/dav/")},
			IdentityProviders: []IdentityProvider{{Name: "staff", Issuer: "https://login.example.net/realm"}}},
		{Name: "two", Placement: "https://id.example.org", ResourceServers: []ResourceServer{{Name: "https://mail.example.org/server"}}},
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Realms() {
		for _, name := range []string{
			"https://cloud.example.net/dav/", "https://cloud.example.net/dav", "https://login.example.net/realm", "https://mail.example.org/server",
			"https://id.example.com/t/one", "https://id.example.com/t/one/", "https://id.example.org", "https://id.example.org/",
		} {
			if !r.Reserved(name) {
				t.Errorf("tenant %s: %s is free", r.Name, name)
			}
		}
		for _, name := range []string{"", "open", "https://cloud.example.net/", "https://cloud.example.net/dav/x", "https://id.example.com", "https://client.example.net/x.json"} {
			if r.Reserved(name) {
				t.Errorf("tenant %s: %q is reserved", r.Name, name)
			}
		}
	}
}
