package policy_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/condition"
	"signpost/oidc"
	"signpost/oidc/policy"
	"signpost/scopes"
)

var byPassword = []policy.Way{policy.AppPassword}

// atThePage makes of a request one of the person at their own page.
func atThePage(r *policy.Request) {
	r.Subject, r.AuthTime = nil, time.Time{}
	r.Grant.ID, r.Grant.ClientID, r.ClientID = policy.AccountPage, policy.AccountPage, policy.AccountPage
}

// passwords are the cases of R21.
func passwords() []ruled {
	bad, target := oidc.CodeInvalidGrant, oidc.CodeInvalidTarget
	password := func(name, rule, code string, edit func(r *policy.Request)) []ruled {
		return on(byPassword, name, rule, code, edit)
	}
	page := func(name, rule, code string, edit func(r *policy.Request)) []ruled {
		return on(byPassword, "at the page: "+name, rule, code, func(r *policy.Request) { atThePage(r); edit(r) })
	}
	good := func(*policy.Request) {}
	signedIn := func(ago time.Duration) func(*policy.Request) {
		return func(r *policy.Request) { r.AuthTime = r.Now.Add(-ago) }
	}
	without := func(s scopes.Set) scopes.Set { return s.Without(oidc.ScopeAppPassword) }
	return slices.Concat(
		password("good", policy.AllowAppPassword, "", good),
		password("one service", policy.AllowAppPassword, "", func(r *policy.Request) { r.Targets = []string{imap} }),
		password("a service twice", policy.AllowAppPassword, "", func(r *policy.Request) { r.Targets = []string{imap, imap} }),
		page("good", policy.AllowAppPassword, "", good),
		page("one service", policy.AllowAppPassword, "", func(r *policy.Request) { r.Targets = []string{submission} }),

		password("no subject token", policy.RuleTenant, bad, func(r *policy.Request) { r.Subject = nil }),
		page("with a subject token", policy.RuleTenant, bad, func(r *policy.Request) { r.Subject = &policy.Subject{} }),
		on(signIns, "the page's grant for a token", policy.RuleTenant, bad, atThePage),
		page("another client", policy.RuleClient, bad, func(r *policy.Request) { r.ClientID = "open" }),
		page("another person", policy.RulePerson, bad, func(r *policy.Request) { r.Grant.AccountID = "bob-id" }),
		page("nobody vouches", policy.RulePerson, bad, func(r *policy.Request) { r.Account.Vouched = false }),
		page("without the scope", policy.RuleAppPassword, oidc.CodeInvalidScope, func(r *policy.Request) { r.Grant.Scope = without(r.Grant.Scope) }),
		password("another tenant", policy.RuleTenant, bad, func(r *policy.Request) { r.Grant.Tenant = "other" }),
		password("ended grant", policy.RuleGrant, bad, func(r *policy.Request) { r.Grant.Ended = true }),
		password("narrow token", policy.RuleBroad, bad, func(r *policy.Request) { r.Subject.Audience = []string{imap} }),
		password("another client", policy.RuleClient, bad, func(r *policy.Request) { r.ClientID = "thunderbird" }),
		password("another person", policy.RulePerson, bad, func(r *policy.Request) { r.Subject.Subject = "bob-id" }),
		password("expired token", policy.RuleExpired, bad, func(r *policy.Request) { r.Subject.ExpiresAt = now }),
		password("bound token without its key", policy.RuleBinding, oidc.CodeInvalidDPoPProof, func(r *policy.Request) { r.Subject.Key = key }),
		password("bound token with its key", policy.AllowAppPassword, "", func(r *policy.Request) { r.Subject.Key, r.Key = key, key }),
		password("client that wants bound tokens", policy.RuleUnbound, oidc.CodeUnauthorizedClient, func(r *policy.Request) { r.ClientBound, r.Key = true, key }),

		password("token for services too", policy.RuleAppPassword, oidc.CodeInvalidRequest, func(r *policy.Request) { r.Subject.Audience = []string{issuer, calendar} }),
		password("scope not granted", policy.RuleAppPassword, oidc.CodeInvalidScope, func(r *policy.Request) { r.Grant.Scope = without(r.Grant.Scope) }),
		password("scope not in the token", policy.RuleAppPassword, oidc.CodeInvalidScope, func(r *policy.Request) { r.Subject.Scope = without(r.Subject.Scope) }),
		password("no auth_time", policy.RuleFresh, bad, func(r *policy.Request) { r.AuthTime = time.Time{} }),
		password("ten minutes ago", policy.AllowAppPassword, "", signedIn(10*time.Minute)),
		password("longer ago", policy.RuleFresh, bad, signedIn(10*time.Minute+time.Second)),
		password("in a minute", policy.AllowAppPassword, "", signedIn(-time.Minute)),
		password("in the future", policy.RuleFresh, bad, signedIn(-time.Minute-time.Second)),

		password("no service", policy.RuleTarget, target, func(r *policy.Request) { r.Targets = nil }),
		password("one of two unknown", policy.RuleTarget, target, func(r *policy.Request) { r.Targets = []string{imap, "pop.example.test"} }),
		password("the issuer", policy.RuleTarget, target, func(r *policy.Request) { r.Targets = []string{issuer} }),
		password("outside the granted resources", policy.RuleResource, target, func(r *policy.Request) { r.Grant.Resources = []string{imap} }),
		password("takes no passwords", policy.RuleAppPassword, target, func(r *policy.Request) { r.Services[1].AppPasswords = false }),
		password("demands bound tokens", policy.RuleAppPassword, target, func(r *policy.Request) { r.Services[1].DPoP = "requires" }),
		password("looks at keys", policy.AllowAppPassword, "", func(r *policy.Request) { r.Services[1].DPoP = "accepts" }),
		password("not opened", policy.RuleScope, oidc.CodeInvalidScope, func(r *policy.Request) { r.Services[1].Scopes = scopes.Of(scopes.Chat) }),
		password("no login name", policy.RuleLogin, target, func(r *policy.Request) { r.Services[1].Username = "" }),
		password("foreign login name", policy.RuleLogin, target, func(r *policy.Request) { r.Services[1].Username = "alice@evil.test" }),
		password("two login names", policy.RuleLogin, target, func(r *policy.Request) { r.Services[1].Username = "alice" }),
		password("less scope", policy.AllowAppPassword, "", func(r *policy.Request) { r.Scope = new(scopes.Of(scopes.Mail)) }),
		password("a word of no use", policy.RuleScope, oidc.CodeInvalidScope, func(r *policy.Request) { r.Scope = new(scopes.Of(scopes.Mail, scopes.Calendars)) }),
		password("a word not granted", policy.RuleScope, oidc.CodeInvalidScope, func(r *policy.Request) { r.Scope = new(scopes.Of(scopes.Chat)) }),
		password("no words", policy.RuleScope, oidc.CodeInvalidScope, func(r *policy.Request) { r.Scope = &scopes.Set{} }),
	)
}

func TestR21WhoMayMakeAPassword(t *testing.T) { t.Parallel(); check(t, passwords()) }

func TestR21ConditionsOfPasswords(t *testing.T) {
	t.Parallel()
	r := request(t, policy.AppPassword)
	r.Services[1].Condition = compile(t, `"guests" in claims.groups`)
	if d := policy.Decide(r); d.Rule != policy.RuleCondition || oidc.CodeOf(d.Refusal) != oidc.CodeInvalidTarget {
		t.Errorf("the service's condition does not hold: %s, %v", d.Rule, d.Refusal)
	}
	r.ClientConditions = []*condition.Condition{compile(t, `"guests" in claims.groups`)}
	if d := policy.Decide(r); d.Rule != policy.RuleClientCondition || oidc.CodeOf(d.Refusal) != oidc.CodeInvalidRequest {
		t.Errorf("the client's condition does not hold: %s, %v", d.Rule, d.Refusal)
	}
}

// TestR21WhatAPasswordIsFor: everything but the end lies within what was presented (R22).
func TestR21WhatAPasswordIsFor(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(r *policy.Request){"token": func(*policy.Request) {}, "page": atThePage} {
		r := request(t, policy.AppPassword)
		edit(&r)
		r.Targets = []string{submission, "smtp.example.test", imap}
		want := policy.Decision{
			Rule: policy.AllowAppPassword, Scope: scopes.Of(scopes.Mail),
			Claims: oidc.Claims{
				Issuer: issuer, Subject: "alice-id", Audience: []string{submission, imap}, IssuedAt: now.Truncate(time.Second), ID: "token-1",
				Scope: scopes.Mail, ClientID: r.ClientID, GrantID: r.Grant.ID, Username: "alice@example.test",
			},
		}
		if d := decide(t, r); !reflect.DeepEqual(d, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, d, want)
		}
	}
}

// password is a password as the mail servers present it.
func password(t testing.TB) policy.Request {
	t.Helper()
	r := request(t, policy.AppPassword)
	r.Subject.Audience, r.Subject.Scope = []string{imap, submission}, set(t, scopes.Mail)
	r.Subject.Username, r.Subject.ExpiresAt = "alice@example.test", time.Time{}
	r.ClientID, r.TokenID, r.AuthTime, r.Targets = "", "", time.Time{}, []string{imap, calendar}
	r.Now = r.Now.AddDate(1, 0, 0)
	return r
}

func TestR21APasswordIsJudgedToday(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rule string
		edit func(r *policy.Request)
	}{
		"good":                        {policy.AllowAlive, func(*policy.Request) {}},
		"made at the page":            {policy.AllowAlive, func(r *policy.Request) { r.Subject.GrantID, r.Grant.ID = policy.AccountPage, policy.AccountPage }},
		"made from a bound sign-in":   {policy.AllowAlive, func(r *policy.Request) { r.Grant.Key = key }},
		"ends tomorrow":               {policy.AllowAlive, func(r *policy.Request) { r.Subject.ExpiresAt = r.Now.AddDate(0, 0, 1) }},
		"has ended by itself":         {policy.RuleExpired, func(r *policy.Request) { r.Subject.ExpiresAt = r.Now }},
		"nothing":                     {policy.RuleTenant, func(r *policy.Request) { r.Subject = nil }},
		"revoked grant":               {policy.RuleGrant, func(r *policy.Request) { r.Grant.Ended = true }},
		"another tenant":              {policy.RuleTenant, func(r *policy.Request) { r.Grant.Tenant = "other" }},
		"another person":              {policy.RulePerson, func(r *policy.Request) { r.Subject.Subject = "bob-id" }},
		"nobody vouches":              {policy.RulePerson, func(r *policy.Request) { r.Account.Vouched = false }},
		"another server asks":         {policy.RuleTarget, func(r *policy.Request) { r.Targets = []string{calendar} }},
		"takes no passwords any more": {policy.RuleTarget, func(r *policy.Request) { r.Services[0].AppPasswords = false }},
		"demands bound tokens now":    {policy.RuleTarget, func(r *policy.Request) { r.Services[0].DPoP = "requires" }},
		"service was removed":         {policy.RuleTarget, func(r *policy.Request) { r.Services = r.Services[1:] }},
		"condition holds no more":     {policy.RuleTarget, func(r *policy.Request) { r.Services[0].Condition = compile(t, `false`) }},
		"client's condition":          {policy.RuleClientCondition, func(r *policy.Request) { r.ClientConditions = []*condition.Condition{compile(t, `false`)} }},
		"login name is another's":     {policy.RuleTarget, func(r *policy.Request) { r.Services[0].Username = "alicia@example.test" }},
		"domain was removed":          {policy.RuleTarget, func(r *policy.Request) { r.Domains = nil }},
		"scope opens it no more":      {policy.RuleTarget, func(r *policy.Request) { r.Services[0].Scopes = scopes.Of(scopes.Files) }},
		"grant has less":              {policy.RuleTarget, func(r *policy.Request) { r.Grant.Scope = scopes.Of("openid") }},
		"for no service":              {policy.RuleTarget, func(r *policy.Request) { r.Subject.Audience = nil }},
	} {
		r := password(t)
		c.edit(&r)
		d := policy.AliveAppPassword(r)
		if d.Rule != c.rule || d.Allowed() != strings.HasPrefix(c.rule, "allow-") {
			t.Errorf("%s: %s decided, want %s", name, d.Rule, c.rule)
			continue
		}
		if got := d.Claims; d.Allowed() && (!slices.Equal(got.Audience, []string{imap}) || got.Scope != scopes.Mail || got.Username != "alice@example.test" || got.Key != "" ||
			got.Subject != "alice-id" || got.ClientID != "open" || got.GrantID != r.Grant.ID || !got.ExpiresAt.Equal(r.Subject.ExpiresAt)) {
			t.Errorf("%s: claims %+v, want those of the IMAP server alone", name, got)
		}
	}
	if d := policy.AliveAppPassword(policy.Request{}); d.Allowed() {
		t.Error("the zero request is alive")
	}
}
