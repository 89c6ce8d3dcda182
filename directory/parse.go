package directory

import (
	"slices"

	"github.com/goccy/go-yaml/ast"

	"signpost/scopes"
	"signpost/webfinger"
)

// Keys of the declared file.
var (
	fileKeys     = []string{"tenants"}
	tenantKeys   = []string{"name", "issuer", "title", "help", "domains", "identity_providers", "services", "scopes", "clients", "resource_servers", "token_profiles", "broad_token"}
	domainKeys   = []string{"name"}
	providerKeys = []string{
		"name", "title", "issuer", "client_id", "client_secret", "client_secret_file", "client_secret_env",
		"scopes", "domains", "address_claim", "address_trust", "login_claim", "name_claim", "keep_claims",
	}
	serviceKeys = []string{
		"id", "protocol", "title", "endpoints", "audience", "scopes", "authentication", "username", "profile",
		"algorithm", "lifetime", "credential", "in_broad", "dpop", "order", "insecure",
		"condition", "app_passwords", "source", "unexpiring_tokens",
	}
	endpointKeys = []string{"host", "port", "security", "url"}
	scopeKeys    = []string{"name", "opens", "includes", "broad", "title", "text"}
)

// Parse reads declared tenants from YAML and fills in what was left out. file
// is only for messages. env looks a variable up, readFile reads a file: both
// are for secrets and keys that stand elsewhere. The error is Problems: all that is
// wrong with the file, with what Check finds within it. Check the tenants again
// together with those that were declared elsewhere.
func Parse(file string, src []byte, env func(string) (string, bool), readFile func(string) ([]byte, error)) ([]Tenant, error) {
	r := &reader{file: file, positions: make(map[ref]position), broken: make(map[ref]bool), env: env, readFile: readFile}
	tenants := r.tenants(src)
	for _, p := range Check(tenants) {
		if r.broken[p.at] {
			continue // it could not be read: that was said already
		}
		r.problems = append(r.problems, r.locate(p))
	}
	if len(r.problems) > 0 {
		r.problems.sort()
		return nil, r.problems
	}
	for i := range tenants {
		slices.SortStableFunc(tenants[i].Services, func(a, b Service) int { return a.Order - b.Order })
	}
	return tenants, nil
}

// locate gives a problem the position of its field, or else of the thing that
// lacks the field, or else of the tenant.
func (r *reader) locate(p Problem) Problem {
	p.File = r.file
	for _, place := range []ref{p.at, p.at.whole(), p.at.owner()} {
		if where, found := r.positions[place]; found {
			p.Line, p.Column = where.line, where.column
			return p
		}
	}
	return p
}

func (r *reader) tenants(src []byte) []Tenant {
	root := r.root(src, fileKeys...)
	if root == nil {
		return nil
	}
	if _, found := root.values["tenants"]; !found && len(r.problems) == 0 {
		r.problem(position{1, 1}, `start with "tenants:"`, "the file declares no tenants")
	}
	var tenants []Tenant
	for _, node := range root.nodes("tenants") {
		s := spot{ref: ref{tenant: len(tenants), kind: kindTenant}}
		if o := r.object(node, "a tenant", s, tenantKeys...); o != nil {
			tenants = append(tenants, o.tenant(len(tenants) == 0))
		}
	}
	return tenants
}

// tenant reads a tenant. The first of a file is at the base URL unless it says otherwise.
func (o *object) tenant(first bool) Tenant {
	placement := PlacementPath
	if first {
		placement = PlacementBase
	}
	t := Tenant{
		Name:      o.text("name", ""),
		Placement: o.text("issuer", placement),
		Title:     o.text("title", ""),
		Help:      o.text("help", ""),

		BroadToken: o.text("broad_token", ""),
	}
	for _, node := range o.nodes("domains") {
		if d, ok := o.domain(node, len(t.Domains)); ok {
			t.Domains = append(t.Domains, d)
		}
	}
	providers := o.nodes("identity_providers")
	for _, node := range providers {
		s := o.spot.child(kindProvider, len(t.IdentityProviders), "")
		if p := o.r.object(node, "an identity provider", s, providerKeys...); p != nil {
			t.IdentityProviders = append(t.IdentityProviders, p.identityProvider(t, len(providers) == 1))
		}
	}
	for _, node := range o.nodes("token_profiles") {
		s := o.spot.child(kindTokenProfile, len(t.TokenProfiles), "")
		if p := o.r.object(node, "a token profile", s, profileKeys...); p != nil {
			t.TokenProfiles = append(t.TokenProfiles, p.tokenProfile())
		}
	}
	for _, node := range o.nodes("services") {
		s := o.spot.child(kindService, len(t.Services), "")
		if p := o.r.object(node, "a service", s, serviceKeys...); p != nil {
			t.Services = append(t.Services, p.service(t, len(t.Services)+1))
		}
	}
	for _, node := range o.nodes("scopes") {
		s := o.spot.child(kindScope, len(t.Scopes), "")
		if p := o.r.object(node, "a scope", s, scopeKeys...); p != nil {
			t.Scopes = append(t.Scopes, p.scope())
		}
	}
	o.clients(&t)
	for _, node := range o.nodes("resource_servers") {
		s := o.spot.child(kindResourceServer, len(t.ResourceServers), "")
		if p := o.r.object(node, "a resource server", s, resourceServerKeys...); p != nil {
			t.ResourceServers = append(t.ResourceServers, p.resourceServer())
		}
	}
	return t
}

// domain reads a domain: its name, or a mapping with it. A name with letters
// beyond ASCII becomes A-labels.
func (o *object) domain(node ast.Node, index int) (Domain, bool) {
	s := o.spot.child(kindDomain, index, "")
	name, plain := textOf(node)
	if !plain {
		d := o.r.object(node, "a domain", s, domainKeys...)
		if d == nil {
			return Domain{}, false
		}
		name = d.text("name", "")
	} else {
		o.r.mark(s, at(node))
	}
	return Domain{Name: aLabels(name), Verification: VerificationOperator}, true
}

// aLabels returns the A-labels of a name; one that is no domain name stays
// as it is for Check to refuse.
func aLabels(name string) string {
	if domain, err := webfinger.ParseDomain(name); err == nil {
		return domain
	}
	return name
}

func (o *object) identityProvider(t Tenant, only bool) IdentityProvider {
	p := IdentityProvider{
		Name:         o.text("name", ""),
		Title:        o.text("title", ""),
		Issuer:       o.text("issuer", ""),
		ClientID:     o.text("client_id", ""),
		ClientSecret: Secret(o.elsewhere("client_secret", "_file", "_env")),
		Scopes:       o.texts("scopes", []string{"openid", "profile", "email"}),
		AddressClaim: o.text("address_claim", "email"),
		AddressTrust: o.text("address_trust", TrustEmailVerified),
		LoginClaim:   o.text("login_claim", "preferred_username"),
		NameClaim:    o.text("name_claim", "name"),
		KeepClaims:   o.texts("keep_claims", nil),
	}
	for _, name := range o.texts("domains", nil) {
		p.Domains = append(p.Domains, aLabels(name))
	}
	if only && !o.has("domains") {
		for _, d := range t.Domains {
			p.Domains = append(p.Domains, d.Name)
		}
	}
	return p
}

// service reads a service. What was left out follows from its protocol, its
// endpoints and its place in the list.
func (o *object) service(t Tenant, place int) Service {
	s := Service{
		ID:         o.text("id", ""),
		Protocol:   o.text("protocol", ""),
		Title:      o.text("title", ""),
		Lifetime:   o.duration("lifetime", defaultLifetime),
		Algorithm:  o.text("algorithm", "ES256"),
		Username:   o.text("username", "{address}"),
		Credential: o.text("credential", "sso"),
		DPoP:       o.text("dpop", DPoPNone),
		Order:      o.number("order", place),
		Insecure:   o.flag("insecure", false),

		Condition:        o.condition(),
		AppPasswords:     o.flag("app_passwords", false),
		Source:           o.text("source", ""),
		UnexpiringTokens: o.choice("unexpiring_tokens", "", unexpiringAccepted) == unexpiringAccepted,
	}
	o.within("endpoints", func() {
		for _, node := range o.nodes("endpoints") {
			if e := o.r.object(node, "an endpoint", spot{}, endpointKeys...); e != nil {
				s.Endpoints = append(s.Endpoints, e.endpoint())
			}
		}
	})
	if s.Title == "" && !o.has("title") {
		s.Title = s.ID
	}
	s.Audience = o.text("audience", defaultAudience(s))
	s.Scopes = o.texts("scopes", defaultScopes(s.Protocol))
	s.Authentication = o.texts("authentication", defaultAuthentication(s))
	s.Profile = o.text("profile", defaultProfile(s))
	s.InBroad = o.flag("in_broad", defaultInBroad(t, s))
	return s
}

func (o *object) endpoint() Endpoint {
	return Endpoint{
		Host:     aLabels(o.text("host", "")),
		Port:     o.number("port", 0),
		Security: o.text("security", ""),
		URL:      o.text("url", ""),
	}
}

func (o *object) scope() scopes.Scope {
	return scopes.Scope{
		Name:     o.text("name", ""),
		Opens:    o.texts("opens", nil),
		Includes: o.texts("includes", nil),
		Broad:    o.flag("broad", false),
		Title:    o.translations("title"),
		Text:     o.translations("text"),
	}
}
