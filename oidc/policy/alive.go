package policy

import (
	"cmp"
	"slices"

	"signpost/oidc"
	"signpost/scopes"
)

// AllowAlive is the rule by which a token that was presented to a service counts.
const AllowAlive = "allow-alive"

// Alive judges a token that somebody presented to a service, for the audiences in
// r.Targets: those of the server that asks what the token is worth (RFC 7662, section 2.2).
// It counts there if it would be made again today for the same sign-in, under the same
// login name: what a person, a service or a grant has lost since it was made is lost at
// once (R26, R31). Claims and Scope hold what concerns the server that asks, and nothing of
// other services. The token's proof of possession is that server's to check.
func Alive(r Request) Decision {
	if r.Subject == nil {
		return refuse(RuleTenant, oidc.CodeInvalidRequest, badGrant)
	}
	if d, ok := admit(r.asked()); !ok {
		return d
	}
	ceiling := r.Catalogue.Narrow(r.Grant.Scope, r.Subject.Scope)
	var audience []string
	var opened scopes.Set
	for _, target := range r.Targets {
		if scope := r.opensToday(target, ceiling); scope.Len() > 0 {
			audience, opened = append(audience, target), opened.Union(scope)
		}
	}
	if len(audience) == 0 {
		return refuse(RuleTarget, oidc.CodeInvalidTarget, noTarget)
	}
	return Decision{
		Rule: AllowAlive, Scope: opened,
		Claims: oidc.Claims{
			Issuer: r.Issuer, Subject: r.Account.ID, Audience: audience, ExpiresAt: r.Subject.ExpiresAt,
			Scope: opened.String(), ClientID: r.Grant.ClientID, GrantID: r.Grant.ID, Username: r.Subject.Username, Key: r.Subject.Key,
		},
	}
}

// asked is the request with what a server that asks cannot present: it is no client, it
// holds no key, and its tokens need not be broad. Dovecot's tokens do not name their client.
func (r Request) asked() Request {
	presented := *r.Subject
	presented.Audience = []string{r.Issuer}
	presented.ClientID = cmp.Or(presented.ClientID, r.Grant.ClientID)
	r.Way, r.Subject, r.ClientID = Exchange, &presented, r.Grant.ClientID
	r.Key, r.ClientBound = cmp.Or(presented.Key, r.Grant.Key), false
	return r
}

// opensToday returns the words that open the service with this audience to the token, none
// if the token is not for it, or would not be any more.
func (r Request) opensToday(audience string, ceiling scopes.Set) scopes.Set {
	service, ok := Resolve(r.Services, audience)
	broad := slices.Contains(r.Subject.Audience, r.Issuer)
	switch {
	case !ok || service.Audience != audience || audience == r.Issuer:
		return scopes.Set{}
	case !slices.Contains(r.Subject.Audience, audience) || broad && !service.InBroad:
		return scopes.Set{}
	// A service that does not look at keys would take a stolen bound token as a bearer token.
	case !keyFits(r.Subject.Key, service):
		return scopes.Set{}
	// The name in the token may be somebody else's by now.
	case service.Username != r.Subject.Username || !r.loginAllowed(service.Username):
		return scopes.Set{}
	}
	return r.Catalogue.Opening(ceiling, service.Scopes)
}
