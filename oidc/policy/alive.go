package policy

import (
	"cmp"
	"slices"

	"signpost/oidc"
	"signpost/scopes"
)

// Alive judges a token that somebody presented to a service, for the audiences in
// r.Targets: those of the server that asks what the token is worth (RFC 7662, section 2.2).
// It counts there if it would be made again today for the same sign-in, under the same
// login name: what a person, a service or a grant has lost since it was made is lost at
// once (R26, R31). Claims and Scope hold what concerns the server that asks, and nothing of
// other services. The token's proof of possession is that server's to check.
func Alive(r Request) Decision {
	if r.Subject == nil {
		return noSubject()
	}
	presented, broad := *r.Subject, slices.Contains(r.Subject.Audience, r.Issuer)
	return alive(r, presented, func(s *Service) bool {
		// Cyrus's tokens are not for introspection, and no others are for Cyrus (R10).
		return (s.InBroad || !broad) && s.Profile != oidc.ProfileCyrus
	})
}

// alive judges what r.Subject describes, at services that may take it. presented is a copy
// of that, of which everything but the audience counts as it stands.
func alive(r Request, presented Subject, takes func(*Service) bool) Decision {
	described := r.Subject
	// A server that asks is no client, holds no key, and what it was shown need not be broad.
	// Dovecot's tokens do not name their client.
	presented.Audience = []string{r.Issuer}
	presented.ClientID = cmp.Or(presented.ClientID, r.Grant.ClientID)
	r.Way, r.Subject, r.ClientID = Exchange, &presented, r.Grant.ClientID
	r.Key, r.ClientBound = cmp.Or(presented.Key, r.Grant.Key), false
	j := judgement{Request: r}
	if !j.belongs() {
		return j.refusal()
	}
	ceiling := j.most()
	var audience []string
	var opened scopes.Set
	for _, target := range r.Targets {
		if !slices.Contains(described.Audience, target) || slices.Contains(audience, target) {
			continue
		}
		s := j.opensToday(target)
		if s == nil || !takes(s) || !j.opens(ceiling, s.Scopes) || !j.has(target) {
			continue
		}
		audience, opened = append(audience, target), join(opened, j.opening(ceiling, s.Scopes))
	}
	if !j.ask(askTarget, len(audience) > 0) {
		return j.refusal()
	}
	return Decision{
		Rule: AllowAlive, Scope: opened,
		Claims: oidc.Claims{
			Issuer: r.Issuer, Subject: r.Account.ID, Audience: audience, ExpiresAt: described.ExpiresAt,
			Scope: opened.String(), ClientID: r.Grant.ClientID, GrantID: r.Grant.ID, Username: described.Username, Key: presented.Key,
		},
	}
}

// opensToday returns the service with an audience, nil if what is presented is not for it
// any more.
func (j *judgement) opensToday(audience string) *Service {
	i := indexOf(j.Services, audience)
	if i < 0 || audience == "" || audience == j.Issuer {
		return nil
	}
	s := &j.Services[i]
	// The name in it may be somebody else's by now.
	if !s.takesKey(j.Subject.Key) || s.Username != j.Subject.Username || !loginAllowed(s.Username, j.Domains) {
		return nil
	}
	return s
}

// join is the union, without a new set where one side is empty.
func join(a, b scopes.Set) scopes.Set {
	if a.Len() == 0 {
		return b
	}
	return a.Union(b)
}

// noSubject is said where nothing was presented.
func noSubject() Decision {
	j := judgement{Request: Request{Way: Exchange}, no: askWay}
	return j.refusal()
}
