package directory

import (
	"fmt"
	"slices"
	"strings"

	"signpost/internal/condition"
	"signpost/oidc"
	"signpost/scopes"
)

// Realm is a tenant as compiled: with its issuer, its catalogue and the
// documents that are the same for everybody. It never changes.
type Realm struct {
	Tenant                          // Services sorted by Order
	Issuer        string            // issuer URL without trailing slash
	Catalogue     *scopes.Catalogue // the built-in one with the tenant's scopes
	Broad         scopes.Set        // what a client asks for to open everything the tenant has
	ScopeDocument []byte            // JSON, the body of {issuer}/scopes

	// ProtectedResources are the issuer's own resource and the audiences of all
	// services by order: complete, or nil if there are more than 200 (R30).
	ProtectedResources []string

	compiled         []compiledService                 // of Services
	domains          []string                          // names of Domains
	profiles         map[string]oidc.Profile           // by name
	conditions       map[string]*condition.Condition   // by source; of all realms
	everyClient      []*condition.Condition            // of the client policy
	clientConditions map[string][]*condition.Condition // of clients that have one of their own

	at         place          // of Issuer
	byAudience map[string]int // index of a service in Services
	clients    map[string]FixedClient
	reserved   map[string]bool // of all realms; see Reserved
	tail       []byte          // of the JRD after the subject, with every link
	links      []compiledLink  // the same one by one, for rel
}

// Service returns the service that has the audience; of several that share it,
// the first by order.
func (r *Realm) Service(audience string) (Service, bool) {
	i, found := r.byAudience[audience]
	if !found {
		return Service{}, false
	}
	return r.Services[i], true
}

// UsesLogin reports whether a service of the tenant fills {login} in.
func (t *Tenant) UsesLogin() bool {
	return slices.ContainsFunc(t.Services, func(s Service) bool {
		return strings.Contains(s.Username, "{login}") ||
			slices.ContainsFunc(s.Endpoints, func(e Endpoint) bool { return strings.Contains(e.URL, "{login}") })
	})
}

// FixedClient returns a program by its id: one that the tenant declared, or a
// built-in one that it did not switch off. The lists in it must not be changed.
func (r *Realm) FixedClient(id string) (FixedClient, bool) {
	c, found := r.clients[id]
	return c, found
}

// ResourceServer returns who may ask what a token is worth, by its name. The lists
// in it must not be changed.
func (r *Realm) ResourceServer(name string) (ResourceServer, bool) {
	i := slices.IndexFunc(r.ResourceServers, func(s ResourceServer) bool { return s.Name == name })
	if i < 0 {
		return ResourceServer{}, false
	}
	return r.ResourceServers[i], true
}

// Supported is what the tenant can grant: the sign-in itself with the claims about
// the person, that it lasts, every scope that opens one of its services, and that of app
// passwords if one of them takes any.
func (r *Realm) Supported() scopes.Set {
	supported := scopes.Of(oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeOfflineAccess)
	for _, s := range r.Services {
		supported = supported.Union(scopes.Of(s.Scopes...))
		if s.AppPasswords {
			supported = supported.Union(scopes.Of(oidc.ScopeAppPassword))
		}
	}
	return supported
}

// URL returns the URL of a path below the issuer: URL("/token").
func (r *Realm) URL(path string) string { return r.Issuer + path }

// issuerURL returns the issuer that a tenant's placement means.
func issuerURL(base string, t Tenant) string {
	switch t.Placement {
	case PlacementBase:
		return base
	case PlacementPath:
		return base + "/t/" + t.Name
	}
	return strings.TrimSuffix(t.Placement, "/")
}

// compileRealm makes the realm of one tenant. base has been checked. Conditions are looked for
// in compiled, and added to it: tenants often have the same ones.
func compileRealm(base string, t Tenant, compiled map[string]*condition.Condition) (*Realm, error) {
	catalogue, err := scopes.Default().With(t.Scopes)
	if err != nil {
		return nil, err
	}
	r := &Realm{Tenant: t, Issuer: issuerURL(base, t), Catalogue: catalogue, conditions: compiled}
	u, err := parseURL(r.Issuer)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	r.at = place{u.Scheme, u.Host, u.EscapedPath()}
	r.Services = slices.Clone(t.Services)
	slices.SortStableFunc(r.Services, func(a, b Service) int { return a.Order - b.Order })
	r.byAudience = make(map[string]int, len(r.Services))
	for i, s := range r.Services {
		if _, found := r.byAudience[s.Audience]; !found {
			r.byAudience[s.Audience] = i
		}
	}
	r.compileServices()
	r.compileProfiles()
	if err := r.compileConditions(); err != nil {
		return nil, err
	}
	r.clients = fixedClients(t)
	r.ProtectedResources = r.protectedResources()
	r.Broad = broadSet(catalogue, r.Services)
	if r.ScopeDocument, err = r.scopeDocument().JSON(); err != nil {
		return nil, err
	}
	if err := r.compileLinks(); err != nil {
		return nil, err
	}
	return r, nil
}

// fixedClients returns the programs that a tenant knows by their ids. What it
// declared itself goes before what is built in.
func fixedClients(t Tenant) map[string]FixedClient {
	clients := make(map[string]FixedClient)
	for _, c := range BuiltInClients() {
		if !slices.Contains(t.Clients.BuiltInOff, c.ID) {
			clients[c.ID] = c
		}
	}
	for _, c := range t.FixedClients {
		clients[c.ID] = c
	}
	return clients
}

// broadSet returns the words that open everything: a sign-in that lasts, and
// every broad scope by which at least one service is opened. App passwords are never in it (R21).
func broadSet(c *scopes.Catalogue, services []Service) scopes.Set {
	words := []string{oidc.ScopeOpenID, oidc.ScopeOfflineAccess}
	for _, s := range c.Scopes() {
		if s.Broad && s.Name != oidc.ScopeAppPassword && slices.ContainsFunc(services, func(service Service) bool { return slices.Contains(service.Scopes, s.Name) }) {
			words = append(words, s.Name)
		}
	}
	return scopes.Of(words...)
}

// scopeDocument lists the services, the scopes that open one of them, and what
// a sign-in itself is made of. Nothing is published that cannot be granted.
func (r *Realm) scopeDocument() scopes.Document {
	d := scopes.Document{Broad: r.Broad.String()}
	supported := r.Supported()
	for _, s := range r.Catalogue.Scopes() {
		opened := r.openedBy(s.Name)
		if len(opened) == 0 && !supported.Has(s.Name) {
			continue
		}
		d.Scopes = append(d.Scopes, scopes.DocumentScope{
			Name: s.Name, Titles: s.Title, Texts: s.Text, Opens: s.Opens, Includes: s.Includes, Services: opened,
		})
	}
	for _, s := range r.Services {
		d.Services = append(d.Services, scopes.DocumentService{
			ID: s.ID, Protocol: s.Protocol, Scope: strings.Join(s.Scopes, " "), Audience: s.Audience, Resource: s.Audience,
		})
	}
	return d
}

// openedBy returns the ids of the services that a scope opens.
func (r *Realm) openedBy(scope string) []string {
	var ids []string
	for _, s := range r.Services {
		if r.Catalogue.Opening(scopes.Of(scope), scopes.Of(s.Scopes...)).Len() > 0 {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
