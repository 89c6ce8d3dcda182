package directory

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"signpost/oidc"
)

// conflicts refuses what two tenants cannot both have. Nothing crosses from
// one tenant to another: not a domain, not an audience, not a server.
func (c *checker) conflicts(tenants []Tenant) {
	c.sharedNames(tenants)
	c.sharedIssuers(tenants)
	c.sharedDomains(tenants)
	c.issuerAudiences(tenants)
	c.callerAudiences(tenants)
	c.acrossTenants(tenants, "audience", func(s Service) []string { return []string{s.audienceKey()} })
	c.acrossTenants(tenants, "endpoints", Service.hostPorts)
}

func (c *checker) sharedNames(tenants []Tenant) {
	names := namesOf(tenants, func(t Tenant) string { return t.Name })
	for i, name := range names {
		if name != "" && slices.Contains(names[:i], name) {
			c.problem(tenantSpot(i, tenants[i]).field("name"), "give it another name", "another tenant has the name")
		}
	}
}

func (c *checker) sharedIssuers(tenants []Tenant) {
	first := make(map[string]string)
	for i, t := range tenants {
		if t.Placement == PlacementPath {
			continue
		}
		issuer := strings.TrimSuffix(t.Placement, "/")
		other, taken := first[issuer]
		if !taken {
			first[issuer] = t.Name
			continue
		}
		what, hint := "tenant %s has the same issuer", "give each a host of its own"
		if issuer == PlacementBase {
			what, hint = "tenant %s is at the base URL already", `say "issuer: path" for one of them`
		}
		c.problem(tenantSpot(i, t).field("issuer"), hint, what, other)
	}
}

func (c *checker) sharedDomains(tenants []Tenant) {
	owner := make(map[string]Tenant)
	for i, t := range tenants {
		for j, d := range t.Domains {
			other, taken := owner[d.Name]
			switch {
			case d.Name == "":
			case !taken:
				owner[d.Name] = t
			case other.Name == t.Name:
				c.problem(tenantSpot(i, t).child(kindDomain, j, d.Name), "keep one of them", "the domain comes twice")
			default:
				c.problem(tenantSpot(i, t).child(kindDomain, j, d.Name), "a domain has one tenant", "tenant %s has the domain", other.Name)
			}
		}
	}
	for i, t := range tenants {
		u, err := parseURL(t.Placement)
		if err != nil {
			continue
		}
		if other, taken := owner[u.Host]; taken && other.Name != t.Name {
			c.problem(tenantSpot(i, t).field("issuer"), "give the issuer a host of the tenant's own", "the issuer's host is a domain of tenant %s", other.Name)
		}
	}
}

// issuerAudiences keeps audiences and issuers apart: a token for an issuer is
// broad, a token for a service must never be (R4, R7). The issuers at the base
// URL are not known here; Compile refuses those.
func (c *checker) issuerAudiences(tenants []Tenant) {
	issuers := make(map[string]bool)
	for _, t := range tenants {
		issuers[strings.TrimSuffix(t.Placement, "/")] = true
		for _, p := range t.IdentityProviders {
			issuers[strings.TrimSuffix(p.Issuer, "/")] = true
		}
	}
	for i, t := range tenants {
		for j, s := range t.Services {
			if s.HTTP() && issuers[s.audienceKey()] {
				at := tenantSpot(i, t).child(kindService, j, s.ID)
				c.problem(at.field("audience"), "give the service a URL of its own", "the audience is the URL of an issuer")
			}
		}
	}
}

// callerAudiences keeps the names of those who call an issuer apart from the
// audiences of all tenants: a token names its client and its audience, and neither
// may pass for the other (R7).
func (c *checker) callerAudiences(tenants []Tenant) {
	audiences := make(map[string]bool)
	for _, t := range tenants {
		for _, s := range t.Services {
			audiences[s.Audience] = true
		}
	}
	for i, t := range tenants {
		clients := make(map[string]bool, len(t.FixedClients))
		for j, client := range t.FixedClients {
			clients[client.ID] = true
			if client.ID != "" && audiences[client.ID] {
				at := tenantSpot(i, t).child(kindClient, j, client.ID)
				c.problem(at.field("id"), "give it another id", "the id is the audience of a service")
			}
		}
		for j, server := range t.ResourceServers {
			at := tenantSpot(i, t).child(kindResourceServer, j, server.Name)
			switch {
			case server.Name == "":
			case audiences[server.Name]:
				c.problem(at.field("name"), "give it another name", "the name is the audience of a service")
			case clients[server.Name] || server.Name == oidc.ClientOpen || slices.Contains(builtInIDs(), server.Name):
				c.problem(at.field("name"), "give it another name", "the name is the id of a client")
			}
		}
	}
}

// acrossTenants refuses a service one of whose values a service of another tenant has (R31).
func (c *checker) acrossTenants(tenants []Tenant, key string, values func(Service) []string) {
	type holder struct{ tenant, service string }
	first := make(map[string]holder)
	for i, t := range tenants {
		for j, s := range t.Services {
			for _, value := range values(s) {
				other, taken := first[value]
				switch {
				case value == "":
				case !taken:
					first[value] = holder{t.Name, s.ID}
				case other.tenant != t.Name:
					c.problem(tenantSpot(i, t).child(kindService, j, s.ID).field(key),
						"a server belongs to one tenant: serve both domains by one tenant, or give each its own",
						"tenant %s, service %s has %s too", other.tenant, other.service, value)
				}
			}
		}
	}
}

// hostPorts returns where the service's endpoints lead: "mail.example.com:993".
func (s Service) hostPorts() []string {
	var all []string
	for _, e := range s.Endpoints {
		if e.Host != "" {
			all = append(all, net.JoinHostPort(e.Host, strconv.Itoa(e.Port)))
			continue
		}
		if u, err := parseTemplateURL(e.URL); err == nil {
			all = append(all, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPort(u))))
		}
	}
	return all
}

// audienceKey returns the audience without the slash at the end of a URL: two
// that differ in it would be one resource (R30).
func (s Service) audienceKey() string {
	if s.HTTP() {
		return strings.TrimSuffix(s.Audience, "/")
	}
	return s.Audience
}

// sharedAudiences lets services of a tenant share an audience only if one token
// fits all of them: whoever asks for the audience gets one token, not several.
func (c *checker) sharedAudiences(s spot, t Tenant) {
	first := make(map[string]Service)
	for i, service := range t.Services {
		if service.Audience == "" {
			continue
		}
		other, taken := first[service.audienceKey()]
		if !taken {
			first[service.audienceKey()] = service
			continue
		}
		for _, what := range tokenDifferences(other, service) {
			c.problem(s.child(kindService, i, service.ID).field("audience"),
				"give it an audience of its own, or make both equal",
				"it shares its audience with service %s but not %s", other.ID, what)
		}
	}
}

// tokenDifferences names the properties by which tokens for two services differ.
func tokenDifferences(a, b Service) []string {
	sorted := func(words []string) []string { return slices.Sorted(slices.Values(words)) }
	var different []string
	for _, property := range []struct {
		name string
		same bool
	}{
		{"the spelling of it", a.Audience == b.Audience},
		{"scopes", slices.Equal(sorted(a.Scopes), sorted(b.Scopes))},
		{"profile", a.Profile == b.Profile},
		{"algorithm", a.Algorithm == b.Algorithm},
		{"lifetime", a.lifetime() == b.lifetime()},
		{"username", a.Username == b.Username},
		{"in_broad", a.InBroad == b.InBroad},
		{"dpop", a.dpop() == b.dpop()},
		{"condition", a.Condition == b.Condition},
		{"app_passwords", a.AppPasswords == b.AppPasswords},
	} {
		if !property.same {
			different = append(different, property.name)
		}
	}
	return different
}
