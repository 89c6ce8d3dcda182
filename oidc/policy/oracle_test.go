package policy_test

import (
	"slices"
	"strings"
	"time"

	"signpost/oidc/policy"
	"signpost/scopes"
)

// The oracle says what may be allowed, slowly and in the plainest way, without
// asking policy or scopes.Catalogue: sets are maps, includes are followed one by
// one, URLs are compared as strings.

// includes says which words a word includes directly.
type includes map[string][]string

// expand returns the words with everything that they include.
func (in includes) expand(words []string) map[string]bool {
	all := map[string]bool{}
	for _, w := range words {
		all[w] = true
	}
	for range len(in) + 1 { // longer than any chain of includes
		for w := range all {
			for _, included := range in[w] {
				all[included] = true
			}
		}
	}
	return all
}

// within reports whether everything that the words open is opened by the others.
func (in includes) within(words, others []string) bool {
	outer := in.expand(others)
	for w := range in.expand(words) {
		if !outer[w] {
			return false
		}
	}
	return true
}

// most returns the words that a token may carry at most.
func (in includes) most(r policy.Request) []string {
	granted := r.Grant.Scope.Words()
	if r.Subject == nil {
		return granted
	}
	var both []string
	for _, w := range r.Subject.Scope.Words() {
		if in.within([]string{w}, granted) {
			both = append(both, w)
		}
	}
	return both
}

// useful returns what of the carried words a service has a use for: its own words as
// far as they are covered, and words narrower than its own.
func (in includes) useful(carried []string, s policy.Service) []string {
	var words []string
	for _, w := range s.Scopes.Words() {
		if in.within([]string{w}, carried) {
			words = append(words, w)
		}
	}
	for _, w := range carried {
		if in.within([]string{w}, s.Scopes.Words()) && !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return words
}

// target returns the one service that a target names.
func target(r policy.Request, name string) (policy.Service, bool) {
	services := r.Services
	for _, s := range services {
		if s.Audience == name {
			return s, true
		}
	}
	if !strings.HasPrefix(name, "https://") {
		return host(r, name)
	}
	for _, strange := range []string{"..", "%", "@", "#", "?"} {
		if strings.Contains(name, strange) {
			return policy.Service{}, false
		}
	}
	var longest policy.Service
	for _, s := range services {
		if s.URL != "" && strings.HasPrefix(name+"/", strings.TrimSuffix(s.URL, "/")+"/") && len(s.URL) > len(longest.URL) {
			longest = s
		}
	}
	return longest, longest.URL != ""
}

func host(r policy.Request, name string) (policy.Service, bool) {
	var on []policy.Service
	for _, s := range r.Services {
		if slices.Contains(s.Hosts, name) {
			on = append(on, s)
		}
	}
	another := func(s policy.Service) bool { return s.Audience != on[0].Audience }
	if slices.ContainsFunc(on, another) { // of those that the person has, one
		on = slices.DeleteFunc(on, func(s policy.Service) bool { return !conditionsHold(r, s.Audience) })
	}
	if slices.ContainsFunc(on, another) {
		return policy.Service{}, false
	}
	if len(on) == 0 {
		return policy.Service{}, false
	}
	return on[0], true
}

// verified reports whether a login name is bare or in one of the domains.
func verified(name string, domains []string) bool {
	parts := strings.Split(name, "@")
	switch len(parts) {
	case 1:
		return name != ""
	case 2:
		return parts[0] != "" && slices.Contains(domains, strings.ToLower(parts[1]))
	}
	return false
}

// belongs reports whether everything presented is of one tenant, grant, client and
// person and alive.
func belongs(r policy.Request) bool {
	ok := r.Tenant != "" && r.Issuer != "" && r.ClientID != "" && r.Account.ID != "" && r.Account.Vouched && r.Grant.ID != "" && !r.Grant.Ended &&
		r.Grant.Tenant == r.Tenant && r.Grant.ClientID == r.ClientID && r.Grant.AccountID == r.Account.ID
	ok = ok && (r.Grant.Key == "" || r.Grant.Key == r.Key) && (!r.ClientBound || r.Key != "")
	for _, c := range r.ClientConditions {
		ok = ok && known(c)(r, policy.Service{})
	}
	page := r.Grant.ID == "account-page"
	if r.Way == policy.Code || r.Way == policy.Refresh || r.Way == policy.Device || page {
		return ok && r.Subject == nil && page == (r.Way == policy.AppPassword)
	}
	s := r.Subject
	return ok && (r.Way == policy.Exchange || r.Way == policy.AppPassword) && s != nil && (s.Key == "" || s.Key == r.Key) &&
		s.Issuer == r.Issuer && s.GrantID == r.Grant.ID && s.ClientID == r.ClientID && s.Subject == r.Account.ID &&
		s.ExpiresAt.After(r.Now) && slices.Contains(s.Audience, r.Issuer)
}

// permits reports whether a request may be allowed.
func (in includes) permits(r policy.Request) bool {
	if !belongs(r) {
		return false
	}
	carried := in.most(r)
	if r.Scope != nil {
		if r.Scope.Len() == 0 || !in.within(r.Scope.Words(), carried) {
			return false
		}
		carried = r.Scope.Words()
	}
	if r.Way == policy.AppPassword {
		return in.permitsPassword(r, carried)
	}
	forIssuer := len(r.Targets) == 0 || len(r.Targets) == 1 && (r.Targets[0] == r.Issuer || r.Targets[0] == r.Issuer+"/configuration")
	if r.Way != policy.Exchange && forIssuer {
		return len(carried) > 0
	}
	if len(r.Targets) != 1 {
		return false
	}
	s, ok := target(r, r.Targets[0])
	listed := len(r.Grant.Resources) == 0 || slices.Contains(r.Grant.Resources, s.Audience)
	if !ok || s.Audience == r.Issuer || !bindable(r, s) || !listed || !conditionsHold(r, s.Audience) || !verified(s.Username, r.Domains) || len(in.useful(carried, s)) == 0 {
		return false
	}
	return r.Way != policy.Exchange || r.Scope == nil || in.within(r.Scope.Words(), s.Scopes.Words())
}

// permitsPassword reports whether an app password may be made for all targets (R21).
func (in includes) permitsPassword(r policy.Request, carried []string) bool {
	const word = "urn:signpost:scope:app-password"
	if r.ClientBound || !slices.Contains(r.Grant.Scope.Words(), word) || len(r.Targets) == 0 {
		return false
	}
	if r.Subject != nil {
		fresh := !r.AuthTime.IsZero() && !r.AuthTime.Before(r.Now.Add(-10*time.Minute)) && !r.AuthTime.After(r.Now.Add(time.Minute))
		if !fresh || len(r.Subject.Audience) != 1 || !slices.Contains(r.Subject.Scope.Words(), word) {
			return false
		}
	}
	var usernames, useful []string
	for _, name := range r.Targets {
		s, ok := target(r, name)
		listed := len(r.Grant.Resources) == 0 || slices.Contains(r.Grant.Resources, s.Audience)
		if !ok || s.Audience == r.Issuer || !listed || !conditionsHold(r, s.Audience) || !s.AppPasswords || s.DPoP == "requires" {
			return false
		}
		if !verified(s.Username, r.Domains) || len(in.useful(carried, s)) == 0 {
			return false
		}
		usernames, useful = append(usernames, s.Username), append(useful, s.Scopes.Words()...)
	}
	return len(slices.Compact(usernames)) == 1 && (r.Scope == nil || in.within(r.Scope.Words(), useful))
}

// conditionsHold reports whether the conditions of all services with an audience hold.
func conditionsHold(r policy.Request, audience string) bool {
	for _, s := range r.Services {
		if s.Audience == audience && !known(s.Condition)(r, s) {
			return false
		}
	}
	return true
}

// looks reports whether a service looks at the key of a token, and its tokens say one.
func looks(s policy.Service) bool {
	return (s.DPoP == "accepts" || s.DPoP == "requires") && s.Profile != "dovecot" && s.Profile != "cyrus"
}

// bindable reports whether a service can have a token of this request: one that
// demands a key gets a bound one or none, one that looks at none gets none from a client that
// wants all its tokens bound (R11).
func bindable(r policy.Request, s policy.Service) bool {
	if s.DPoP == "requires" {
		return r.Key != "" && looks(s)
	}
	return r.Key == "" || looks(s) || !r.ClientBound
}

// lifetime is how long a token may live at most, and in whole seconds does live.
func lifetime(r policy.Request, s policy.Service) time.Duration {
	switch {
	case r.Way != policy.Exchange:
		return time.Hour
	case s.Lifetime > 0:
		return s.Lifetime
	}
	return 15 * time.Minute
}

// widened says what is wrong with an allowed decision, one sentence each.
func (in includes) widened(r policy.Request, d policy.Decision) []string {
	var wrong []string
	must := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, what)
		}
	}
	c := d.Claims
	carried := strings.Fields(c.Scope)
	must(len(carried) > 0 && d.Scope.String() == c.Scope, "scope of decision and claims differ or are empty")
	must(in.within(carried, r.Grant.Scope.Words()), "scope beyond the grant")
	must(r.Scope == nil || in.within(carried, r.Scope.Words()), "scope beyond what was asked")
	must(c.Subject == r.Account.ID && c.Subject == r.Grant.AccountID, "another person")
	must(c.ClientID == r.ClientID && c.ClientID == r.Grant.ClientID, "another client")
	must(c.GrantID == r.Grant.ID && !r.Grant.Ended && r.Grant.Tenant == r.Tenant, "another grant, or one that has ended")
	must(c.Issuer == r.Issuer && c.ID == r.TokenID, "another issuer or token id")
	must(c.Username == "" || verified(c.Username, r.Domains), "a login name outside the verified domains")
	must(!c.IssuedAt.After(r.Now) && r.Now.Sub(c.IssuedAt) < time.Second, "issued at another time")
	must(c.Key == "" || c.Key == r.Key, "bound to a key that was not proved")
	must(r.Grant.Key == "" || r.Grant.Key == r.Key, "made without the grant's key")
	must(!r.ClientBound || c.Key != "", "a bearer token for a client that wants none")
	must((d.Rule == policy.AllowAppPassword) == (r.Way == policy.AppPassword), "a password by another way, or none by its own")
	must(c.ExpiresAt.Nanosecond() == 0 && c.IssuedAt.Nanosecond() == 0, "not in whole seconds")
	if s := r.Subject; s != nil {
		must(in.within(carried, s.Scope.Words()), "scope beyond the subject")
		must(!c.ExpiresAt.After(s.ExpiresAt), "lives longer than the subject")
		must(c.Subject == s.Subject && c.ClientID == s.ClientID && c.GrantID == s.GrantID && c.Issuer == s.Issuer, "not the subject's")
		must(len(c.Audience) == 1 || r.Way == policy.AppPassword, "several audiences by exchange")
		must(s.Key == "" || s.Key == r.Key, "made without the subject's key")
	}
	if r.Way == policy.AppPassword {
		return append(wrong, in.widenedPassword(r, d)...)
	}
	if slices.Contains(c.Audience, r.Issuer) {
		return append(wrong, in.widenedBroad(r, d)...)
	}
	must(len(r.Targets) == 1 && len(c.Audience) == 1, "not one audience for one target")
	if len(wrong) > 0 {
		return wrong
	}
	s, ok := target(r, r.Targets[0])
	must(ok && c.Audience[0] == s.Audience, "an audience that the target does not name")
	must(len(r.Grant.Resources) == 0 || slices.Contains(r.Grant.Resources, c.Audience[0]), "an audience outside the granted resources")
	must(in.within(carried, s.Scopes.Words()), "scope beyond the service")
	must(c.Username == s.Username && c.Username != "", "another login name")
	must(conditionsHold(r, s.Audience), "a service whose condition does not hold")
	must(s.DPoP != "requires" || c.Key != "", "a bearer token for a service that demands bound ones")
	must(c.Key != "" == (looks(s) && r.Key != ""), "bound or unbound against what the service looks at")
	must((d.Rule == policy.AllowUnbound) == (r.Key != "" && c.Key == ""), "a key was dropped without the rule that says so, or the rule without a key")
	must(d.Profile == s.Profile && (d.Algorithm == s.Algorithm) == (s.Profile != "opaque"), "another profile or algorithm")
	must(!c.ExpiresAt.After(r.Now.Add(lifetime(r, s))), "lives too long")
	must(r.Way == policy.Exchange || c.ExpiresAt.Sub(c.IssuedAt) == time.Hour, "does not live for the hour that oauth-public demands")
	return wrong
}

// widenedBroad is widened for a token that has the issuer as an audience.
func (in includes) widenedBroad(r policy.Request, d policy.Decision) []string {
	var wrong []string
	if r.Way == policy.Exchange {
		wrong = append(wrong, "a broad token by exchange")
	}
	if d.Claims.ExpiresAt.Sub(d.Claims.IssuedAt) != time.Hour {
		wrong = append(wrong, "a broad token does not live an hour")
	}
	if d.Claims.Key != r.Key {
		wrong = append(wrong, "a broad token that is not bound to the key that was proved")
	}
	form := [2]string{"rfc9068", "ES256"}
	if r.BroadProfile == "opaque" {
		form = [2]string{"opaque", ""}
	}
	if form != [2]string{d.Profile, d.Algorithm} {
		wrong = append(wrong, "a broad token in another form")
	}
	for _, audience := range d.Claims.Audience {
		if audience != r.Issuer && !slices.ContainsFunc(r.Services, func(s policy.Service) bool {
			if r.Key != "" && !looks(s) || r.Key == "" && s.DPoP == "requires" || s.Profile == "cyrus" || !conditionsHold(r, s.Audience) {
				return false
			}
			return s.Audience == audience && s.InBroad && s.Username != "" && s.Username == d.Claims.Username && len(r.Targets) == 0 && len(in.useful(d.Scope.Words(), s)) > 0
		}) {
			wrong = append(wrong, "broad audience "+audience+" that is not in_broad, not opened, or not asked for")
		}
	}
	return wrong
}

// widenedPassword is widened for an app password, which alone need not end (R21, R22).
func (in includes) widenedPassword(r policy.Request, d policy.Decision) []string {
	var wrong []string
	if !d.Claims.ExpiresAt.IsZero() || d.Claims.Key != "" || d.Profile != "" || d.Algorithm != "" {
		wrong = append(wrong, "a password with an end, a key or the form of a token")
	}
	var useful []string
	for _, audience := range d.Claims.Audience {
		s, ok := target(r, audience)
		if !ok || audience == r.Issuer || !s.AppPasswords || s.Username != d.Claims.Username || s.Username == "" || !conditionsHold(r, audience) {
			wrong = append(wrong, "a password for "+audience+", which takes none of this name")
		}
		if !slices.ContainsFunc(r.Targets, func(name string) bool { s, _ := target(r, name); return s.Audience == audience }) {
			wrong = append(wrong, "a password for "+audience+", which was not asked for")
		}
		if len(r.Grant.Resources) > 0 && !slices.Contains(r.Grant.Resources, audience) {
			wrong = append(wrong, "a password for "+audience+", which is outside the granted resources")
		}
		useful = append(useful, s.Scopes.Words()...)
	}
	if len(d.Claims.Audience) == 0 || !in.within(strings.Fields(d.Claims.Scope), useful) {
		wrong = append(wrong, "a password for nothing, or scope beyond its services")
	}
	return wrong
}

// asSubject is what a token says when it is presented.
func asSubject(d policy.Decision) *policy.Subject {
	return &policy.Subject{
		Issuer: d.Claims.Issuer, Subject: d.Claims.Subject, Audience: d.Claims.Audience,
		Scope: scopes.Of(strings.Fields(d.Claims.Scope)...), ClientID: d.Claims.ClientID, GrantID: d.Claims.GrantID,
		ExpiresAt: d.Claims.ExpiresAt, Key: d.Claims.Key, Username: d.Claims.Username,
	}
}
