// Package policy decides which token may be made. Every way of making one (code,
// refresh, device, exchange, and the making of an app password) passes Decide, and nothing
// else fills in claims. It is pure: the same Request always gives the same Decision, both can
// be printed, and neither clock nor store is asked. A decision only narrows: scope, audience,
// person, client, tenant, end of validity and the key that a token is bound to never
// grow beyond what was presented (RFC 8693, section 2.1; RFC 8707, section 2.2;
// RFC 9700, section 2.3; RFC 9449, section 5), but for two cases that have rules of their
// own: AllowUnbound (R11) and AllowAppPassword (R21, R22). Explain tells how it was decided.
package policy

import (
	"slices"
	"strings"
	"time"

	"signpost/oidc"
	"signpost/scopes"
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

// broadAlgorithm signs tokens that are for the issuer.
const broadAlgorithm = "ES256"

// Decision is what Decide found: a token to be made, or a refusal.
type Decision struct {
	Rule      string      // the rule that decided, for the audit
	Refusal   *oidc.Error // nil if allowed
	Claims    oidc.Claims
	Scope     scopes.Set // what the token carries
	Profile   string
	Algorithm string // empty if nothing is signed
}

// Allowed reports whether the token may be made.
func (d Decision) Allowed() bool { return d.Refusal == nil && d.Rule != "" }

// Decide answers a request. The zero Request is refused.
func Decide(r Request) Decision {
	j := judgement{Request: r}
	return j.decide()
}

func (j *judgement) decide() Decision {
	if !j.comes() || !j.belongs() {
		return j.refusal()
	}
	if j.Way == AppPassword {
		return j.password()
	}
	ceiling, ok := j.ceiling()
	if !ok {
		return j.refusal()
	}
	if j.forIssuer() {
		return j.broad(ceiling)
	}
	if !j.ask(askOneTarget, len(j.Targets) == 1) {
		return j.refusal()
	}
	s := j.target(j.Targets[0])
	if s == nil {
		return j.refusal()
	}
	return j.narrow(s, ceiling)
}

// Admit judges a token that is presented to the issuer's own resources by the
// rules that an exchange would ask of it. Rule says which refused; Scope is what the
// token carries within its grant.
func Admit(r Request) Decision {
	r.Way = Exchange
	j := judgement{Request: r}
	if !j.comes() || !j.belongs() {
		return j.refusal()
	}
	return Decision{Rule: AllowBroad, Scope: j.most()}
}

// forIssuer reports whether a token for the issuer is asked for, which no exchange gives.
func (j *judgement) forIssuer() bool {
	if j.Way == Exchange {
		return false
	}
	return len(j.Targets) == 0 || len(j.Targets) == 1 && (j.Targets[0] == j.Issuer || isConfiguration(j.Targets[0], j.Issuer))
}

func isConfiguration(target, issuer string) bool {
	rest, below := strings.CutPrefix(target, issuer)
	return below && rest == oidc.ConfigurationPath
}

// broad decides for a token whose audience is the issuer and, unless the issuer is named
// alone, services.
func (j *judgement) broad(ceiling scopes.Set) Decision {
	if !j.ask(askGranted, ceiling.Len() > 0) {
		return j.refusal()
	}
	username := j.broadUsername()
	aud := []string{j.Issuer}
	if len(j.Targets) == 0 && username != "" {
		aud = j.inBroad(aud, username, ceiling)
	}
	profile := oidc.ProfileRFC9068
	if j.BroadProfile == oidc.ProfileOpaque {
		profile = oidc.ProfileOpaque // R9
	}
	d := j.allow(AllowBroad, aud, ceiling, username, Lifetime, profile, broadAlgorithm)
	d.Claims.Key = j.Key
	return d
}

// broadUsername is the login name in a broad token: an address in a verified
// domain, or none. A bare name means somebody else at each service.
func (j *judgement) broadUsername() string {
	if name := j.Account.Username; strings.Contains(name, "@") && loginAllowed(name, j.Domains) {
		return name
	}
	return ""
}

// inBroad adds the services that take the broad token besides the issuer (R4, R5): those
// that would take a narrow one too, under the one login name that the broad token carries,
// bound or not as they take it. Cyrus's tokens are narrow, whatever was declared (R10).
func (j *judgement) inBroad(aud []string, username string, ceiling scopes.Set) []string {
	for i := range j.Services {
		s := &j.Services[i]
		if !s.InBroad || s.Profile == oidc.ProfileCyrus || s.Username != username || !s.takesKey(j.Key) || !j.opens(ceiling, s.Scopes) {
			continue
		}
		// The first service with an audience stands for all.
		if !slices.Contains(aud, s.Audience) && i == indexOf(j.Services, s.Audience) && j.has(s.Audience) {
			aud = append(aud, s.Audience)
		}
	}
	return aud
}

// opens reports whether the ceiling opens a service at all.
func (j *judgement) opens(ceiling, service scopes.Set) bool {
	return j.Catalogue.Narrow(ceiling, service).Len() > 0 || j.Catalogue.Narrow(service, ceiling).Len() > 0
}

// narrow decides for a token of one service.
func (j *judgement) narrow(s *Service, ceiling scopes.Set) Decision {
	if !j.listed(s) || !j.meets(s.Audience) {
		return j.refusal()
	}
	scope := j.opening(ceiling, s.Scopes)
	if !j.ask(askOpens, scope.Len() > 0) || !j.useful(s.Scopes) || !j.named(s) || !j.bindable(s) {
		return j.refusal()
	}
	key, rule := j.Key, AllowNarrow
	if key != "" && !s.checksKey() {
		key, rule = "", AllowUnbound
	}
	lifetime := Lifetime
	if j.Way == Exchange {
		lifetime = ExchangeLifetime
		if s.Lifetime > 0 {
			lifetime = s.Lifetime
		}
	}
	d := j.allow(rule, []string{s.Audience}, scope, s.Username, lifetime, s.Profile, s.Algorithm)
	d.Claims.Key = key
	return d
}

// useful checks that the services have a use for every word that an exchange asks for. Code
// and refresh leave the others out and say so in the answer (RFC 8707, section 2.2).
func (j *judgement) useful(services scopes.Set) bool {
	if j.Scope == nil || j.Way != Exchange && j.Way != AppPassword {
		return true
	}
	return j.ask(askUseful, j.Catalogue.Cover(services, *j.Scope))
}

// bindable checks that the service can have a token of this request: a bound one where it
// demands that, and a bearer token only where the client takes one (R11).
func (j *judgement) bindable(s *Service) bool {
	if s.DPoP == dpopRequires && !j.ask(askBinding, j.Key != "") {
		return false
	}
	if j.Key == "" || s.checksKey() {
		return true
	}
	return j.ask(askUnbound, !j.ClientBound && s.DPoP != dpopRequires)
}

// allow fills in the claims. The end is the earliest of what may end it (R6).
func (j *judgement) allow(rule string, aud []string, scope scopes.Set, username string, lifetime time.Duration, profile, algorithm string) Decision {
	end := j.Now.Add(lifetime)
	if j.Subject != nil && j.Subject.ExpiresAt.Before(end) {
		end = j.Subject.ExpiresAt
	}
	if profile == oidc.ProfileOpaque {
		algorithm = ""
	}
	d := Decision{Rule: rule, Scope: scope, Profile: profile, Algorithm: algorithm, Claims: j.claims(aud, scope, username)}
	d.Claims.ExpiresAt = end.Truncate(time.Second)
	return d
}

// claims are those of whatever is made, without end and key.
func (j *judgement) claims(aud []string, scope scopes.Set, username string) oidc.Claims {
	return oidc.Claims{
		Issuer: j.Issuer, Subject: j.Account.ID, Audience: aud, IssuedAt: j.Now.Truncate(time.Second), ID: j.TokenID,
		Scope: scope.String(), ClientID: j.ClientID, GrantID: j.Grant.ID, Username: username,
	}
}
