// Package policy decides which token may be made. Every way of making one (code,
// refresh, exchange) passes Decide, and nothing else fills in claims. It is pure:
// the same Request always gives the same Decision, both can be printed, and
// neither clock nor store is asked. A decision only narrows: scope, audience,
// person, client, tenant, end of validity and the key that a token is bound to never
// grow beyond what was presented (RFC 8693, section 2.1; RFC 8707, section 2.2;
// RFC 9700, section 2.3; RFC 9449, section 5), but for one case that has a rule of its own (R11).
package policy

import (
	"slices"
	"strings"
	"time"

	"signpost/oidc"
	"signpost/scopes"
)

// Way is how a token is asked for.
type Way string

// Ways of making a token.
const (
	Code     Way = "code"     // RFC 6749, section 4.1.3
	Refresh  Way = "refresh"  // RFC 6749, section 6
	Exchange Way = "exchange" // RFC 8693, section 2.1
	Device   Way = "device"   // RFC 8628, section 3.4
)

// Lifetimes.
const (
	// Lifetime of tokens from code and refresh, narrowed by resource or not: the
	// least that draft-ietf-mailmaint-oauth-public allows (R6).
	Lifetime = time.Hour
	// ExchangeLifetime is that of exchanged tokens unless the service says
	// otherwise: who exchanges can exchange again (R6).
	ExchangeLifetime = 15 * time.Minute
)

// BroadProfile is the token profile of tokens that are for the issuer.
const BroadProfile = "rfc9068"

// broadAlgorithm signs tokens that are for the issuer.
const broadAlgorithm = "ES256"

// Request is everything that a decision depends on.
type Request struct {
	Way      Way
	Now      time.Time
	Tenant   string
	Issuer   string
	Domains  []string // the tenant's verified domains (R1)
	ClientID string   // who asks

	ClientBound bool   // the client registered that all its tokens are bound (RFC 9449, section 5.2)
	Key         string // thumbprint of the key that this request proved to hold; empty for none

	Account   Account
	Grant     Grant
	Subject   *Subject    // the token presented for exchange; nil otherwise
	Scope     *scopes.Set // what is asked for; nil if the request did not say
	Targets   []string    // every "resource" and "audience" of the request
	Services  []Service   // what the account has
	Catalogue *scopes.Catalogue
	TokenID   string // "jti" of the token to be made
}

// Account is whom the token is about.
type Account struct {
	ID       string // stable subject
	Username string // login name in broad tokens, an address; may be empty
	Vouched  bool   // a declared identity provider still speaks for the account
}

// Grant is the sign-in that the token comes from, as stored.
type Grant struct {
	ID        string
	Tenant    string
	AccountID string
	ClientID  string
	Scope     scopes.Set
	Resources []string // audiences named at /authorize; empty means whatever the scopes open
	Ended     bool
	Key       string // thumbprint of the key that its refresh tokens are bound to; empty for none
}

// Subject is a subject token whose signature was checked, or what it says.
type Subject struct {
	Issuer    string
	Subject   string
	Audience  []string
	Scope     scopes.Set
	ClientID  string
	GrantID   string
	ExpiresAt time.Time
	Key       string // "cnf": thumbprint of the key that it is bound to; empty for a bearer token
	Username  string // "preferred_username"; only Alive looks at it
}

// SubjectOf returns what a token says whose signature was checked. The error is
// scopes.ErrSyntax if its scope is malformed: then it is not one of ours.
func SubjectOf(c oidc.Claims) (*Subject, error) {
	scope, err := scopes.Parse(c.Scope)
	if err != nil {
		return nil, err
	}
	return &Subject{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, Scope: scope,
		ClientID: c.ClientID, GrantID: c.GrantID, ExpiresAt: c.ExpiresAt, Key: c.Key, Username: c.Username,
	}, nil
}

// Service is a possible target.
type Service struct {
	Audience  string
	Hosts     []string // host names of its endpoints
	URL       string   // prefix of an HTTP service; empty for others
	Scopes    scopes.Set
	Profile   string
	Algorithm string
	Lifetime  time.Duration // of exchanged tokens; zero means ExchangeLifetime
	InBroad   bool
	Username  string // login name there; empty if there is none
	DPoP      string // what it makes of bound tokens: "accepts", "requires", or anything else for nothing (R11)
}

// What a service makes of tokens that are bound to a key (R11).
const (
	dpopAccepts  = "accepts"
	dpopRequires = "requires"
)

// checksKey reports whether the service looks at the key that a token is bound to.
func (s Service) checksKey() bool { return s.DPoP == dpopAccepts || s.DPoP == dpopRequires }

// Decision is what Decide found: a token to be made, or a refusal.
type Decision struct {
	Rule      string      // the rule that decided, for the audit
	Refusal   *oidc.Error // nil if allowed
	Claims    oidc.Claims
	Scope     scopes.Set // what the token carries
	Profile   string
	Algorithm string
}

// Allowed reports whether the token may be made.
func (d Decision) Allowed() bool { return d.Refusal == nil && d.Rule != "" }

// Rules that refuse, in the order in which they are asked.
const (
	RuleTenant   = "tenant"   // grant and subject belong to this tenant and issuer
	RuleGrant    = "grant"    // the grant lives
	RuleBroad    = "broad"    // only a broad token is exchanged
	RuleClient   = "client"   // the grant's and the subject's client asks
	RulePerson   = "person"   // grant and subject are about this account
	RuleExpired  = "expired"  // the subject token has not expired
	RuleBinding  = "binding"  // the key is proved to which something is bound, or must be
	RuleTarget   = "target"   // exactly one target that the account has
	RuleResource = "resource" // a target among those granted
	RuleScope    = "scope"    // scope within what was presented
	RuleLogin    = "login"    // a login name that lies in a verified domain
	RuleUnbound  = "unbound"  // no bearer token for a client that wants bound ones only
)

// Rules that allow.
const (
	AllowBroad  = "allow-broad"
	AllowNarrow = "allow-narrow"
	// AllowUnbound is AllowNarrow where the request proved a key and the service does
	// not look at it: a bearer token, which is less than what was presented (R11).
	AllowUnbound = "allow-narrow-unbound"
)

// Decide answers a request. The zero Request is refused.
func Decide(r Request) Decision {
	if d, ok := admit(r); !ok {
		return d
	}
	ceiling, d, ok := r.ceiling()
	if !ok {
		return d
	}
	if len(r.Targets) == 0 && r.Way != Exchange {
		return r.broad(ceiling, r.inBroad(ceiling))
	}
	if len(r.Targets) != 1 {
		return refuse(RuleTarget, oidc.CodeInvalidTarget, "name exactly one target with audience or resource")
	}
	if r.Way != Exchange && (r.Targets[0] == r.Issuer || r.Targets[0] == r.Issuer+oidc.ConfigurationPath) {
		return r.broad(ceiling, nil)
	}
	service, ok := Resolve(r.Services, r.Targets[0])
	// A token for a service is never broad, whatever was declared (R4).
	if !ok || service.Audience == r.Issuer {
		return refuse(RuleTarget, oidc.CodeInvalidTarget, noTarget)
	}
	return r.narrow(service, ceiling)
}

// Admit judges a token that is presented to the issuer's own resources by the
// rules that an exchange would ask of it. Rule says which refused; Scope is what the
// token carries within its grant.
func Admit(r Request) Decision {
	r.Way, r.Scope = Exchange, nil
	if d, ok := admit(r); !ok {
		return d
	}
	ceiling, _, _ := r.ceiling()
	return Decision{Rule: AllowBroad, Scope: ceiling}
}

// noTarget is said of unknown and of forbidden targets alike.
const noTarget = "the target is not a service of this account; see the configuration document for its audiences"

// admit checks what does not depend on the target: that everything presented
// belongs together and still lives.
func admit(r Request) (Decision, bool) {
	// Sign-ins end in invalid_grant, subject tokens always in invalid_request (R24).
	code := oidc.CodeInvalidGrant
	if r.Way == Exchange {
		code = oidc.CodeInvalidRequest
	}
	g, s := r.Grant, r.Subject
	switch {
	case !slices.Contains([]Way{Code, Refresh, Exchange, Device}, r.Way) || (r.Way == Exchange) != (s != nil):
		return refuse(RuleTenant, code, badGrant), false
	case r.Tenant == "" || r.Issuer == "" || g.Tenant != r.Tenant || s != nil && s.Issuer != r.Issuer:
		return refuse(RuleTenant, code, badGrant), false
	case g.ID == "" || g.Ended || s != nil && s.GrantID != g.ID:
		return refuse(RuleGrant, code, badGrant), false
	case s != nil && !slices.Contains(s.Audience, r.Issuer):
		return refuse(RuleBroad, code, "the subject token is not broad: only a token for the issuer itself can be exchanged"), false
	case r.ClientID == "" || g.ClientID != r.ClientID || s != nil && s.ClientID != r.ClientID:
		return refuse(RuleClient, code, "it was issued to another client"), false
	case r.Account.ID == "" || !r.Account.Vouched || g.AccountID != r.Account.ID || s != nil && s.Subject != r.Account.ID:
		return refuse(RulePerson, code, badGrant), false
	case s != nil && !s.ExpiresAt.After(r.Now):
		return refuse(RuleExpired, code, "the subject token has expired; refresh it"), false
	}
	return r.bound()
}

// bound checks that the request proves the key of everything presented (RFC 9449, section 5).
func (r Request) bound() (Decision, bool) {
	g, s := r.Grant, r.Subject
	switch {
	case g.Key != "" && g.Key != r.Key, s != nil && s.Key != "" && s.Key != r.Key:
		return refuse(RuleBinding, oidc.CodeInvalidDPoPProof, "what was presented is bound to a key; send a proof of that key in the header DPoP"), false
	case r.ClientBound && r.Key == "":
		return refuse(RuleBinding, oidc.CodeInvalidDPoPProof, "this client registered dpop_bound_access_tokens; send a proof in the header DPoP"), false
	}
	return Decision{}, true
}

// badGrant is said whatever is wrong with what was presented, so that it tells nothing.
const badGrant = "it is not valid here any more; sign in again"

// ceiling is the most that the token may carry, and refuses what was asked beyond it.
func (r Request) ceiling() (scopes.Set, Decision, bool) {
	most := r.Grant.Scope
	if r.Subject != nil {
		most = r.Catalogue.Narrow(r.Grant.Scope, r.Subject.Scope)
	}
	if r.Scope == nil {
		return most, Decision{}, true
	}
	if r.Scope.Len() == 0 || !r.Catalogue.Cover(most, *r.Scope) {
		return scopes.Set{}, refuse(RuleScope, oidc.CodeInvalidScope, "the scope goes beyond what was granted; sign in again to ask for more"), false
	}
	return *r.Scope, Decision{}, true
}

// inBroad returns the services that take the broad token besides the issuer (R4,
// R5): those that would take a narrow one too, under the one login name that the
// broad token carries, bound or not as they take it.
func (r Request) inBroad(ceiling scopes.Set) []Service {
	var in []Service
	for _, s := range r.Services {
		if s.InBroad && keyFits(r.Key, s) && s.Username != "" && s.Username == r.broadUsername() && r.Catalogue.Opening(ceiling, s.Scopes).Len() > 0 {
			in = append(in, s)
		}
	}
	return in
}

// keyFits reports whether a service takes a token that is bound to a key, or to none
// if that is empty. One that does not look at keys would take a stolen bound token as a
// bearer token, so a bound one is not for it.
func keyFits(key string, s Service) bool {
	if key == "" {
		return s.DPoP != dpopRequires
	}
	return s.checksKey()
}

// broad decides for a token whose audience is the issuer, and services.
func (r Request) broad(ceiling scopes.Set, in []Service) Decision {
	if ceiling.Len() == 0 {
		return refuse(RuleScope, oidc.CodeInvalidScope, "nothing was granted")
	}
	aud := []string{r.Issuer}
	for _, s := range in {
		if !slices.Contains(aud, s.Audience) {
			aud = append(aud, s.Audience)
		}
	}
	d := r.allow(AllowBroad, aud, ceiling, r.broadUsername(), Lifetime, BroadProfile, broadAlgorithm)
	d.Claims.Key = r.Key
	return d
}

// broadUsername is the login name in a broad token: an address in a verified
// domain, or none. A bare name means somebody else at each service.
func (r Request) broadUsername() string {
	if name := r.Account.Username; strings.Contains(name, "@") && r.loginAllowed(name) {
		return name
	}
	return ""
}

// narrow decides for a token of one service.
func (r Request) narrow(s Service, ceiling scopes.Set) Decision {
	if len(r.Grant.Resources) > 0 && !slices.Contains(r.Grant.Resources, s.Audience) {
		return refuse(RuleResource, oidc.CodeInvalidTarget, noTarget)
	}
	scope := r.Catalogue.Opening(ceiling, s.Scopes)
	// Exchange refuses a word that the service has no use for; code and refresh
	// leave it out and say so in the answer (RFC 8707, section 2.2).
	if scope.Len() == 0 || r.Way == Exchange && r.Scope != nil && !r.Catalogue.Cover(s.Scopes, *r.Scope) {
		return refuse(RuleScope, oidc.CodeInvalidScope, "the scope does not open this service; see the scope document")
	}
	if s.Username == "" || !r.loginAllowed(s.Username) {
		return refuse(RuleLogin, oidc.CodeInvalidTarget, noTarget)
	}
	key, rule := r.Key, AllowNarrow
	switch {
	case r.Key == "" && s.DPoP == dpopRequires:
		return refuse(RuleBinding, oidc.CodeInvalidDPoPProof, "this service takes only tokens that are bound to a key; send a proof in the header DPoP")
	case r.Key != "" && !s.checksKey() && r.ClientBound:
		return refuse(RuleUnbound, oidc.CodeInvalidTarget, "this service takes bearer tokens only, and this client registered dpop_bound_access_tokens")
	case r.Key != "" && !s.checksKey():
		key, rule = "", AllowUnbound
	}
	lifetime := Lifetime
	if r.Way == Exchange {
		lifetime = ExchangeLifetime
		if s.Lifetime > 0 {
			lifetime = s.Lifetime
		}
	}
	d := r.allow(rule, []string{s.Audience}, scope, s.Username, lifetime, s.Profile, s.Algorithm)
	d.Claims.Key = key
	return d
}

// allow fills in the claims. The end is the earliest of what may end it (R6).
func (r Request) allow(rule string, aud []string, scope scopes.Set, username string, lifetime time.Duration, profile, algorithm string) Decision {
	end := r.Now.Add(lifetime)
	if r.Subject != nil && r.Subject.ExpiresAt.Before(end) {
		end = r.Subject.ExpiresAt
	}
	return Decision{
		Rule: rule, Scope: scope, Profile: profile, Algorithm: algorithm,
		Claims: oidc.Claims{
			Issuer: r.Issuer, Subject: r.Account.ID, Audience: aud,
			ExpiresAt: end.Truncate(time.Second), IssuedAt: r.Now.Truncate(time.Second), ID: r.TokenID,
			Scope: scope.String(), ClientID: r.ClientID, GrantID: r.Grant.ID, Username: username,
		},
	}
}

func refuse(rule, code, description string) Decision {
	return Decision{Rule: rule, Refusal: oidc.E(code, description)}
}
