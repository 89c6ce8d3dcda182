package policy_test

import (
	"reflect"
	"testing"
	"time"

	"signpost/oidc"
	"signpost/oidc/policy"
	"signpost/scopes"
)

func decide(t *testing.T, r policy.Request) policy.Decision {
	t.Helper()
	d := policy.Decide(r)
	if !d.Allowed() {
		t.Fatalf("refused by %s: %v; request %+v", d.Rule, d.Refusal, r)
	}
	return d
}

func TestR4BroadClaims(t *testing.T) {
	t.Parallel()
	for _, way := range signIns {
		d := decide(t, request(t, way))
		want := policy.Decision{
			Rule: policy.AllowBroad, Scope: set(t, granted), Profile: "rfc9068", Algorithm: "ES256",
			Claims: oidc.Claims{
				Issuer: issuer, Subject: "alice-id", Audience: []string{issuer, calendar},
				ExpiresAt: now.Truncate(time.Second).Add(time.Hour), IssuedAt: now.Truncate(time.Second), ID: "token-1",
				Scope: granted, ClientID: "open", GrantID: "grant-1", Username: "alice@example.test",
			},
		}
		if !reflect.DeepEqual(d, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", way, d, want)
		}
	}
}

func TestR4NarrowClaims(t *testing.T) {
	t.Parallel()
	for _, way := range all {
		r := request(t, way)
		r.Targets = []string{calendar + "alice/"}
		d := decide(t, r)
		lifetime := time.Hour
		if way == policy.Exchange {
			lifetime = 15 * time.Minute
		}
		want := policy.Decision{
			Rule: policy.AllowNarrow, Scope: scopes.Of(scopes.Calendars), Profile: "rfc9068", Algorithm: "RS256",
			Claims: oidc.Claims{
				Issuer: issuer, Subject: "alice-id", Audience: []string{calendar},
				ExpiresAt: now.Add(lifetime).Truncate(time.Second), IssuedAt: now.Truncate(time.Second), ID: "token-1",
				Scope: scopes.Calendars, ClientID: "open", GrantID: "grant-1", Username: "alice@example.test",
			},
		}
		if !reflect.DeepEqual(d, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", way, d, want)
		}
		if d.Claims.Broad() {
			t.Errorf("%s: the token for a service is broad", way)
		}
	}
}

// TestR4ListedResourcesDoNotNarrowTheBroadToken: what was listed at /authorize is
// the ceiling of narrow tokens; the plain one goes everywhere (R4).
func TestR4ListedResourcesDoNotNarrowTheBroadToken(t *testing.T) {
	t.Parallel()
	r := request(t, policy.Refresh)
	r.Grant.Resources = []string{imap}
	if got, want := decide(t, r).Claims.Audience, []string{issuer, calendar}; !reflect.DeepEqual(got, want) {
		t.Errorf("audience %v, want %v", got, want)
	}
}

func TestR5WhatIsInBroad(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(r *policy.Request)
		want []string
	}{
		"in_broad and opened":      {func(*policy.Request) {}, []string{issuer, calendar}},
		"not in_broad":             {func(r *policy.Request) { r.Services[2].InBroad = false }, []string{issuer}},
		"in_broad and not opened":  {func(r *policy.Request) { r.Services[2].Scopes = set(t, scopes.Chat) }, []string{issuer}},
		"in_broad and not granted": {func(r *policy.Request) { r.Grant.Scope = set(t, "openid "+scopes.Mail) }, []string{issuer}},
		"in_broad and not asked for": {func(r *policy.Request) {
			s := scopes.Of("openid", scopes.Mail)
			r.Scope = &s
		}, []string{issuer}},
		"two services with one audience": {func(r *policy.Request) {
			r.Services[0].InBroad, r.Services[1].InBroad, r.Services[1].Audience = true, true, imap
		}, []string{issuer, imap, calendar}},
		"the issuer alone": {func(r *policy.Request) { r.Targets = []string{issuer} }, []string{issuer}},
		"the configuration alone": {func(r *policy.Request) {
			r.Targets = []string{issuer + oidc.ConfigurationPath}
		}, []string{issuer}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(t, policy.Code)
			c.edit(&r)
			if got := decide(t, r).Claims.Audience; !reflect.DeepEqual(got, c.want) {
				t.Errorf("audience %v, want %v", got, c.want)
			}
		})
	}
}

func TestR1BroadTokenWithoutForeignLoginName(t *testing.T) {
	t.Parallel()
	for username, want := range map[string]string{
		"alice@example.test": "alice@example.test", "alice": "", "": "", "alice@evil.test": "", "a@evil.test@example.test": "",
	} {
		r := request(t, policy.Code)
		r.Account.Username = username
		if got := decide(t, r).Claims.Username; got != want {
			t.Errorf("account's name %q: token says %q, want %q", username, got, want)
		}
	}
}

// The broad token carries one login name, so it is for those services only at which
// that is the account's: found by an attack in which it was somebody else's.
func TestR1BroadTokenOnlyWhereItsNameIsTheAccounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		account, service string
		in               bool
	}{
		"the same address":          {"alice@example.test", "alice@example.test", true},
		"another name there":        {"alice@example.test", "alice", false},
		"no name there":             {"alice@example.test", "", false},
		"a bare name":               {"alice", "alice", false},
		"no name at all":            {"", "", false},
		"an address of another":     {"alice@evil.test", "alice@evil.test", false},
		"none here, a name there":   {"", "alice@example.test", false},
		"the same in another case":  {"alice@example.test", "Alice@example.test", false},
		"two at signs in both":      {"a@evil.test@example.test", "a@evil.test@example.test", false},
		"only the local part alike": {"alice@example.test", "alice@example.org", false},
	} {
		r := request(t, policy.Code)
		r.Account.Username = c.account
		for i := range r.Services {
			r.Services[i].Username = c.service
		}
		if got := len(decide(t, r).Claims.Audience) > 1; got != c.in {
			t.Errorf("%s: services in the broad token's audience: %v, want %v", name, got, c.in)
		}
	}
}

func TestR6Lifetimes(t *testing.T) {
	t.Parallel()
	second := now.Truncate(time.Second)
	for name, c := range map[string]struct {
		way     policy.Way
		target  string
		subject time.Duration // left of the subject token
		want    time.Duration
	}{
		"code":                                {policy.Code, "", 0, time.Hour},
		"refresh":                             {policy.Refresh, "", 0, time.Hour},
		"code, narrow":                        {policy.Code, imap, 0, time.Hour},
		"refresh, service says five minutes":  {policy.Refresh, submission, 0, time.Hour},
		"refresh, service says twelve hours":  {policy.Refresh, files, 0, time.Hour},
		"exchange":                            {policy.Exchange, imap, time.Hour, 15 * time.Minute},
		"exchange, service says five minutes": {policy.Exchange, submission, time.Hour, 5 * time.Minute},
		"exchange, service says twelve hours": {policy.Exchange, files, time.Hour, time.Hour},
		"exchange, subject ends first":        {policy.Exchange, imap, time.Minute, time.Minute},
		"exchange, subject ends in a second":  {policy.Exchange, submission, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(t, c.way)
			if c.target != "" {
				r.Targets = []string{c.target}
			}
			if r.Subject != nil {
				r.Subject.ExpiresAt = second.Add(c.subject)
			}
			got := decide(t, r).Claims
			if !got.IssuedAt.Equal(second) || !got.ExpiresAt.Equal(second.Add(c.want)) {
				t.Errorf("from %v to %v, want from %v for %v", got.IssuedAt, got.ExpiresAt, second, c.want)
			}
		})
	}
}

func TestR6BadServiceLifetimeIsTheOrdinaryOne(t *testing.T) {
	t.Parallel()
	r := request(t, policy.Exchange)
	r.Services[0].Lifetime = -time.Hour
	if got, want := decide(t, r).Claims.ExpiresAt, now.Add(15*time.Minute).Truncate(time.Second); !got.Equal(want) {
		t.Errorf("ends %v, want %v", got, want)
	}
}

// TestRFC8707SaysWhatIsLeftOfTheScope: "the authorization server SHOULD
// downscope" to what the resource needs (RFC 8707, section 2.2).
func TestRFC8707SaysWhatIsLeftOfTheScope(t *testing.T) {
	t.Parallel()
	catalogue := withIncludes(t)
	for name, c := range map[string]struct{ granted, asked, service, want string }{
		"nothing asked":                     {"openid mail calendar", "", "mail", "mail"},
		"everything asked":                  {"openid mail calendar", "openid mail calendar", "mail", "mail"},
		"a word that includes it":           {"everything", "", "mail", "mail"},
		"narrower than the service's word":  {"openid mail-read", "", "mail", "mail-read"},
		"asked narrower than granted":       {"mail", "mail-read", "mail", "mail-read"},
		"asked narrower by way of includes": {"everything", "mail-read", "mail", "mail-read"},
		"one of the service's words":        {"mail", "", "calendar mail", "mail"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(t, policy.Refresh)
			r.Catalogue, r.Grant.Scope, r.Targets = catalogue, set(t, c.granted), []string{imap}
			r.Services[0].Scopes = set(t, c.service)
			if c.asked != "" {
				asked := set(t, c.asked)
				r.Scope = &asked
			}
			if d := decide(t, r); d.Claims.Scope != c.want || d.Scope.String() != c.want {
				t.Errorf("scope %q and %q, want %q", d.Claims.Scope, d.Scope, c.want)
			}
		})
	}
}

// withIncludes is a catalogue in which everything includes mail and calendar, and
// mail includes mail-read.
func withIncludes(t testing.TB) *scopes.Catalogue {
	t.Helper()
	c, err := scopes.Default().With([]scopes.Scope{
		word("everything", "mail", "calendar"), word("mail", "mail-read"), word("mail-read"), word("calendar"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func word(name string, includes ...string) scopes.Scope {
	text := map[string]string{"en": name}
	return scopes.Scope{Name: name, Includes: includes, Title: text, Text: text}
}

// TestAdmitJudgesAsExchangeDoes: what is presented to the issuer's own resources
// passes the rules that do not depend on a target.
func TestAdmitJudgesAsExchangeDoes(t *testing.T) {
	t.Parallel()
	for _, c := range append(belonging(), kinds()...) {
		if c.way != policy.Exchange {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := request(t, c.way)
			c.edit(&r)
			want := c.rule
			if want == policy.AllowNarrow {
				want = policy.AllowBroad
			}
			d := policy.Admit(r)
			if d.Rule != want || (d.Refusal == nil) != (c.code == "") {
				t.Errorf("rule %q, refusal %v; want rule %q and refused %v", d.Rule, d.Refusal, want, c.code != "")
			}
		})
	}
}

func TestR22AdmitTakesTheSubjectWithinTheGrant(t *testing.T) {
	t.Parallel()
	r := request(t, policy.Exchange)
	r.Grant.Scope = set(t, "openid "+scopes.Mail)
	r.Subject.Scope = set(t, "openid "+scopes.Calendars)
	more := set(t, granted)
	r.Scope = &more // what a request asks for does not concern what a token carries
	if d := policy.Admit(r); d.Refusal != nil || d.Scope.String() != "openid" {
		t.Errorf("scope %q, refusal %v; want openid alone", d.Scope, d.Refusal)
	}
}

// TestZeroRequest: nothing is allowed by leaving things out.
func TestZeroRequest(t *testing.T) {
	t.Parallel()
	if d := policy.Decide(policy.Request{}); d.Allowed() || d.Refusal == nil {
		t.Errorf("the zero request: %+v, want it refused", d)
	}
	if d := policy.Admit(policy.Request{}); d.Refusal == nil {
		t.Errorf("Admit of the zero request: %+v, want it refused", d)
	}
	if (policy.Decision{}).Allowed() {
		t.Error("the zero decision allows")
	}
	for _, way := range all {
		good := request(t, way)
		for _, field := range []string{"Way", "Tenant", "Issuer", "ClientID", "Account", "Grant"} {
			r := good
			reflect.ValueOf(&r).Elem().FieldByName(field).SetZero()
			if d := policy.Decide(r); d.Allowed() {
				t.Errorf("%s without %s is allowed", way, field)
			}
		}
	}
}
