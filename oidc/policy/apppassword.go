package policy

import (
	"slices"
	"time"

	"signpost/oidc"
	"signpost/scopes"
)

// How long ago the person may have signed in who wants a password (R21).
const (
	freshFor = 10 * time.Minute
	// clockLeeway is how far the identity provider's clock may be ahead.
	clockLeeway = time.Minute
)

// SignedInLately reports whether somebody who signed in at a moment that an identity provider gave may
// make an app password now (R21). A moment that is not known, or has not come yet, is not lately.
func SignedInLately(at, now time.Time) bool {
	age := now.Sub(at)
	return !at.IsZero() && age <= freshFor && age >= -clockLeeway
}

// password decides for an app password: one secret for several services that share a login
// name. It outlives what was presented and is bound to no key; everything else lies within
// what was presented, as with tokens (R21, R22).
func (j *judgement) password() Decision {
	if !j.mayMakePasswords() {
		return j.refusal()
	}
	ceiling, ok := j.ceiling()
	if !ok || !j.ask(askSomeTarget, len(j.Targets) > 0) {
		return j.refusal()
	}
	var aud []string
	var scope, useful scopes.Set
	username := ""
	for _, name := range j.Targets {
		s := j.target(name)
		if s == nil {
			return j.refusal()
		}
		if slices.Contains(aud, s.Audience) {
			continue // named twice
		}
		if !j.passwordFor(s) {
			return j.refusal()
		}
		opened := j.opening(ceiling, s.Scopes)
		if !j.ask(askOpens, opened.Len() > 0) || !j.named(s) || username != "" && !j.ask(askOneLogin, s.Username == username) {
			return j.refusal()
		}
		aud, username = append(aud, s.Audience), s.Username
		scope, useful = join(scope, opened), join(useful, s.Scopes)
	}
	if !j.useful(useful) {
		return j.refusal()
	}
	return Decision{Rule: AllowAppPassword, Scope: scope, Claims: j.claims(aud, scope, username)}
}

// mayMakePasswords checks what R21 demands of who asks. At the person's own page there is no
// token: who has opened it has just signed in, and to nothing else.
func (j *judgement) mayMakePasswords() bool {
	s, word := j.Subject, oidc.ScopeAppPassword
	if j.ClientBound && !j.ask(askPasswordUnbound, false) {
		return false
	}
	if s == nil {
		return j.ask(askPasswordScope, j.Grant.Scope.Has(word))
	}
	return j.ask(askIssuerAlone, len(s.Audience) == 1) && // it has the issuer: it is broad
		j.ask(askPasswordScope, j.Grant.Scope.Has(word) && s.Scope.Has(word)) &&
		j.ask(askFresh, SignedInLately(j.AuthTime, j.Now))
}

// passwordFor checks that a password can be for a service. One that demands bound tokens
// takes none: a password proves no key.
func (j *judgement) passwordFor(s *Service) bool {
	return j.listed(s) && j.meets(s.Audience) && j.ask(askTakesPasswords, takesPasswords(s))
}

func takesPasswords(s *Service) bool { return s.AppPasswords && s.takesKey("") }

// AliveAppPassword judges an app password that somebody presented to a service, as Alive
// judges a token: r.Subject describes the password as it was made, with the zero ExpiresAt if
// it ends by nothing else. A service that takes no passwords any more takes none of the old
// ones either. Grant.Ended says whether the grant's end ends the password: one that
// expired or was replaced does not (R21).
func AliveAppPassword(r Request) Decision {
	if r.Subject == nil {
		return noSubject()
	}
	presented := *r.Subject
	presented.Key = ""
	if presented.ExpiresAt.IsZero() {
		presented.ExpiresAt = r.Now.Add(Lifetime) // at this moment it lives
	}
	return alive(r, presented, takesPasswords)
}
