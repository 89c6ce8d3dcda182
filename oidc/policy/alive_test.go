package policy_test

import (
	"slices"
	"testing"

	"signpost/oidc"
	"signpost/oidc/policy"
	"signpost/scopes"
)

// presented is a good request of the mail server about a token for the IMAP server
// alone, which does not name its client, as Dovecot's do not.
func presented(t testing.TB) policy.Request {
	t.Helper()
	r := request(t, policy.Exchange)
	r.ClientID, r.TokenID = "", ""
	r.Targets = []string{imap, submission}
	r.Subject.Audience, r.Subject.Scope = []string{imap}, set(t, scopes.Mail)
	r.Subject.ClientID, r.Subject.Username = "", "alice@example.test"
	return r
}

// presentedBroad is one of the calendar server about a broad token.
func presentedBroad(t testing.TB) policy.Request {
	t.Helper()
	r := presented(t)
	r.Targets = []string{calendar}
	r.Subject.Audience, r.Subject.Scope, r.Subject.ClientID = []string{issuer, calendar}, set(t, granted), "open"
	return r
}

func TestR31AliveShowsOnlyTheCallersOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request  policy.Request
		audience []string
		scope    string
	}{
		"narrow": {presented(t), []string{imap}, scopes.Mail},
		"broad":  {presentedBroad(t), []string{calendar}, scopes.Calendars},
	} {
		d := policy.Alive(c.request)
		if !d.Allowed() || d.Rule != policy.AllowAlive {
			t.Errorf("%s: refused by %s: %v", name, d.Rule, d.Refusal)
			continue
		}
		if got := d.Claims; !slices.Equal(got.Audience, c.audience) || got.Scope != c.scope || d.Scope.String() != c.scope ||
			got.Username != "alice@example.test" || got.ClientID != "open" || got.Subject != "alice-id" || got.GrantID != "grant-1" ||
			got.Issuer != issuer || !got.ExpiresAt.Equal(c.request.Subject.ExpiresAt) || got.Key != "" {
			t.Errorf("%s: claims %+v, want those of %v with %q alone", name, got, c.audience, c.scope)
		}
	}
}

// TestR26AliveJudgesToday: each case is a token whose signature is good and that was good
// when it was made.
func TestR26AliveJudgesToday(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rule string
		edit func(r *policy.Request)
	}{
		"ended grant":             {policy.RuleGrant, func(r *policy.Request) { r.Grant.Ended = true }},
		"another grant":           {policy.RuleGrant, func(r *policy.Request) { r.Subject.GrantID = "grant-2" }},
		"no token":                {policy.RuleTenant, func(r *policy.Request) { r.Subject = nil }},
		"another tenant's grant":  {policy.RuleTenant, func(r *policy.Request) { r.Grant.Tenant = "other" }},
		"another issuer":          {policy.RuleTenant, func(r *policy.Request) { r.Subject.Issuer = "https://id.other.test" }},
		"another client":          {policy.RuleClient, func(r *policy.Request) { r.Subject.ClientID = "stranger" }},
		"another person":          {policy.RulePerson, func(r *policy.Request) { r.Subject.Subject = "bob-id" }},
		"nobody vouches":          {policy.RulePerson, func(r *policy.Request) { r.Account.Vouched = false }},
		"expired":                 {policy.RuleExpired, func(r *policy.Request) { r.Subject.ExpiresAt = r.Now }},
		"another server asks":     {policy.RuleTarget, func(r *policy.Request) { r.Targets = []string{calendar, submission} }},
		"a server without any":    {policy.RuleTarget, func(r *policy.Request) { r.Targets = nil }},
		"service was removed":     {policy.RuleTarget, func(r *policy.Request) { r.Services = r.Services[1:] }},
		"scope opens it no more":  {policy.RuleTarget, func(r *policy.Request) { r.Services[0].Scopes = set(t, scopes.Files) }},
		"grant has less":          {policy.RuleTarget, func(r *policy.Request) { r.Grant.Scope = set(t, "openid") }},
		"token has less":          {policy.RuleTarget, func(r *policy.Request) { r.Subject.Scope = set(t, "openid") }},
		"login name is another's": {policy.RuleTarget, func(r *policy.Request) { r.Services[0].Username = "alicia@example.test" }},
		"no login name":           {policy.RuleTarget, func(r *policy.Request) { r.Services[0].Username, r.Subject.Username = "", "" }},
		"domain was removed":      {policy.RuleTarget, func(r *policy.Request) { r.Domains = []string{"example.org"} }},
	} {
		r := presented(t)
		r.Services = slices.Clone(r.Services)
		c.edit(&r)
		if d := policy.Alive(r); d.Rule != c.rule || d.Allowed() || d.Claims.Subject != "" {
			t.Errorf("%s: %s decided %+v, want %s and no claims", name, d.Rule, d, c.rule)
		}
	}
	broad := presentedBroad(t)
	broad.Services = slices.Clone(broad.Services)
	broad.Services[2].InBroad = false
	if d := policy.Alive(broad); d.Rule != policy.RuleTarget {
		t.Errorf("a broad token at a service that takes none any more: %s, want %s", d.Rule, policy.RuleTarget)
	}
	asIssuer := presentedBroad(t)
	asIssuer.Targets = []string{issuer}
	asIssuer.Services = append(slices.Clone(asIssuer.Services), policy.Service{Audience: issuer, Scopes: set(t, scopes.Mail), InBroad: true, Username: "alice@example.test"})
	if d := policy.Alive(asIssuer); d.Rule != policy.RuleTarget {
		t.Errorf("a server with the issuer's own audience: %s, want %s (R4)", d.Rule, policy.RuleTarget)
	}
	if d := policy.Alive(policy.Request{}); d.Allowed() {
		t.Error("the zero request is alive")
	}
}

// TestR11AliveLeavesTheProofToTheServer: bound tokens are alive without a proof here, and so is
// a bearer token from a sign-in that is bound.
func TestR11AliveLeavesTheProofToTheServer(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"bound": "thumbprint", "bearer": ""} {
		r := presented(t)
		for i := range r.Services {
			r.Services[i].DPoP, r.Services[i].Profile = "accepts", "rfc9068"
		}
		r.Grant.Key, r.Subject.Key = "thumbprint", key
		if d := policy.Alive(r); !d.Allowed() || d.Claims.Key != key {
			t.Errorf("%s: %s, key %q, want alive with key %q", name, d.Rule, d.Claims.Key, key)
		}
	}
	// What a service makes of keys counts as it is declared today (R11).
	for declared, alive := range map[string][2]bool{"none": {true, false}, "accepts": {true, true}, "requires": {false, true}} {
		for bound, want := range map[string]bool{"": alive[0], "thumbprint": alive[1]} {
			r := presented(t)
			for i := range r.Services {
				r.Services[i].DPoP, r.Services[i].Profile = declared, "rfc9068"
			}
			r.Grant.Key, r.Subject.Key = bound, bound
			if d := policy.Alive(r); d.Allowed() != want {
				t.Errorf("key %q at a service that %s bound tokens: %s, want alive %v", bound, declared, d.Rule, want)
			}
		}
	}
	other := presented(t)
	other.Grant.Key, other.Subject.Key = "thumbprint", "another"
	if d := policy.Alive(other); d.Rule != policy.RuleBinding || oidc.CodeOf(d.Refusal) != oidc.CodeInvalidDPoPProof {
		t.Errorf("bound to another key than its sign-in: %s, want %s", d.Rule, policy.RuleBinding)
	}
}
