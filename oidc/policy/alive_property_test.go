package policy_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"signpost/oidc/policy"
	"signpost/scopes"
)

// TestR26WhatWasJustMadeIsAlive: of what Decide allows, Alive says the same at the same moment,
// for every service that it is for. Nobody asks of Cyrus's (R10).
func TestR26WhatWasJustMadeIsAlive(t *testing.T) {
	t.Parallel()
	tokens, passwords := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range requestsPerWorld {
			r := w.drawRequest(t)
			d := policy.Decide(r)
			services := slices.DeleteFunc(slices.Clone(d.Claims.Audience), func(a string) bool { return a == r.Issuer })
			if !d.Allowed() || d.Profile == "cyrus" || len(services) == 0 {
				continue
			}
			presented := r
			presented.Way, presented.Scope = "", nil
			presented.Subject, presented.Targets = asSubject(d), services
			judge := policy.Alive
			if d.Rule == policy.AllowAppPassword {
				judge = policy.AliveAppPassword
				passwords++
			} else {
				tokens++
			}
			alive := judge(presented)
			if !alive.Allowed() || !slices.Equal(alive.Claims.Audience, services) || !w.includes.within(alive.Scope.Words(), d.Scope.Words()) ||
				alive.Claims.Username != d.Claims.Username || alive.Claims.Key != d.Claims.Key || !alive.Claims.ExpiresAt.Equal(d.Claims.ExpiresAt) {
				t.Fatalf("made %+v\nalive %s, %v: %+v\nrequest %+v", d, alive.Rule, alive.Refusal, alive.Claims, r)
			}
		}
	})
	t.Logf("%d tokens, %d passwords", tokens, passwords)
	if tokens == 0 || passwords == 0 {
		t.Errorf("%d tokens and %d passwords: the property was not tried", tokens, passwords)
	}
}

// TestR26NothingIsAliveThatWouldNotBeMade asks of random tokens that somebody presents.
func TestR26NothingIsAliveThatWouldNotBeMade(t *testing.T) {
	t.Parallel()
	alive, dead := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range requestsPerWorld {
			r := w.drawRequest(t)
			r.Subject = w.drawSubject(t, r.Now)
			r.Subject.Username = mostly(t, "name in the token", "alice@a.test", "alice", "")
			r.Targets = nil
			for _, s := range w.services {
				r.Targets = append(r.Targets, s.Audience)
				if !rarely(t, "token for it", 2) {
					r.Subject.Audience = append(slices.Clone(r.Subject.Audience), s.Audience)
				}
			}
			d := policy.Alive(r)
			if !d.Allowed() {
				dead++
				continue
			}
			alive++
			if wrong := w.includes.undead(r, d); len(wrong) > 0 {
				t.Fatalf("%s\nrequest %+v\nsubject %+v\nclaims %+v", strings.Join(wrong, "; "), r, r.Subject, d.Claims)
			}
		}
	})
	t.Logf("%d alive, %d not", alive, dead)
	if alive == 0 || dead == 0 {
		t.Errorf("%d alive and %d not: the property was not tried", alive, dead)
	}
}

// undead says what is wrong with a token that counts.
func (in includes) undead(r policy.Request, d policy.Decision) []string {
	var wrong []string
	must := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, what)
		}
	}
	s, g := r.Subject, r.Grant
	must(g.Tenant == r.Tenant && s.Issuer == r.Issuer && !g.Ended && s.GrantID == g.ID, "of another tenant or sign-in, or one that ended")
	must(r.Account.Vouched && s.Subject == r.Account.ID && g.AccountID == r.Account.ID, "of another person, or one for whom nobody speaks")
	must(s.ClientID == g.ClientID && s.ExpiresAt.After(r.Now), "of another client, or expired")
	must(s.Key == "" || g.Key == "" || s.Key == g.Key, "bound to another key than its sign-in")
	asked := r
	asked.ClientID = g.ClientID
	for _, c := range r.ClientConditions {
		must(known(c)(asked, policy.Service{}), "the client's condition does not hold")
	}
	must(in.within(d.Scope.Words(), s.Scope.Words()) && in.within(d.Scope.Words(), g.Scope.Words()), "scope beyond token or grant")
	var useful scopes.Set
	for _, audience := range d.Claims.Audience {
		service, _ := target(r, audience)
		useful = useful.Union(service.Scopes)
		must(audience != r.Issuer && slices.Contains(s.Audience, audience), "for "+audience+", for which it was not made")
		must(!slices.Contains(s.Audience, r.Issuer) || service.InBroad, audience+" takes no broad token")
		must(service.Username == s.Username && verified(s.Username, r.Domains), "somebody else at "+audience)
		must(service.Profile != "cyrus" && conditionsHold(asked, audience), audience+" would get none")
		must(s.Key == "" || looks(service), audience+" does not look at its key")
		must(s.Key != "" || service.DPoP != "requires", audience+" demands a key")
	}
	must(in.within(d.Scope.Words(), useful.Words()), "scope of other services")
	return wrong
}
