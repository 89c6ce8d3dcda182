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

// world is a random tenant with its catalogue and services.
type world struct {
	includes  includes
	catalogue *scopes.Catalogue
	services  []policy.Service
	words     []string
}

// vocabulary is small, so that random sets meet.
var vocabulary = []string{"w0", "w1", "w2", "w3", "w4", "w5", "unknown"}

var targetNames = []string{
	"imap.a.test", "smtp.a.test", "pop.a.test", "shared.a.test", "https://dav.a.test/", "https://dav.a.test/cal/", "https://dav.a.test/cal/work/",
	"https://dav.a.test/cal", "https://dav.a.test/cal/work/2026", "https://dav.a.test/calendar", "https://dav.a.test/cal/../", "https://dav.a.test/cal%2Fwork",
	"https://a@dav.a.test/cal/", "https://a.test", "https://a.test/configuration", "https://a.test/x", "https://b.test", "imap.b.test", "",
}

func drawWorld(t *rapid.T) world {
	w := world{includes: includes{}, words: vocabulary}
	var list []scopes.Scope
	for i, name := range vocabulary[:6] {
		// A word includes only later ones, so there are no circles.
		if rest := vocabulary[i+1 : 6]; len(rest) > 0 {
			w.includes[name] = rapid.SliceOfNDistinct(rapid.SampledFrom(rest), 0, min(2, len(rest)), rapid.ID[string]).Draw(t, "includes of "+name)
		}
		list = append(list, word(name, w.includes[name]...))
	}
	catalogue, err := scopes.Default().With(list)
	if err != nil {
		t.Fatalf("catalogue: %v", err)
	}
	w.catalogue = catalogue
	// The last audience is the issuer's own URL: no declaration may have it, and the policy does not rely on that.
	audiences := []string{"imap.a.test", "smtp.a.test", "pop.a.test", "https://dav.a.test/", "https://dav.a.test/cal/", "https://dav.a.test/cal/work/", "https://a.test"}
	for _, audience := range rapid.SliceOfNDistinct(rapid.SampledFrom(audiences), 0, len(audiences), rapid.ID[string]).Draw(t, "audiences") {
		w.services = append(w.services, w.drawService(t, audience))
	}
	return w
}

func (w world) drawService(t *rapid.T, audience string) policy.Service {
	s := policy.Service{
		Audience: audience, Scopes: w.drawScope(t, "service's scopes", 1), Profile: rapid.SampledFrom([]string{"rfc9068", "dovecot"}).Draw(t, "profile"),
		Algorithm: rapid.SampledFrom([]string{"ES256", "RS256"}).Draw(t, "algorithm"), InBroad: rapid.Bool().Draw(t, "in broad"),
		Lifetime: rapid.SampledFrom([]time.Duration{0, time.Second, 5 * time.Minute, 24 * time.Hour}).Draw(t, "lifetime"),
		Username: rapid.SampledFrom([]string{"alice@a.test", "alice@A.test", "alice", "alice", "alice@a.test", "", "alice@b.test", "x@b.test@a.test"}).Draw(t, "username"),
	}
	s.DPoP = rapid.SampledFrom([]string{"", "none", "accepts", "requires", "other"}).Draw(t, "dpop")
	if strings.HasPrefix(audience, "https://") {
		s.URL = audience
		return s
	}
	s.Hosts = []string{audience}
	if rapid.Bool().Draw(t, "on the shared host") {
		s.Hosts = append(s.Hosts, "shared.a.test")
	}
	return s
}

func (w world) drawScope(t *rapid.T, label string, least int) scopes.Set {
	words := rapid.Permutation(w.words).Draw(t, label)
	return scopes.Of(words[:rapid.SampledFrom([]int{4, 5, 3, 6, 2, 1, least}).Draw(t, label)]...)
}

// mostly draws the good value nearly always: a request has some twenty of them, and
// a good part of all requests shall get past the first rules. rapid prefers small
// numbers, so the good value has these.
func mostly[V any](t *rapid.T, label string, good V, others ...V) V {
	if i := rapid.IntRange(0, rareness).Draw(t, label); i > rareness-len(others) {
		return others[rareness-i]
	}
	return good
}

const rareness = 60

func rarely(t *rapid.T, label string, n int) bool { return rapid.IntRange(0, n).Draw(t, label) == n }

func (w world) drawRequest(t *rapid.T) policy.Request {
	at := time.Date(2026, 1, 1, 0, 0, 0, rapid.IntRange(0, 999).Draw(t, "ms")*1_000_000, time.UTC)
	r := policy.Request{
		Way: mostly(t, "way", rapid.SampledFrom([]policy.Way{policy.Code, policy.Refresh, policy.Exchange, policy.Exchange, policy.Device}).Draw(t, "good way"), "", "password"),
		Now: at, Tenant: mostly(t, "tenant", "a", "b", ""), Issuer: mostly(t, "issuer", "https://a.test", "https://b.test"),
		Domains: mostly(t, "domains", []string{"a.test", "a2.test"}, nil), ClientID: mostly(t, "client", "open", "other", ""),
		Account:     policy.Account{ID: mostly(t, "account", "alice", "bob", ""), Username: mostly(t, "account's name", "alice@a.test", "", "alice@b.test"), Vouched: rapid.IntRange(0, 19).Draw(t, "vouched") > 0},
		ClientBound: rarely(t, "client wants bound tokens", 9),
		Services:    w.services, Catalogue: w.catalogue, TokenID: "jti",
		Grant: policy.Grant{
			ID: mostly(t, "grant", "g1", "g2", ""), Tenant: mostly(t, "grant's tenant", "a", "b"), AccountID: mostly(t, "grant's account", "alice", "bob"),
			ClientID: mostly(t, "grant's client", "open", "other"), Scope: w.drawScope(t, "granted", 0), Ended: mostly(t, "ended", false, true),
		},
		Targets: rapid.SliceOfN(rapid.SampledFrom(targetNames), 0, 1).Draw(t, "targets"),
	}
	if rarely(t, "proves a key", 1) {
		r.Key = mostly(t, "key", "k1", "k2")
	}
	if r.Way == policy.Refresh && rarely(t, "grant has a key", 4) {
		r.Grant.Key = "k1"
	}
	if rarely(t, "lists resources", 10) {
		r.Grant.Resources = rapid.SliceOfN(rapid.SampledFrom(targetNames[:7]), 1, 3).Draw(t, "resources")
	}
	if rarely(t, "more targets", 20) {
		r.Targets = rapid.SliceOfN(rapid.SampledFrom(targetNames), 2, 3).Draw(t, "several targets")
	}
	if rarely(t, "says scope", 3) {
		asked := w.drawScope(t, "asked", 0)
		r.Scope = &asked
	}
	if mostly(t, "subject where it belongs", true, false) == (r.Way == policy.Exchange) {
		r.Subject = w.drawSubject(t, at)
	}
	if len(w.services) > 0 && (r.Way == policy.Exchange || len(r.Targets) == 1) && !rarely(t, "any target", 5) {
		r.Targets = []string{rapid.SampledFrom(w.services).Draw(t, "target").Audience}
	}
	return r
}

func (w world) drawSubject(t *rapid.T, at time.Time) *policy.Subject {
	key := ""
	if rarely(t, "subject is bound", 2) {
		key = "k1"
	}
	return &policy.Subject{
		Key:    key,
		Issuer: mostly(t, "subject's issuer", "https://a.test", "https://b.test"), Subject: mostly(t, "subject's person", "alice", "bob"),
		Audience: mostly(t, "subject's audience", []string{"https://a.test", "imap.a.test"}, []string{"imap.a.test"}, nil, []string{"https://a.test/"}, []string{"https://b.test"}),
		Scope:    w.drawScope(t, "subject's scope", 0), ClientID: mostly(t, "subject's client", "open", "other"), GrantID: mostly(t, "subject's grant", "g1", "g2"),
		ExpiresAt: mostly(t, "subject's end", at.Add(time.Duration(rapid.IntRange(1, 7200).Draw(t, "left"))*time.Second).Truncate(time.Second).Add(time.Second), at, at.Add(-time.Hour), time.Time{}),
	}
}

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
		t.Logf("%-12s %5d", rule, n[rule])
		if n[rule] == 0 {
			t.Errorf("rule %s never decided: the property was not tried", rule)
		}
	}
	if refused, total := n.refused(); refused*5 < total || refused*5 > total*4 {
		t.Errorf("%d of %d refused, want between one and four fifths", refused, total)
	}
}

// TestR22ChainsNeverWiden presents what was allowed again and again, with the most
// greedy requests: each token lies within every one before it.
func TestR22ChainsNeverWiden(t *testing.T) {
	t.Parallel()
	exchanged, stopped := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range requestsPerWorld / 4 {
			first := w.drawRequest(t)
			first.Tenant, first.Grant.Tenant, first.Issuer = "a", "a", "https://a.test"
			last := policy.Decide(first)
			for step := 0; last.Allowed() && step < 4; step++ {
				next := w.drawRequest(t)
				next.Way, next.Subject, next.Grant = policy.Exchange, asSubject(last), first.Grant
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
				if d.Allowed() && d.Claims.Key != last.Claims.Key && last.Claims.Key != "" && d.Rule != policy.AllowUnbound {
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
				if d.Claims.Broad() || d.Claims.ExpiresAt.After(last.Claims.ExpiresAt) ||
					!w.includes.within(d.Scope.Words(), last.Scope.Words()) || !w.includes.within(d.Scope.Words(), first.Grant.Scope.Words()) {
					t.Fatalf("step %d widens\n  %+v to\n  %+v\nincludes %v", step, last.Claims, d.Claims, w.includes)
				}
				last = d
			}
		}
	})
	t.Logf("%d exchanged, %d stopped", exchanged, stopped)
	if exchanged == 0 || stopped == 0 {
		t.Errorf("%d exchanged and %d stopped: the property was not tried", exchanged, stopped)
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
	presented := []string{policy.RuleTenant, policy.RuleGrant, policy.RuleClient, policy.RulePerson, policy.RuleExpired, policy.RuleBroad}
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
			case slices.Contains(presented, d.Rule) && r.Way == policy.Exchange:
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
