package directory

import (
	"fmt"
	"slices"
	"strings"

	"signpost/scopes"
)

// Change is one difference between two states of the declared facts. It never
// holds a secret.
type Change struct {
	Sign    Sign
	Kind    string   // "tenant", "domain", "identity provider", "service", "scope", "token profile", "client policy", "client", "resource server"
	Name    string   // "example", or "example/mail" for what belongs to a tenant
	Details []string // of a changed thing: "lifetime 15m0s -> 5m0s"
}

// Sign says what happened to a thing.
type Sign string

// Signs of a Change.
const (
	Added   Sign = "+"
	Changed Sign = "~"
	Removed Sign = "-"
)

// String returns "+ service example/mail" or "~ service example/mail: order 1 -> 2".
func (c Change) String() string {
	line := fmt.Sprintf("%s %s %s", c.Sign, c.Kind, c.Name)
	if len(c.Details) > 0 {
		line += ": " + strings.Join(c.Details, ", ")
	}
	return line
}

// Diff returns what it takes to go from one state to the other, tenant by
// tenant in the order of after, then what is removed. No difference is nil.
func Diff(before, after []Tenant) []Change {
	var changes []Change
	for _, t := range after {
		i := slices.IndexFunc(before, func(old Tenant) bool { return old.Name == t.Name })
		if i < 0 {
			changes = append(changes, Change{Sign: Added, Kind: kindTenant, Name: t.Name})
			changes = append(changes, policyChange(Tenant{}, t)...)
			changes = append(changes, parts(Tenant{Name: t.Name}, t)...)
			continue
		}
		if details := tenantDetails(before[i], t); len(details) > 0 {
			changes = append(changes, Change{Sign: Changed, Kind: kindTenant, Name: t.Name, Details: details})
		}
		changes = append(changes, policyChange(before[i], t)...)
		changes = append(changes, parts(before[i], t)...)
	}
	for _, t := range before {
		if !slices.ContainsFunc(after, func(kept Tenant) bool { return kept.Name == t.Name }) {
			changes = append(changes, Change{Sign: Removed, Kind: kindTenant, Name: t.Name})
			changes = append(changes, parts(t, Tenant{Name: t.Name})...)
		}
	}
	return changes
}

// parts compares what belongs to a tenant.
func parts(a, b Tenant) []Change {
	var changes []Change
	changes = append(changes, compare(b.Name, kindDomain, a.Domains, b.Domains,
		func(d Domain) string { return d.Name }, domainDetails)...)
	changes = append(changes, compare(b.Name, kindProvider, a.IdentityProviders, b.IdentityProviders,
		func(p IdentityProvider) string { return p.Name }, providerDetails)...)
	changes = append(changes, compare(b.Name, kindService, a.Services, b.Services,
		func(s Service) string { return s.ID }, serviceDetails)...)
	changes = append(changes, compare(b.Name, kindScope, a.Scopes, b.Scopes,
		func(s scopes.Scope) string { return s.Name }, scopeDetails)...)
	changes = append(changes, compare(b.Name, kindTokenProfile, a.TokenProfiles, b.TokenProfiles, profileName, profileDetails)...)
	changes = append(changes, compare(b.Name, kindClient, a.FixedClients, b.FixedClients,
		func(c FixedClient) string { return c.ID }, clientDetails)...)
	changes = append(changes, compare(b.Name, kindResourceServer, a.ResourceServers, b.ResourceServers,
		func(s ResourceServer) string { return s.Name }, resourceServerDetails)...)
	return changes
}

// compare compares two lists of things of one kind by their names.
func compare[T any](tenant, kind string, before, after []T, name func(T) string, details func(a, b T) []string) []Change {
	var changes []Change
	for _, b := range after {
		i := slices.IndexFunc(before, func(a T) bool { return name(a) == name(b) })
		if i < 0 {
			changes = append(changes, Change{Sign: Added, Kind: kind, Name: tenant + "/" + name(b)})
		} else if d := details(before[i], b); len(d) > 0 {
			changes = append(changes, Change{Sign: Changed, Kind: kind, Name: tenant + "/" + name(b), Details: d})
		}
	}
	for _, a := range before {
		if !slices.ContainsFunc(after, func(b T) bool { return name(a) == name(b) }) {
			changes = append(changes, Change{Sign: Removed, Kind: kind, Name: tenant + "/" + name(a)})
		}
	}
	return changes
}

// details collects differences of one thing.
type details []string

// value notes that a value is another one.
func (d *details) value(name string, a, b any) {
	before, after := fmt.Sprint(a), fmt.Sprint(b)
	if before == after {
		return
	}
	*d = append(*d, fmt.Sprintf("%s %s -> %s", name, orNothing(before), orNothing(after)))
}

// list notes that a list is another one, or in another order.
func (d *details) list(name string, a, b []string) {
	d.value(name, strings.Join(a, " "), strings.Join(b, " "))
}

// condition notes that an expression is another one, and shows both on one line.
func (d *details) condition(a, b string) {
	oneLine := func(source string) string { return strings.Join(strings.Fields(source), " ") }
	before, after := oneLine(a), oneLine(b)
	d.value("condition", before, after)
	d.changed("condition", before == after && a != b)
}

// changed notes that something is another one without showing it.
func (d *details) changed(name string, different bool) {
	if different {
		*d = append(*d, name+" changed")
	}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func tenantDetails(a, b Tenant) []string {
	var d details
	d.value("issuer", a.Placement, b.Placement)
	d.value("title", a.Title, b.Title)
	d.value("help", a.Help, b.Help)
	d.value("broad_token", a.broadToken(), b.broadToken())
	domain := func(d Domain) string { return d.Name }
	provider := func(p IdentityProvider) string { return p.Name }
	service := func(s Service) string { return s.ID }
	scope := func(s scopes.Scope) string { return s.Name }
	d.changed("order of domains", reordered(namesOf(a.Domains, domain), namesOf(b.Domains, domain)))
	d.changed("order of identity providers", reordered(namesOf(a.IdentityProviders, provider), namesOf(b.IdentityProviders, provider)))
	d.changed("order of services", reordered(namesOf(a.Services, service), namesOf(b.Services, service)))
	d.changed("order of scopes", reordered(namesOf(a.Scopes, scope), namesOf(b.Scopes, scope)))
	return d
}

// reordered reports whether the same names stand in another order. Where names
// came or went, that alone is a change that is shown.
func reordered(a, b []string) bool {
	return !slices.Equal(a, b) && slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func domainDetails(a, b Domain) []string {
	var d details
	d.value("verification", a.Verification, b.Verification)
	return d
}

func providerDetails(a, b IdentityProvider) []string {
	var d details
	d.value("title", a.Title, b.Title)
	d.value("issuer", a.Issuer, b.Issuer)
	d.value("client_id", a.ClientID, b.ClientID)
	d.changed("client_secret", a.ClientSecret != b.ClientSecret)
	d.list("scopes", a.Scopes, b.Scopes)
	d.list("domains", a.Domains, b.Domains)
	d.value("address_claim", a.AddressClaim, b.AddressClaim)
	d.value("address_trust", a.AddressTrust, b.AddressTrust)
	d.value("login_claim", a.LoginClaim, b.LoginClaim)
	d.value("name_claim", a.NameClaim, b.NameClaim)
	d.list("keep_claims", a.KeepClaims, b.KeepClaims)
	return d
}

func serviceDetails(a, b Service) []string {
	var d details
	d.value("protocol", a.Protocol, b.Protocol)
	d.value("title", a.Title, b.Title)
	d.list("endpoints", endpointWords(a), endpointWords(b))
	d.value("audience", a.Audience, b.Audience)
	d.list("scopes", a.Scopes, b.Scopes)
	d.list("authentication", a.Authentication, b.Authentication)
	d.value("username", a.Username, b.Username)
	d.value("profile", a.Profile, b.Profile)
	d.value("algorithm", a.Algorithm, b.Algorithm)
	d.value("lifetime", a.lifetime(), b.lifetime())
	d.value("credential", a.Credential, b.Credential)
	d.value("in_broad", a.InBroad, b.InBroad)
	d.value("dpop", a.dpop(), b.dpop())
	d.value("order", a.Order, b.Order)
	d.value("insecure", a.Insecure, b.Insecure)
	d.condition(a.Condition, b.Condition)
	d.value("app_passwords", a.AppPasswords, b.AppPasswords)
	d.value("source", a.source(), b.source())
	d.value("unexpiring_tokens", a.unexpiringTokens(), b.unexpiringTokens())
	return d
}

func endpointWords(s Service) []string {
	words := make([]string, 0, len(s.Endpoints))
	for _, e := range s.Endpoints {
		if e.URL != "" {
			words = append(words, e.URL)
		} else {
			words = append(words, fmt.Sprintf("%s:%d/%s", e.Host, e.Port, e.Security))
		}
	}
	return words
}

func scopeDetails(a, b scopes.Scope) []string {
	var d details
	d.list("opens", a.Opens, b.Opens)
	d.list("includes", a.Includes, b.Includes)
	d.value("broad", a.Broad, b.Broad)
	d.changed("title", fmt.Sprint(a.Title) != fmt.Sprint(b.Title))
	d.changed("text", fmt.Sprint(a.Text) != fmt.Sprint(b.Text))
	return d
}
