package directory

import "strings"

// Reserved reports whether a name has another meaning somewhere in this installation: it is
// the audience of a service, an issuer or a resource server of any tenant. No stranger's
// client may have it for an id, so that no token means two things (R7). URLs that
// differ in a slash at the end are one name.
func (r *Realm) Reserved(name string) bool {
	return r.reserved[strings.TrimSuffix(name, "/")]
}

// reserve tells every realm the names of all of them.
func (s *Snapshot) reserve() {
	names := make(map[string]bool)
	add := func(name string) { names[strings.TrimSuffix(name, "/")] = true }
	for _, r := range s.realms {
		add(r.Issuer)
		for _, p := range r.IdentityProviders {
			add(p.Issuer)
		}
		for _, service := range r.Services {
			add(service.Audience)
		}
		for _, server := range r.ResourceServers {
			add(server.Name)
		}
		r.reserved = names
	}
}
