package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"signpost/oidc"
)

// Keys of a token profile of a tenant's own, and values of "aud".
var (
	profileKeys  = []string{"name", "based_on", "typ", "client_id", "azp", "aud", "iat", "nbf", "backdate", "user_claim"}
	profileBases = []string{oidc.ProfileRFC9068, oidc.ProfileDovecot}
	broadTokens  = []string{oidc.ProfileRFC9068, oidc.ProfileOpaque}
)

const (
	audienceString = "string"
	audienceArray  = "array"
)

// Bounds of a tenant's own profiles.
const (
	maxProfiles  = 20
	maxBackdate  = time.Minute // more would make tokens valid before the sign-in
	maxClaimName = 64
)

// builtInProfile returns a profile that every tenant has.
func builtInProfile(name string) (oidc.Profile, bool) {
	for _, p := range oidc.BuiltInProfiles() {
		if p.Name == name {
			return p, true
		}
	}
	return oidc.Profile{}, false
}

// profile returns a token profile by its name: a built-in one, or else one of the tenant's own.
func (t Tenant) profile(name string) (oidc.Profile, bool) {
	if p, found := builtInProfile(name); found {
		return p, true
	}
	i := slices.IndexFunc(t.TokenProfiles, func(p oidc.Profile) bool { return p.Name == name })
	if i < 0 {
		return oidc.Profile{}, false
	}
	return t.TokenProfiles[i], true
}

// broadToken returns BroadToken, or what empty means.
func (t Tenant) broadToken() string { return cmp.Or(t.BroadToken, oidc.ProfileRFC9068) }

// tokenProfile reads a profile: what is left out is as in the one that it is based on.
func (o *object) tokenProfile() oidc.Profile {
	base := o.choice("based_on", oidc.ProfileRFC9068, profileBases...)
	p, _ := builtInProfile(base)
	p.Name = o.text("name", "")
	p.Type = o.text("typ", p.Type)
	p.ClientID = o.flag("client_id", p.ClientID)
	p.AuthorizedParty = o.flag("azp", p.AuthorizedParty)
	p.AudienceArray = o.choice("aud", audienceString, audienceString, audienceArray) == audienceArray
	p.IssuedAt = o.flag("iat", p.IssuedAt)
	p.NotBefore = o.flag("nbf", p.NotBefore)
	p.Backdate = o.span("backdate", p.Backdate, 0)
	p.UserClaim = o.text("user_claim", "")
	return p
}

func (c *checker) tokenProfiles(s spot, t Tenant) {
	c.oneOf(s, "broad_token", t.BroadToken, broadTokens...)
	if len(t.TokenProfiles) > maxProfiles {
		c.problem(s.field("token_profiles"), "", "there are more than %d token profiles", maxProfiles)
	}
	for i, p := range t.TokenProfiles {
		c.tokenProfile(s.child(kindTokenProfile, i, p.Name), p)
	}
	c.repeated(s, kindTokenProfile, "name", namesOf(t.TokenProfiles, func(p oidc.Profile) string { return p.Name }))
}

func (c *checker) tokenProfile(s spot, p oidc.Profile) {
	c.name(s, "name", p.Name)
	if _, taken := builtInProfile(p.Name); taken {
		c.problem(s.field("name"), "give it another name", "the name %q is that of a built-in profile", p.Name)
	}
	if p.Opaque || p.LoginSubject {
		c.problem(s.field("based_on"), "known are "+strings.Join(profileBases, ", "), "it is based on a profile that cannot be changed")
	}
	c.required(s, "typ", p.Type)
	c.oneOf(s, "typ", p.Type, oidc.TypeAccessToken, oidc.TypeJWT)
	if p.Backdate < 0 || p.Backdate > maxBackdate || p.Backdate%time.Second != 0 {
		c.problem(s.field("backdate"), "10s suits most", "backdate %v is not whole seconds, %v at most", p.Backdate, maxBackdate)
	}
	if p.UserClaim == "" {
		return
	}
	switch {
	case !isClaimName(p.UserClaim):
		c.problem(s.field("user_claim"), claimNameHint, "user_claim is not the name of a claim")
	case slices.ContainsFunc(registeredClaims, func(name string) bool { return strings.EqualFold(name, p.UserClaim) }):
		c.problem(s.field("user_claim"), "choose another name, such as login", "user_claim %q has a meaning of its own, which is not the login name", p.UserClaim)
	}
}

const claimNameHint = "at most 64 letters, digits and characters of URLs"

// isClaimName reports whether a text may name a claim: one word, or a URL.
func isClaimName(name string) bool {
	return name != "" && len(name) <= maxClaimName && printable(name) && !strings.ContainsAny(name, "\"'\\<>{}^`|,;")
}

// registeredClaims are names of claims that other programs act upon
// (https://www.iana.org/assignments/jwt/jwt.xhtml#claims), and those that Signpost gives a meaning.
var registeredClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", // RFC 7519, section 4.1
	"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
	"email", "email_verified", "gender", "birthdate", "zoneinfo", "locale", "phone_number", "phone_number_verified", "address",
	"updated_at", "azp", "nonce", "auth_time", "at_hash", "c_hash", "acr", "amr", "sub_jwk", "sid",
	"act", "may_act", "scope", "client_id", // RFC 8693, section 4
	"cnf", "htm", "htu", "ath", "events", "toe", "txn", "jwks", "sub_id", "authorization_details", "token_introspection",
	"roles", "groups", "entitlements", // RFC 9068, section 2.2.3.1
	"s_hash", "active", "token_type", "username", "grant",
}

// unreadableTokens returns a sentence for each service that takes tokens which nobody could look up for it.
func unreadableTokens(t Tenant) []string {
	var warnings []string
	for _, s := range t.Services {
		if s.Profile == oidc.ProfileOpaque && !slices.ContainsFunc(t.ResourceServers, func(r ResourceServer) bool { return slices.Contains(r.Audiences, s.Audience) }) {
			warnings = append(warnings, fmt.Sprintf("tenant %s, service %s: its tokens are opaque, and no resource server has its audience %s: nobody can ask what they are worth", t.Name, s.ID, s.Audience))
		}
	}
	return warnings
}

// compileProfiles collects the profiles by name. A built-in one is never replaced.
func (r *Realm) compileProfiles() {
	r.profiles = make(map[string]oidc.Profile)
	for _, p := range r.TokenProfiles {
		r.profiles[p.Name] = p
	}
	for _, p := range oidc.BuiltInProfiles() {
		r.profiles[p.Name] = p
	}
}

// Profile returns a form of tokens by its name: a built-in one or one of the tenant's own.
func (r *Realm) Profile(name string) (oidc.Profile, bool) {
	p, found := r.profiles[name]
	return p, found
}

// BroadProfile returns the name of the form of tokens for the issuer: oidc.ProfileRFC9068 or
// oidc.ProfileOpaque (R9).
func (r *Realm) BroadProfile() string { return r.broadToken() }

func profileDetails(a, b oidc.Profile) []string {
	var d details
	d.value("typ", a.Type, b.Type)
	d.value("client_id", a.ClientID, b.ClientID)
	d.value("azp", a.AuthorizedParty, b.AuthorizedParty)
	d.value("aud", audienceForm(a), audienceForm(b))
	d.value("iat", a.IssuedAt, b.IssuedAt)
	d.value("nbf", a.NotBefore, b.NotBefore)
	d.value("backdate", a.Backdate, b.Backdate)
	d.value("user_claim", a.UserClaim, b.UserClaim)
	return d
}

func audienceForm(p oidc.Profile) string {
	if p.AudienceArray {
		return audienceArray
	}
	return audienceString
}
