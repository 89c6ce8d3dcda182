package directory

import "signpost/scopes"

// compiledService is what of a service is the same in every request, made once.
type compiledService struct {
	scopes scopes.Set
	hosts  []string
}

func (r *Realm) compileServices() {
	for _, s := range r.Services {
		c := compiledService{scopes: scopes.Of(s.Scopes...)}
		for _, e := range s.Endpoints {
			if e.Host != "" {
				c.hosts = append(c.hosts, e.Host)
			}
		}
		r.compiled = append(r.compiled, c)
	}
	for _, d := range r.Domains {
		r.domains = append(r.domains, d.Name)
	}
}

// OpenedBy returns the scopes that open the service with an index in Services.
func (r *Realm) OpenedBy(service int) scopes.Set { return r.compiled[service].scopes }

// Hosts returns the host names of the endpoints of the service with an index in Services. The
// list must not be changed.
func (r *Realm) Hosts(service int) []string { return r.compiled[service].hosts }

// DomainNames returns the names of the tenant's verified domains. The list must not be changed.
func (r *Realm) DomainNames() []string { return r.domains }
