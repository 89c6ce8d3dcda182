package policy_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"signpost/oidc"
	"signpost/oidc/policy"
	"signpost/scopes"
)

// tally counts what each rule decided.
type tally map[string]int

func (n tally) refused() (refused, total int) {
	for rule, count := range n {
		total += count
		if !strings.HasPrefix(rule, "allow-") {
			refused += count
		}
	}
	return refused, total
}

// requestsPerWorld makes many requests of one random world, which costs more than they do.
const requestsPerWorld = 120

// TestR22NoDecisionWidens asks random questions and compares each answer with the
// oracle's, both ways: what is allowed never widens, and what does not widen is allowed.
func TestR22NoDecisionWidens(t *testing.T) {
	t.Parallel()
	n := tally{}
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range requestsPerWorld {
			r := w.drawRequest(t)
			d := policy.Decide(r)
			n[d.Rule]++
			if want := w.includes.permits(r); d.Allowed() != want {
				t.Fatalf("allowed %v by %s (%v), the oracle says %v\nrequest %+v\nincludes %v", d.Allowed(), d.Rule, d.Refusal, want, r, w.includes)
			}
			if !d.Allowed() {
				if !reflect.DeepEqual(d, policy.Decision{Rule: d.Rule, Refusal: d.Refusal}) || d.Refusal == nil || d.Rule == "" {
					t.Fatalf("refusal carries more than rule and reason: %+v", d)
				}
				continue
			}
			if wrong := w.includes.widened(r, d); len(wrong) > 0 {
				t.Fatalf("%s\nrequest %+v\nsubject %+v\ndecision %+v\nincludes %v", strings.Join(wrong, "; "), r, r.Subject, d, w.includes)
			}
		}
	})
	for _, rule := range slices.Sorted(maps.Values(ruleConstants(t))) {
		t.Logf("%-20s %5d", rule, n[rule])
		if n[rule] == 0 {
			t.Errorf("rule %s never decided: the property was not tried", rule)
		}
	}
	refused, total := n.refused()
	t.Logf("%-20s %5d of %d", "refused", refused, total)
	if refused*5 < total || refused*5 > total*4 {
		t.Errorf("%d of %d refused, want between one and four fifths", refused, total)
	}
}

// TestR22ChainsNeverWiden presents what was allowed again and again, with the most
// greedy requests: each token lies within every one before it.
func TestR22ChainsNeverWiden(t *testing.T) {
	t.Parallel()
	exchanged, passwords, stopped := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range requestsPerWorld / 2 {
			first := w.drawRequest(t)
			first.Tenant, first.Grant.Tenant, first.Issuer = "a", "a", "https://a.test"
			if rarely(t, "begins for passwords", 1) {
				first.Way, first.Subject, first.Scope, first.Targets = policy.Refresh, nil, nil, []string{first.Issuer}
				first.Grant.ID, first.Grant.Scope = "g1", first.Grant.Scope.Union(scopes.Of(oidc.ScopeAppPassword))
			}
			last := policy.Decide(first)
			for step := 0; last.Allowed() && step < 4; step++ {
				next := w.drawRequest(t)
				if next.Way != policy.AppPassword || first.Grant.ID == policy.AccountPage {
					next.Way = policy.Exchange
				}
				next.Subject, next.Grant = asSubject(last), first.Grant
				next.Tenant, next.Issuer, next.ClientID, next.Account = first.Tenant, first.Issuer, first.ClientID, first.Account
				if rarely(t, "keeps the key", 1) {
					next.Key = first.Key
				}
				next.Now = last.Claims.IssuedAt.Add(time.Duration(rapid.IntRange(0, 1200).Draw(t, "waited")) * time.Second)
				d := policy.Decide(next)
				if d.Allowed() && !last.Claims.Broad() {
					t.Fatalf("a narrow token was exchanged: %+v for %+v", last.Claims, d.Claims)
				}
				if d.Allowed() && last.Claims.Key != "" && last.Claims.Key != next.Key {
					t.Fatalf("a bound token was exchanged without its key: %+v for %+v", last.Claims, d.Claims)
				}
				if d.Allowed() && d.Claims.Key != last.Claims.Key && last.Claims.Key != "" && d.Rule != policy.AllowUnbound && d.Rule != policy.AllowAppPassword {
					t.Fatalf("by %s a token lost its key: %+v for %+v", d.Rule, last.Claims, d.Claims)
				}
				if !last.Claims.Broad() && next.Subject.ExpiresAt.After(next.Now) && d.Rule != policy.RuleBroad {
					t.Fatalf("a narrow token was refused by %s, want by %s", d.Rule, policy.RuleBroad)
				}
				if !d.Allowed() {
					stopped++
					break
				}
				exchanged++
				if d.Rule == policy.AllowAppPassword {
					passwords++
					d.Claims.ExpiresAt = last.Claims.ExpiresAt // excepted by name, and nothing else (R22)
				}
				if d.Claims.Broad() || d.Claims.ExpiresAt.After(last.Claims.ExpiresAt) ||
					!w.includes.within(d.Scope.Words(), last.Scope.Words()) || !w.includes.within(d.Scope.Words(), first.Grant.Scope.Words()) {
					t.Fatalf("step %d widens\n  %+v to\n  %+v\nincludes %v", step, last.Claims, d.Claims, w.includes)
				}
				last = d
			}
		}
	})
	t.Logf("%d exchanged, %d of them for passwords, %d stopped", exchanged, passwords, stopped)
	if exchanged == 0 || passwords == 0 || stopped == 0 {
		t.Errorf("%d exchanged, %d of them for passwords, and %d stopped: the property was not tried", exchanged, passwords, stopped)
	}
}

// TestDecideIsAFunction: the same request gives the same decision, is not changed by
// it, and the decision shares nothing with the request that a caller could change.
func TestDecideIsAFunction(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range requestsPerWorld / 4 {
			r := w.drawRequest(t)
			before := printed(r)
			first := policy.Decide(r)
			first.Claims.Audience = slices.Clone(first.Claims.Audience)
			second := policy.Decide(r)
			if !reflect.DeepEqual(first, second) {
				t.Fatalf("first %+v\nthen %+v\nrequest %+v", first, second, r)
			}
			if after := printed(r); after != before {
				t.Fatalf("the request was changed\nfrom %s\nto   %s", before, after)
			}
			if second.Allowed() {
				second.Claims.Audience[0] = "changed by the caller"
				if third := policy.Decide(r); !reflect.DeepEqual(first, third) || printed(r) != before {
					t.Fatalf("the decision shares its audience with the request %+v", r)
				}
			}
		}
	})
}

func printed(r policy.Request) string {
	r.Catalogue = nil
	return fmt.Sprintf("%+v %+v %v", r, r.Subject, r.Scope)
}

// TestR24RefusalsOfSubjectTokens: whatever is wrong with what is presented, exchange
// says invalid_request and the sign-ins say invalid_grant (RFC 8693, section 2.2.2; RFC 6749, section 5.2).
func TestR24RefusalsOfSubjectTokens(t *testing.T) {
	t.Parallel()
	presented := []string{
		policy.RuleTenant, policy.RuleGrant, policy.RuleClient, policy.RulePerson, policy.RuleExpired, policy.RuleBroad,
		policy.RuleClientCondition, policy.RuleFresh,
	}
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range requestsPerWorld / 4 {
			r := w.drawRequest(t)
			d := policy.Decide(r)
			if d.Allowed() {
				continue
			}
			want := oidc.CodeInvalidTarget
			switch {
			case d.Rule == policy.RuleAppPassword:
				continue // it has several codes: see TestR21
			case d.Rule == policy.RuleUnbound && r.Way == policy.AppPassword:
				want = oidc.CodeUnauthorizedClient
			case slices.Contains(presented, d.Rule) && (r.Way == policy.Exchange || r.Way == policy.AppPassword):
				want = oidc.CodeInvalidRequest
			case slices.Contains(presented, d.Rule):
				want = oidc.CodeInvalidGrant
			case d.Rule == policy.RuleBinding:
				want = oidc.CodeInvalidDPoPProof
			case d.Rule == policy.RuleScope:
				want = oidc.CodeInvalidScope
			}
			if d.Refusal.Code != want {
				t.Fatalf("%s by %s answers %s, want %s", r.Way, d.Rule, d.Refusal.Code, want)
			}
		}
	})
}
