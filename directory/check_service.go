package directory

import (
	"cmp"
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"signpost/oidc"
	"signpost/scopes"
	"signpost/webfinger"
)

var protocols = []string{
	ProtocolIMAP, ProtocolPOP3, ProtocolSubmission, ProtocolManageSieve, ProtocolJMAP, ProtocolCalDAV,
	ProtocolCardDAV, ProtocolWebDAV, ProtocolXMPP, ProtocolMatrix, ProtocolHTTPS,
}

// Bounds of Service.Lifetime: shorter tokens end while a server still reads
// them, longer ones outlive the sign-in that was ended (R6).
const (
	minLifetime     = time.Minute
	defaultLifetime = 15 * time.Minute
	maxLifetime     = time.Hour
)

// lifetime returns Lifetime, or what zero means.
func (s Service) lifetime() time.Duration {
	if s.Lifetime == 0 {
		return defaultLifetime
	}
	return s.Lifetime
}

// source returns Source, or what empty means.
func (s Service) source() string { return cmp.Or(s.Source, SourceLocal) }

// unexpiringTokens says in the file's words whether they are accepted.
func (s Service) unexpiringTokens() string {
	if s.UnexpiringTokens {
		return unexpiringAccepted
	}
	return ""
}

func (c *checker) service(s spot, t Tenant, service Service) {
	c.name(s, "id", service.ID)
	c.required(s, "protocol", service.Protocol)
	c.oneOf(s, "protocol", service.Protocol, protocols...)
	if !slices.Contains(protocols, service.Protocol) {
		return // what follows depends on it
	}
	c.required(s, "title", service.Title)
	if len(service.Endpoints) == 0 {
		c.problem(s.field("endpoints"), "say where it is reached", "endpoints is missing")
	}
	for _, e := range service.Endpoints {
		c.endpoint(s.field("endpoints"), service, e)
		c.oneForEach(s.field("endpoints"), t, "url", e.URL)
	}
	if len(service.Endpoints) > 0 {
		c.audience(s.field("audience"), service)
	}
	c.serviceScopes(s.field("scopes"), t, service)
	c.serviceTokens(s, t, service)
	c.condition(s, service.Condition)
	c.source(s.field("source"), service.Source)
	if service.Username == "" {
		c.problem(s.field("username"), "", "username is missing")
	} else if err := checkTemplate(service.Username); err != nil {
		c.problem(s.field("username"), "", "username: %v", err)
	} else {
		c.somebody(s.field("username"), service.Username)
	}
	c.oneForEach(s.field("username"), t, "username", service.Username)
	c.name(s, "credential", service.Credential)
	if service.Order < 0 {
		c.problem(s.field("order"), "", "order is below zero")
	}
}

// oneForEach refuses a template that may give two people of the tenant one name: a
// login name is unique in one directory only, and a local part in one domain only (R1).
func (c *checker) oneForEach(s spot, t Tenant, key, template string) {
	if strings.Contains(template, "{login}") {
		c.loginFromOneDirectory(s, t, key)
	}
	if strings.Contains(template, "{local}") && len(t.Domains) > 1 && !slices.ContainsFunc(unambiguous, func(form string) bool { return strings.Contains(template, form) }) {
		c.problem(s, "use {address}, or one of "+strings.Join(unambiguous, ", "), "%s: the tenant has more than one domain, and two people in two of them may have one {local}", key)
	}
}

func (c *checker) loginFromOneDirectory(s spot, t Tenant, key string) {
	if len(t.IdentityProviders) > 1 {
		c.problem(s, "use {address}", "%s: the tenant has more than one identity provider, and two of them may give two people one {login}", key)
		return
	}
	for _, p := range t.IdentityProviders {
		if p.AddressTrust == TrustEmailVerified {
			c.problem(s, "use {address}, or address_trust: directory if the provider is your own directory",
				"%s: identity provider %s proves addresses, and no {login}", key, p.Name)
		}
	}
}

// unambiguous are the forms in which a local part and a domain name one person: no
// domain holds the sign between them.
var unambiguous = []string{"{local}@{domain}", "{local}/{domain}", "{domain}/{local}"}

// somebody refuses a template for login names that gives everybody the same one.
func (c *checker) somebody(s spot, template string) {
	for _, person := range []string{"{address}", "{local}", "{login}", "{subject}"} {
		if strings.Contains(template, person) {
			return
		}
	}
	c.problem(s, "use {address}", "username: %q names nobody in particular: every person would have the same login name", template)
}

// serviceTokens checks how its tokens look and how they are presented.
func (c *checker) serviceTokens(s spot, t Tenant, service Service) {
	ways := []string{AuthBearer}
	if service.SASL() {
		ways = []string{AuthOAuthBearer, AuthXOAuth2}
	}
	if len(service.Authentication) == 0 {
		c.problem(s.field("authentication"), "", "authentication is missing")
	}
	for _, way := range service.Authentication {
		if !slices.Contains(ways, way) {
			c.problem(s.field("authentication"), "known are "+strings.Join(ways, ", "), "authentication %q is not a way into %s", way, service.Protocol)
		}
	}
	c.serviceProfile(s, t, service)
	if service.shortLines() && service.Algorithm == "RS256" && service.Profile != oidc.ProfileCyrus {
		c.problem(s.field("algorithm"), "use ES256", "a token signed with RS256 is too long for the line in which %s takes it", service.Protocol)
	}
	c.oneOf(s, "dpop", service.DPoP, DPoPNone, DPoPAccepts, DPoPRequires)
	if service.SASL() && (service.DPoP == DPoPAccepts || service.DPoP == DPoPRequires) {
		c.problem(s.field("dpop"), "leave dpop out", "%s has no way to present a proof of possession", service.Protocol)
	}
	c.required(s, "algorithm", service.Algorithm)
	c.oneOf(s, "algorithm", service.Algorithm, "ES256", "RS256")
	if d := service.lifetime(); d < minLifetime || d > maxLifetime {
		c.problem(s.field("lifetime"), "15m suits most", "lifetime %v is not between %v and %v", d, minLifetime, maxLifetime)
	}
}

// serviceProfile checks the form of its tokens, and whether the broad token has it too (R9).
func (c *checker) serviceProfile(s spot, t Tenant, service Service) {
	c.required(s, "profile", service.Profile)
	known := append(namesOf(oidc.BuiltInProfiles(), profileName), namesOf(t.TokenProfiles, profileName)...)
	c.oneOf(s, "profile", service.Profile, known...)
	if service.InBroad && service.Profile != t.broadToken() && slices.Contains(known, service.Profile) {
		// A promise that the server would not keep: it takes no token of another form.
		c.problem(s.field("in_broad"), "leave in_broad out, or choose profile: "+t.broadToken()+" if the server takes it",
			"the broad token has the form %s, which profile %s does not take", t.broadToken(), service.Profile)
	}
	if service.InBroad && service.shortLines() && t.broadToken() != oidc.ProfileOpaque {
		c.problem(s.field("in_broad"), "leave in_broad out: clients exchange the broad token for a short one; or let broad_token be opaque",
			"the broad token is too long for the line in which %s takes it", service.Protocol)
	}
	_, builtIn := builtInProfile(service.Profile)
	if p, _ := t.profile(service.Profile); !builtIn && service.shortLines() && (p.ClientID || p.AuthorizedParty) {
		c.problem(s.field("profile"), "choose one with client_id: false and azp: false",
			"a token that names its client is too long for the line in which %s takes it", service.Protocol)
	}
	c.cyrus(s, service)
}

func profileName(p oidc.Profile) string { return p.Name }

// cyrus keeps the tokens that Cyrus reads apart from all others: to it they never expire, so
// the tenant must say that it knows, and a proxy before it must look at "exp" (R10).
func (c *checker) cyrus(s spot, service Service) {
	if service.Profile != oidc.ProfileCyrus {
		if service.UnexpiringTokens {
			c.problem(s.field("unexpiring_tokens"), "leave it out", "unexpiring_tokens is for profile cyrus alone")
		}
		return
	}
	if !service.UnexpiringTokens {
		c.problem(s.field("profile"), "say unexpiring_tokens: accepted if a proxy before the server refuses tokens after their \"exp\"; else choose another profile",
			"a server that takes profile cyrus does not see when a token has expired")
	}
	if service.Algorithm == "ES256" {
		c.problem(s.field("algorithm"), "use RS256", "profile cyrus has no tokens signed with ES256")
	}
	if service.shortLines() {
		c.problem(s.field("profile"), "choose another profile", "a token of profile cyrus is too long for the line in which %s takes it", service.Protocol)
	}
	if service.dpop() != DPoPNone {
		c.problem(s.field("dpop"), "leave dpop out", "a token of profile cyrus names no key")
	}
}

// source refuses tokens of others.
func (c *checker) source(s spot, source string) {
	switch source {
	case "", SourceLocal:
	case "exchange", "refresh":
		c.problem(s, "leave source out: Signpost signs the service's tokens itself",
			"source %s: this version hands on no tokens of an identity provider", source)
	default:
		c.problem(s, "known is "+SourceLocal, "source %q is not known", source)
	}
}

func (c *checker) serviceScopes(s spot, t Tenant, service Service) {
	if len(service.Scopes) == 0 {
		c.problem(s, "", "scopes is missing")
	}
	known := namesOf(scopes.Default().Scopes(), func(s scopes.Scope) string { return s.Name })
	known = append(known, namesOf(t.Scopes, func(s scopes.Scope) string { return s.Name })...)
	for i, scope := range service.Scopes {
		switch {
		case !slices.Contains(known, scope):
			c.problem(s, suggest(scope, known), "scope %q is not in the catalogue", scope)
		case scope == oidc.ScopeAppPassword:
			c.problem(s, "say app_passwords: true if the service takes them", "the scope of app passwords opens no service")
		case slices.Contains(service.Scopes[:i], scope):
			c.problem(s, "", "scope %q comes twice", scope)
		}
	}
}

func (c *checker) endpoint(s spot, service Service, e Endpoint) {
	if service.HTTP() {
		c.urlEndpoint(s, service, e)
		return
	}
	if e.URL != "" {
		c.problem(s, "write host, port and security", "%s is not reached by URL", service.Protocol)
		return
	}
	if !isHost(e.Host) {
		c.problem(s, "", "an endpoint has no host, or one that is neither a domain name nor an IP address")
	}
	if e.Port < 1 || e.Port > 65535 {
		c.problem(s, "", "the port of an endpoint is not between 1 and 65535")
	}
	switch e.Security {
	case "":
		c.problem(s, "tls or starttls", "security of an endpoint is missing")
	case SecurityTLS, SecurityStartTLS:
	case SecurityNone:
		if !service.Insecure {
			c.problem(s, "use tls or starttls; or say insecure: true, so that everybody is told", "an endpoint has no TLS")
		}
	default:
		c.problem(s, suggest(e.Security, []string{SecurityTLS, SecurityStartTLS, SecurityNone}), "security %q is not known", e.Security)
	}
}

func (c *checker) urlEndpoint(s spot, service Service, e Endpoint) {
	if e.URL == "" || e.Host != "" || e.Port != 0 || e.Security != "" {
		c.problem(s, "write url and nothing else", "%s is reached by URL", service.Protocol)
		return
	}
	u, err := parseTemplateURL(e.URL)
	switch {
	case err != nil:
		c.problem(s, "", "url: %v", err)
	case u.Scheme == "http" && !service.Insecure:
		c.problem(s, "use https; or say insecure: true, so that everybody is told", "an endpoint has no TLS")
	}
}

// audience checks what stands in "aud" of the service's tokens: the URL below
// which everything is the service, or a bare host name (R30).
func (c *checker) audience(s spot, service Service) {
	switch {
	case service.Audience == "":
		c.problem(s, "", "audience is missing")
	case service.Audience == oidc.ClientOpen || slices.Contains(builtInIDs(), service.Audience):
		c.problem(s, "audiences and client ids must differ", "audience %q is a client id", service.Audience)
	case service.HTTP():
		c.urlAudience(s, service)
	case !isHost(service.Audience):
		c.problem(s, "a bare host name", "the audience of a service without URL is not a host name")
	}
}

func (c *checker) urlAudience(s spot, service Service) {
	prefix, err := parseURL(service.Audience)
	if err != nil {
		c.problem(s, "the URL below which the service lies", "audience: %v", err)
		return
	}
	for _, e := range service.Endpoints {
		u, err := parseTemplateURL(e.URL)
		if err == nil && !below(u, prefix) {
			c.problem(s, "the URL below which the service lies", "an endpoint does not lie below the audience")
			return
		}
	}
}

// isHost reports whether a name is a domain name in A-labels or an IP address.
func isHost(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	domain, err := webfinger.ParseDomain(name)
	return err == nil && domain == name
}

var placeholderPattern = regexp.MustCompile(`\{[a-z]*\}`)

// parseTemplateURL reads the URL of an endpoint, in whose path templates may stand.
func parseTemplateURL(raw string) (*url.URL, error) {
	if err := checkTemplate(raw); err != nil {
		return nil, err
	}
	u, err := parseURL(placeholderPattern.ReplaceAllString(raw, "x"))
	if err != nil {
		return nil, err
	}
	if origin := u.Scheme + "://" + u.Host; raw != origin && !strings.HasPrefix(raw, origin+"/") {
		return nil, errors.New("a template may stand in the path only")
	}
	return u, nil
}
