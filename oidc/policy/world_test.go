package policy_test

import (
	"strings"
	"time"

	"pgregory.net/rapid"

	"signpost/internal/condition"
	"signpost/oidc"
	"signpost/oidc/policy"
	"signpost/scopes"
)

// world is a random tenant with its catalogue and services.
type world struct {
	includes   includes
	catalogue  *scopes.Catalogue
	services   []policy.Service
	conditions []*condition.Condition // of the clients
	words      []string
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
	for i, audience := range rapid.SliceOfNDistinct(rapid.SampledFrom(audiences), 1, len(audiences), rapid.ID[string]).Draw(t, "audiences") {
		s := w.drawService(t, audience)
		s.ID, s.Condition = [...]string{"first", "second", "third"}[i%3], drawCondition(t, 3)
		w.services = append(w.services, s)
		if rarely(t, "shares its audience", 8) {
			s.ID, s.Protocol, s.Condition = "other", "managesieve", drawCondition(t, 1)
			w.services = append(w.services, s)
		}
	}
	w.conditions = []*condition.Condition{drawCondition(t, 5), drawCondition(t, 5)}
	return w
}

// drawCondition draws none most of the time.
func drawCondition(t *rapid.T, n int) *condition.Condition {
	if !rarely(t, "has a condition", n) {
		return nil
	}
	return rapid.SampledFrom(compiledLaws()).Draw(t, "condition")
}

func (w world) drawService(t *rapid.T, audience string) policy.Service {
	s := policy.Service{
		Audience: audience, Scopes: w.drawScope(t, "service's scopes", 1), Profile: rapid.SampledFrom([]string{"rfc9068", "rfc9068", "dovecot", "opaque", "cyrus", "own"}).Draw(t, "profile"),
		Algorithm: rapid.SampledFrom([]string{"ES256", "RS256"}).Draw(t, "algorithm"), InBroad: rapid.Bool().Draw(t, "in broad"),
		Lifetime: rapid.SampledFrom([]time.Duration{0, time.Second, 5 * time.Minute, 24 * time.Hour}).Draw(t, "lifetime"),
		Username: rapid.SampledFrom([]string{"alice@a.test", "alice@A.test", "alice", "alice", "alice@a.test", "", "alice@b.test", "x@b.test@a.test"}).Draw(t, "username"),
	}
	s.AppPasswords, s.Protocol = !rarely(t, "takes no passwords", 4), rapid.SampledFrom([]string{"imap", "submission", "caldav"}).Draw(t, "protocol")
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
// numbers, so the good value has these; and because it likes the ends of a range, a bad value
// needs a coin's consent as well.
func mostly[V any](t *rapid.T, label string, good V, others ...V) V {
	if i := rapid.IntRange(0, rareness).Draw(t, label); i > rareness-len(others) && rapid.Bool().Draw(t, label) {
		return others[rareness-i]
	}
	return good
}

const rareness = 100

func rarely(t *rapid.T, label string, n int) bool { return rapid.IntRange(0, n).Draw(t, label) == n }

func (w world) drawRequest(t *rapid.T) policy.Request {
	at := time.Date(2026, 1, 1, 0, 0, 0, rapid.IntRange(0, 999).Draw(t, "ms")*1_000_000, time.UTC)
	r := policy.Request{
		Way: mostly(t, "way", rapid.SampledFrom([]policy.Way{policy.Code, policy.Refresh, policy.Exchange, policy.Exchange, policy.Device, policy.AppPassword, policy.AppPassword}).Draw(t, "good way"), "", "password"),
		Now: at, Tenant: mostly(t, "tenant", "a", "b", ""), Issuer: mostly(t, "issuer", "https://a.test", "https://b.test"),
		Domains: mostly(t, "domains", []string{"a.test", "a2.test"}, nil), ClientID: mostly(t, "client", "open", "other", ""),
		Account:     policy.Account{ID: mostly(t, "account", "alice", "bob", ""), Username: mostly(t, "account's name", "alice@a.test", "", "alice@b.test"), Vouched: mostly(t, "vouched for", true, false)},
		ClientBound: rarely(t, "client wants bound tokens", 9),
		Services:    w.services, Catalogue: w.catalogue, TokenID: "jti",
		Grant: policy.Grant{
			ID: mostly(t, "grant", "g1", "g2", "", policy.AccountPage), Tenant: mostly(t, "grant's tenant", "a", "b"), AccountID: mostly(t, "grant's account", "alice", "bob"),
			ClientID: mostly(t, "grant's client", "open", "other"), Scope: w.drawScope(t, "granted", 0), Ended: mostly(t, "ended", false, true),
		},
		Targets: rapid.SliceOfN(rapid.SampledFrom(targetNames), 0, 1).Draw(t, "targets"),

		ClientKind: rapid.SampledFrom([]string{"open", "open", "url"}).Draw(t, "kind"), ClientConditions: w.conditions, Claims: drawClaims(t),
		AuthTime:     mostly(t, "auth time", at.Add(-time.Duration(rapid.IntRange(-60, 600).Draw(t, "signed in ago"))*time.Second), time.Time{}, at.Add(-601*time.Second), at.Add(61*time.Second)),
		BroadProfile: rapid.SampledFrom([]string{"", "rfc9068", "opaque", "dovecot"}).Draw(t, "broad profile"),
	}
	if r.Way == policy.AppPassword {
		w.asksForPassword(t, &r)
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
	if rarely(t, "says scope", 6) {
		asked := w.drawScope(t, "asked", 0)
		r.Scope = &asked
	}
	exchanges := r.Way == policy.Exchange || r.Way == policy.AppPassword && r.Grant.ID != policy.AccountPage
	if mostly(t, "subject where it belongs", true, false) == exchanges {
		r.Subject = w.drawSubject(t, at)
	}
	if r.Way == policy.AppPassword && r.Subject != nil {
		r.Subject.Audience = mostly(t, "password's subject's audience", []string{"https://a.test"}, r.Subject.Audience)
		if !rarely(t, "subject makes no passwords", 20) {
			r.Subject.Scope = r.Subject.Scope.Union(scopes.Of(oidc.ScopeAppPassword))
		}
	}
	if len(w.services) > 0 && (r.Way == policy.Exchange || r.Way != policy.AppPassword && len(r.Targets) == 1) && !rarely(t, "any target", 5) {
		r.Targets = []string{rapid.SampledFrom(w.services).Draw(t, "target").Audience}
	}
	return r
}

// asksForPassword makes of a request one for an app password, at times at the person's own page.
func (w world) asksForPassword(t *rapid.T, r *policy.Request) {
	if !rarely(t, "grant makes no passwords", 20) {
		r.Grant.Scope = r.Grant.Scope.Union(scopes.Of(oidc.ScopeAppPassword))
	}
	if rarely(t, "account page", 3) {
		r.Grant.ID, r.Grant.ClientID, r.ClientID = policy.AccountPage, policy.AccountPage, policy.AccountPage
	}
	if len(w.services) == 0 || rarely(t, "any targets", 5) {
		return
	}
	r.Targets = nil
	for _, s := range rapid.SliceOfN(rapid.SampledFrom(w.services), 0, 3).Draw(t, "password's targets") {
		r.Targets = append(r.Targets, s.Audience)
	}
}

func drawClaims(t *rapid.T) map[string]any {
	claims := map[string]any{}
	if !rarely(t, "without groups", 5) {
		claims["groups"] = rapid.SampledFrom([][]any{{"staff"}, {"staff", "guests"}, {"guests"}, {}}).Draw(t, "groups")
	}
	if !rarely(t, "without acr", 5) {
		claims["acr"] = rapid.SampledFrom([]any{"high", "high", "low", 3}).Draw(t, "acr")
	}
	return claims
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
