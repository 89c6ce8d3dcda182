package directory

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"signpost/oidc"
	"signpost/scopes"
	"signpost/webfinger"
)

// checker collects what is wrong with declared tenants.
type checker struct{ problems Problems }

// Check returns everything that is wrong with the tenants of an installation:
// values that break a rule, and contradictions within a tenant and between
// tenants. Give it all tenants, those declared now and those that stay. Nothing
// wrong is nil. Positions are unknown here; see Parse.
func Check(tenants []Tenant) Problems {
	c := &checker{}
	for i, t := range tenants {
		c.tenant(tenantSpot(i, t), t)
	}
	c.conflicts(tenants)
	return c.problems
}

func (c *checker) problem(s spot, hint, format string, values ...any) {
	c.problems = append(c.problems, Problem{
		Message: s.words + ": " + fmt.Sprintf(format, values...), Hint: hint, at: s.ref,
	})
}

// namePattern is what a key may look like: it stands in URLs and in messages.
var namePattern = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

const nameHint = "1 to 32 lower-case letters, digits and hyphens"

func (c *checker) name(s spot, key, value string) {
	if !namePattern.MatchString(value) {
		c.required(s, key, value)
		if value != "" {
			c.problem(s.field(key), nameHint, "%s %q is not a name", key, value)
		}
	}
}

func (c *checker) required(s spot, key, value string) {
	if value == "" {
		c.problem(s.field(key), "", "%s is missing", key)
	}
}

// oneOf refuses a value that is not known.
func (c *checker) oneOf(s spot, key, value string, known ...string) {
	if value != "" && !slices.Contains(known, value) {
		c.problem(s.field(key), suggest(value, known), "%s %q is not known", key, value)
	}
}

func (c *checker) tenant(s spot, t Tenant) {
	c.name(s, "name", t.Name)
	c.required(s, "title", t.Title)
	c.placement(s, t.Placement)
	if t.Help != "" && !isWebPage(t.Help) {
		c.problem(s.field("help"), "", "help is not an https URL")
	}
	for i, d := range t.Domains {
		c.domain(s.child(kindDomain, i, d.Name), d)
	}
	c.catalogue(s, t)
	c.tokenProfiles(s, t)
	for i, p := range t.IdentityProviders {
		c.identityProvider(s.child(kindProvider, i, p.Name), t, p)
	}
	for i, service := range t.Services {
		c.service(s.child(kindService, i, service.ID), t, service)
	}
	c.repeated(s, kindProvider, "name", namesOf(t.IdentityProviders, func(p IdentityProvider) string { return p.Name }))
	c.repeated(s, kindService, "id", namesOf(t.Services, func(s Service) string { return s.ID }))
	c.sharedAudiences(s, t)
	c.clientPolicy(s, t.Clients)
	for i, client := range t.FixedClients {
		c.fixedClient(s.child(kindClient, i, client.ID), client)
	}
	c.conditionClaims(s, t)
	c.repeated(s, kindClient, "id", namesOf(t.FixedClients, func(f FixedClient) string { return f.ID }))
	for i, server := range t.ResourceServers {
		c.resourceServer(s.child(kindResourceServer, i, server.Name), t, server)
	}
	c.repeated(s, kindResourceServer, "name", namesOf(t.ResourceServers, func(r ResourceServer) string { return r.Name }))
}

func namesOf[T any](list []T, name func(T) string) []string {
	names := make([]string, 0, len(list))
	for _, entry := range list {
		names = append(names, name(entry))
	}
	return names
}

// repeated refuses a name that another thing of the same kind has in the tenant.
func (c *checker) repeated(s spot, kind, key string, names []string) {
	for i, name := range names {
		if name != "" && slices.Contains(names[:i], name) {
			c.problem(s.child(kind, i, name).field(key), "give it another name, or remove it", "the name comes twice")
		}
	}
}

func (c *checker) placement(s spot, placement string) {
	if placement == PlacementBase || placement == PlacementPath {
		return
	}
	const hint = "base, path, or the https URL of a host of the tenant's own"
	u, err := parseURL(placement)
	switch {
	case err != nil:
		c.problem(s.field("issuer"), hint, "issuer: %v", err)
	case u.Path != "" && u.Path != "/":
		c.problem(s.field("issuer"), hint, "issuer: a host of the tenant's own must not have a path")
	}
}

func isWebPage(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}

func (c *checker) domain(s spot, d Domain) {
	name, err := webfinger.ParseDomain(d.Name)
	switch {
	case d.Name == "":
		c.problem(s, "", "name is missing")
	case err != nil:
		c.problem(s, "", "not a domain name")
	case name != d.Name:
		c.problem(s, "", "the domain has to be written %s", name)
	}
}

// catalogue checks the tenant's own scopes one by one, and together once each
// is good by itself.
func (c *checker) catalogue(s spot, t Tenant) {
	before := len(c.problems)
	for i, scope := range t.Scopes {
		c.scope(s.child(kindScope, i, scope.Name), scope)
	}
	c.repeated(s, kindScope, "name", namesOf(t.Scopes, func(s scopes.Scope) string { return s.Name }))
	if len(c.problems) > before {
		return
	}
	if _, err := scopes.Default().With(t.Scopes); err != nil {
		c.problem(s.field("scopes"), "", "%v", err)
	}
}

func (c *checker) scope(s spot, scope scopes.Scope) {
	switch {
	case scope.Name == "":
		c.problem(s.field("name"), "", "name is missing")
	case !scopes.ValidWord(scope.Name):
		c.problem(s.field("name"), "printable ASCII without spaces, quotes and backslashes", "the name is not a scope word")
	}
	if scope.Name == oidc.ScopeAppPassword && (scope.Broad || len(scope.Opens) > 0 || len(scope.Includes) > 0) {
		c.problem(s.field("name"), "give it a title and a text alone", "the scope of app passwords opens nothing by itself, and is in no other's place")
	}
	if slices.Contains(scope.Includes, oidc.ScopeAppPassword) {
		c.problem(s.field("includes"), "let programs ask for it by its name", "no scope covers that of app passwords: people are asked for it in its own words")
	}
	c.translations(s, "title", scope.Title)
	c.translations(s, "text", scope.Text)
	for _, protocol := range scope.Opens {
		c.oneOf(s, "opens", protocol, protocols...)
	}
}

// languagePattern is the part of RFC 5646, section 2.1 that the pages use:
// a language with or without script or region.
var languagePattern = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)

func (c *checker) translations(s spot, key string, texts map[string]string) {
	if texts["en"] == "" {
		c.problem(s.field(key), `write it as "en: …" below the key`, "%s in English is missing", key)
	}
	for _, language := range slices.Sorted(maps.Keys(texts)) {
		if !languagePattern.MatchString(language) {
			c.problem(s.field(key), `such as "en", "de" or "pt-BR"`, "%s: %q is not a language tag", key, language)
		}
	}
}

func (c *checker) identityProvider(s spot, t Tenant, p IdentityProvider) {
	c.name(s, "name", p.Name)
	c.required(s, "title", p.Title)
	c.required(s, "issuer", p.Issuer)
	c.required(s, "client_id", p.ClientID)
	if p.Issuer != "" {
		c.upstreamIssuer(s, p)
	}
	if !slices.Contains(p.Scopes, oidc.ScopeOpenID) {
		c.problem(s.field("scopes"), `add "openid"`, "scopes must contain openid: without it there is no sign-in")
	}
	for _, word := range p.Scopes {
		if !scopes.ValidWord(word) {
			c.problem(s.field("scopes"), "", "%q is not a scope word", word)
		}
	}
	c.providerDomains(s, t, p)
	c.required(s, "address_claim", p.AddressClaim)
	c.required(s, "login_claim", p.LoginClaim)
	c.required(s, "name_claim", p.NameClaim)
	c.required(s, "address_trust", p.AddressTrust)
	c.oneOf(s, "address_trust", p.AddressTrust, TrustEmailVerified, TrustDirectory)
	c.keptClaims(s.field("keep_claims"), p.KeepClaims)
	if p.AddressTrust == TrustDirectory && isPublic(p.Issuer) {
		c.problem(s.field("address_trust"), "use email_verified", "address_trust: directory is for an organisation's own issuer, and at this one anybody can get an account")
	}
}

// maxKeptClaims is the number of claims that are kept of a person.
const maxKeptClaims = 16

// protocolClaims speak of an ID token and its sign-in, not of a person, or are found beside the
// kept ones: a provider's word never takes the place of ours.
var protocolClaims = append([]string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "azp", "at_hash", "c_hash", "s_hash", "sid",
	"scope", "client_id", "cnf", "act", "events", "grant",
}, ourClaims...)

func (c *checker) keptClaims(s spot, names []string) {
	if len(names) > maxKeptClaims {
		c.problem(s, "keep those that conditions ask for", "keep_claims has more than %d claims", maxKeptClaims)
	}
	for i, name := range names {
		switch {
		case !isClaimName(name):
			c.problem(s, claimNameHint, "entry %d of keep_claims is not the name of a claim", i+1)
		case slices.Contains(protocolClaims, name):
			c.problem(s, "conditions find acr, amr, auth_time, address, domain and login without it", "keep_claims: %q has a meaning of its own", name)
		case slices.Contains(names[:i], name):
			c.problem(s, "keep one of them", "keep_claims: %q comes twice", name)
		}
	}
}

// upstreamIssuer refuses issuers that speak for more than one organisation:
// anybody can be anybody there (R2).
func (c *checker) upstreamIssuer(s spot, p IdentityProvider) {
	u, err := parseURL(p.Issuer)
	if err != nil {
		c.problem(s.field("issuer"), "", "issuer: %v", err)
		return
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if u.Host == "login.microsoftonline.com" && slices.Contains([]string{"common", "organizations", "consumers"}, tenant) {
		c.problem(s.field("issuer"), "put the id of the one Entra tenant into the URL", "issuer: %q is every organisation's", tenant)
	}
}

func (c *checker) providerDomains(s spot, t Tenant, p IdentityProvider) {
	if len(p.Domains) == 0 && len(t.Domains) > 0 {
		c.problem(s.field("domains"), "list the domains for which its word counts", "domains is missing, and the tenant has more than one identity provider")
	}
	for i, name := range p.Domains {
		switch {
		case slices.Contains(p.Domains[:i], name):
			c.problem(s.field("domains"), "", "domain %s comes twice", name)
		case !slices.ContainsFunc(t.Domains, func(d Domain) bool { return d.Name == name }):
			c.problem(s.field("domains"), "declare it under domains of the tenant first", "domain %s is not the tenant's", name)
		}
	}
}
