package policy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"signpost/oidc"
	"signpost/oidc/policy"
	"signpost/scopes"
)

const (
	issuer     = "https://id.example.test"
	imap       = "imap.example.test"
	submission = "submission.example.test"
	calendar   = "https://dav.example.test/calendars/"
	files      = "https://files.example.test/dav/"
	granted    = "openid offline_access " + scopes.Mail + " " + scopes.Calendars + " " + scopes.Files
)

// now has a fraction of a second, as clocks do.
var now = time.Date(2026, 11, 23, 12, 0, 0, 700_000_000, time.UTC)

func set(t testing.TB, s string) scopes.Set {
	t.Helper()
	parsed, err := scopes.Parse(s)
	if err != nil {
		t.Fatalf("scopes %q: %v", s, err)
	}
	return parsed
}

// request is a good request for a token: broad by code and refresh, for the IMAP
// server by exchange; or for a password for the mail servers.
func request(t testing.TB, way policy.Way) policy.Request {
	t.Helper()
	r := policy.Request{
		Way: way, Now: now, Tenant: "example", Issuer: issuer, Domains: []string{"example.test"}, ClientID: "open",
		Account: policy.Account{ID: "alice-id", Username: "alice@example.test", Vouched: true},
		Grant: policy.Grant{
			ID: "grant-1", Tenant: "example", AccountID: "alice-id", ClientID: "open", Scope: set(t, granted),
		},
		Services: []policy.Service{
			{Audience: imap, Hosts: []string{imap}, Scopes: set(t, scopes.Mail), Profile: "dovecot", Algorithm: "ES256", Username: "alice@example.test", AppPasswords: true},
			{
				Audience: submission, Hosts: []string{submission, "smtp.example.test"}, Scopes: set(t, scopes.Mail),
				Profile: "dovecot", Algorithm: "ES256", Lifetime: 5 * time.Minute, Username: "alice@example.test", AppPasswords: true,
			},
			{Audience: calendar, URL: calendar, Scopes: set(t, scopes.Calendars), Profile: "rfc9068", Algorithm: "RS256", InBroad: true, Username: "alice@example.test"},
			{Audience: files, URL: files, Scopes: set(t, scopes.Files), Profile: "rfc9068", Algorithm: "ES256", Lifetime: 12 * time.Hour, Username: "alice"},
		},
		Catalogue: scopes.Default(), TokenID: "token-1",
		ClientKind: "open", Claims: map[string]any{"groups": []any{"staff", "admins"}, "address": "alice@example.test"}, AuthTime: now.Add(-time.Minute),
	}
	if way == policy.Exchange || way == policy.AppPassword {
		r.Targets = []string{imap}
		r.Subject = &policy.Subject{
			Issuer: issuer, Subject: "alice-id", Audience: []string{issuer, calendar}, Scope: set(t, granted),
			ClientID: "open", GrantID: "grant-1", ExpiresAt: now.Add(time.Hour).Truncate(time.Second),
		}
	}
	if way == policy.AppPassword {
		r.Targets = []string{imap, submission}
		r.Grant.Scope = r.Grant.Scope.Union(scopes.Of(oidc.ScopeAppPassword))
		r.Subject.Audience, r.Subject.Scope = []string{issuer}, r.Grant.Scope
	}
	return r
}

// ruled is a request and the rule that has to decide it.
type ruled struct {
	name string
	way  policy.Way
	edit func(r *policy.Request)
	rule string
	code string // of the refusal; empty if it is allowed
}

func (c ruled) check(t *testing.T) {
	t.Helper()
	r := request(t, c.way)
	c.edit(&r)
	d := policy.Decide(r)
	if d.Rule != c.rule {
		t.Fatalf("rule %q decided (%v), want %q; request %+v", d.Rule, d.Refusal, c.rule, r)
	}
	if c.code == "" {
		if !d.Allowed() {
			t.Errorf("refused with %v, want it allowed", d.Refusal)
		}
		return
	}
	if d.Allowed() || d.Refusal == nil || d.Refusal.Code != c.code || d.Refusal.Description == "" {
		t.Errorf("allowed %v, refusal %v, want %s with a description", d.Allowed(), d.Refusal, c.code)
	}
	if !reflect.DeepEqual(d.Claims, oidc.Claims{}) || d.Scope.Len() > 0 || d.Profile != "" || d.Algorithm != "" {
		t.Errorf("a refusal carries %+v", d)
	}
}

func check(t *testing.T, cases []ruled) {
	t.Helper()
	for _, c := range cases {
		t.Run(string(c.way)+": "+c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t)
		})
	}
}

// on repeats a case for several ways.
func on(ways []policy.Way, name, rule, code string, edit func(r *policy.Request)) []ruled {
	var cases []ruled
	for _, w := range ways {
		c := code
		if code == oidc.CodeInvalidGrant && (w == policy.Exchange || w == policy.AppPassword) {
			c = oidc.CodeInvalidRequest // RFC 8693, section 2.2.2
		}
		cases = append(cases, ruled{name, w, edit, rule, c})
	}
	return cases
}

var (
	all      = []policy.Way{policy.Code, policy.Refresh, policy.Exchange, policy.Device}
	signIns  = []policy.Way{policy.Code, policy.Refresh, policy.Device}
	exchange = []policy.Way{policy.Exchange}
)

// belonging are the cases of what has to fit together before a target is looked at.
func belonging() []ruled {
	bad := oidc.CodeInvalidGrant
	return slices.Concat(
		on(all, "grant of another tenant", policy.RuleTenant, bad, func(r *policy.Request) { r.Grant.Tenant = "other" }),
		on(all, "grant of no tenant", policy.RuleTenant, bad, func(r *policy.Request) { r.Grant.Tenant = "" }),
		on(all, "no tenant anywhere", policy.RuleTenant, bad, func(r *policy.Request) { r.Tenant, r.Grant.Tenant = "", "" }),
		on(all, "no issuer", policy.RuleTenant, bad, func(r *policy.Request) { r.Issuer = "" }),
		on(exchange, "no issuer anywhere", policy.RuleTenant, bad, func(r *policy.Request) { r.Issuer, r.Subject.Issuer, r.Subject.Audience = "", "", []string{""} }),
		on(signIns, "no way", policy.RuleTenant, bad, func(r *policy.Request) { r.Way = "" }),
		on(signIns, "unknown way", policy.RuleTenant, bad, func(r *policy.Request) { r.Way = "password" }),
		on(exchange, "no subject token", policy.RuleTenant, bad, func(r *policy.Request) { r.Subject = nil }),
		on(signIns, "subject token where none belongs", policy.RuleTenant, bad, func(r *policy.Request) { r.Subject = &policy.Subject{} }),
		on(exchange, "subject token of another issuer", policy.RuleTenant, bad, func(r *policy.Request) {
			r.Subject.Issuer = issuer + "/t/other"
			r.Subject.Audience = []string{issuer}
		}),
		on(exchange, "issuer in another spelling", policy.RuleTenant, bad, func(r *policy.Request) { r.Subject.Issuer = issuer + "/" }),

		on(all, "grant has ended", policy.RuleGrant, bad, func(r *policy.Request) { r.Grant.Ended = true }),
		on(all, "no grant", policy.RuleGrant, bad, func(r *policy.Request) { r.Grant.ID = "" }),
		on(exchange, "no grant in token nor request", policy.RuleGrant, bad, func(r *policy.Request) { r.Grant.ID, r.Subject.GrantID = "", "" }),
		on(exchange, "subject token of another grant", policy.RuleGrant, bad, func(r *policy.Request) { r.Subject.GrantID = "grant-2" }),

		on(all, "no identity provider speaks for the account", policy.RulePerson, bad, func(r *policy.Request) { r.Account.Vouched = false }),
		on(all, "another client asks", policy.RuleClient, bad, func(r *policy.Request) { r.ClientID = "thunderbird" }),
		on(all, "no client", policy.RuleClient, bad, func(r *policy.Request) { r.ClientID = "" }),
		on(all, "no client anywhere", policy.RuleClient, bad, func(r *policy.Request) { r.ClientID, r.Grant.ClientID = "", "" }),
		on(exchange, "subject token of another client", policy.RuleClient, bad, func(r *policy.Request) { r.Subject.ClientID = "thunderbird" }),
		on(exchange, "subject token without client", policy.RuleClient, bad, func(r *policy.Request) { r.Subject.ClientID = "" }),

		on(all, "grant of somebody else", policy.RulePerson, bad, func(r *policy.Request) { r.Grant.AccountID = "bob-id" }),
		on(all, "nobody", policy.RulePerson, bad, func(r *policy.Request) { r.Account.ID, r.Grant.AccountID = "", "" }),
		on(exchange, "subject token of somebody else", policy.RulePerson, bad, func(r *policy.Request) { r.Subject.Subject = "bob-id" }),
	)
}

// kinds are the cases of R4 and R5: broad, narrow, and what may be exchanged.
func kinds() []ruled {
	bad := oidc.CodeInvalidGrant
	return slices.Concat(
		on(signIns, "no target", policy.AllowBroad, "", func(*policy.Request) {}),
		on(signIns, "the issuer as target", policy.AllowBroad, "", func(r *policy.Request) { r.Targets = []string{issuer} }),
		on(signIns, "the configuration as target", policy.AllowBroad, "", func(r *policy.Request) { r.Targets = []string{issuer + oidc.ConfigurationPath} }),
		on(signIns, "one service as target", policy.AllowNarrow, "", func(r *policy.Request) { r.Targets = []string{imap} }),
		on(exchange, "one service as target", policy.AllowNarrow, "", func(*policy.Request) {}),
		on(exchange, "subject for the issuer alone", policy.AllowNarrow, "", func(r *policy.Request) { r.Subject.Audience = []string{issuer} }),
		on(exchange, "narrow subject", policy.RuleBroad, bad, func(r *policy.Request) { r.Subject.Audience = []string{imap} }),
		on(exchange, "subject for two services", policy.RuleBroad, bad, func(r *policy.Request) { r.Subject.Audience = []string{imap, calendar} }),
		on(exchange, "subject without audience", policy.RuleBroad, bad, func(r *policy.Request) { r.Subject.Audience = nil }),
		on(exchange, "audience that only begins with the issuer", policy.RuleBroad, bad, func(r *policy.Request) { r.Subject.Audience = []string{issuer + "/", issuer + ".evil.test"} }),
		on(exchange, "expired subject", policy.RuleExpired, bad, func(r *policy.Request) { r.Subject.ExpiresAt = now.Add(-time.Second) }),
		on(exchange, "subject that expires now", policy.RuleExpired, bad, func(r *policy.Request) { r.Subject.ExpiresAt = now }),
		on(exchange, "subject without end", policy.RuleExpired, bad, func(r *policy.Request) { r.Subject.ExpiresAt = time.Time{} }),
		on(exchange, "narrow and expired subject", policy.RuleBroad, bad, func(r *policy.Request) {
			r.Subject.ExpiresAt, r.Subject.Audience = now, []string{imap}
		}),
	)
}

// targets are the cases of RFC 8707, section 2 and of what the grant lists.
func targets() []ruled {
	bad := oidc.CodeInvalidTarget
	return slices.Concat(
		on(exchange, "no target", policy.RuleTarget, bad, func(r *policy.Request) { r.Targets = nil }),
		on(exchange, "the issuer", policy.RuleTarget, bad, func(r *policy.Request) { r.Targets = []string{issuer} }),
		on(exchange, "the configuration", policy.RuleTarget, bad, func(r *policy.Request) { r.Targets = []string{issuer + oidc.ConfigurationPath} }),
		on(all, "two targets", policy.RuleTarget, bad, func(r *policy.Request) { r.Targets = []string{imap, submission} }),
		on(all, "the same target twice", policy.RuleTarget, bad, func(r *policy.Request) { r.Targets = []string{imap, imap} }),
		on(all, "the issuer and a service", policy.RuleTarget, bad, func(r *policy.Request) { r.Targets = []string{issuer, imap} }),
		on(all, "a foreign target", policy.RuleTarget, bad, func(r *policy.Request) { r.Targets = []string{"imap.evil.test"} }),
		on(all, "an empty target", policy.RuleTarget, bad, func(r *policy.Request) { r.Targets = []string{""} }),
		on(all, "no services", policy.RuleTarget, bad, func(r *policy.Request) { r.Services, r.Targets = nil, []string{imap} }),
		on(all, "a service that calls itself the issuer", policy.RuleTarget, bad, func(r *policy.Request) {
			r.Services[3].Audience, r.Targets = issuer, []string{files + "folder"}
		}),
		on(all, "a service outside the granted resources", policy.RuleResource, bad, func(r *policy.Request) {
			r.Grant.Resources, r.Targets = []string{calendar}, []string{imap}
		}),
		on(all, "a service among the granted resources", policy.AllowNarrow, "", func(r *policy.Request) {
			r.Grant.Resources, r.Targets = []string{calendar, imap}, []string{imap}
		}),
		on(all, "a URL below a service among the granted resources", policy.AllowNarrow, "", func(r *policy.Request) {
			r.Grant.Resources, r.Targets = []string{calendar}, []string{calendar + "alice/work"}
		}),
	)
}

// widths are the cases of the scope.
func widths() []ruled {
	bad := oidc.CodeInvalidScope
	ask := func(words string) func(*policy.Request) {
		return func(r *policy.Request) { s := scopes.Of(strings.Fields(words)...); r.Scope = &s }
	}
	return slices.Concat(
		on(all, "empty scope", policy.RuleScope, bad, ask("")),
		on(all, "empty scope and a foreign target", policy.RuleScope, bad, func(r *policy.Request) {
			ask("")(r)
			r.Targets = []string{"imap.evil.test"}
		}),
		on(all, "a word that was not granted", policy.RuleScope, bad, ask(scopes.Mail+" "+scopes.Chat)),
		on(all, "an unknown word", policy.RuleScope, bad, ask("admin")),
		on(all, "a word in another case", policy.RuleScope, bad, ask(strings.ToUpper(scopes.Mail))),
		on(all, "a part of what was granted", policy.AllowNarrow, "", func(r *policy.Request) {
			ask(scopes.Mail)(r)
			r.Targets = []string{imap}
		}),
		on(signIns, "a broad token with less", policy.AllowBroad, "", ask(scopes.Mail)),
		on(signIns, "more than the service has a use for", policy.AllowNarrow, "", func(r *policy.Request) {
			ask(granted)(r)
			r.Targets = []string{imap}
		}),
		on(exchange, "more than the service has a use for", policy.RuleScope, bad, ask(scopes.Mail+" "+scopes.Calendars)),
		on(exchange, "a scope that opens another service", policy.RuleScope, bad, ask(scopes.Calendars)),
		on(exchange, "granted, and not in the subject", policy.RuleScope, bad, func(r *policy.Request) {
			r.Subject.Scope = scopes.Of("openid", scopes.Calendars)
			ask(scopes.Mail)(r)
		}),
		on(exchange, "in the subject, and not granted any more", policy.RuleScope, bad, func(r *policy.Request) {
			r.Grant.Scope = scopes.Of("openid", scopes.Calendars)
		}),
		on(exchange, "nothing in the subject", policy.RuleScope, bad, func(r *policy.Request) { r.Subject.Scope = scopes.Set{} }),
		on(signIns, "nothing was granted", policy.RuleScope, bad, func(r *policy.Request) { r.Grant.Scope = scopes.Set{} }),
		on(all, "a service that the grant does not open", policy.RuleScope, bad, func(r *policy.Request) {
			r.Grant.Scope, r.Targets = scopes.Of("openid", scopes.Calendars), []string{imap}
		}),
	)
}

// logins are the cases of R1: whose name stands in a token.
func logins() []ruled {
	bad := oidc.CodeInvalidTarget
	name := func(s string) func(*policy.Request) {
		return func(r *policy.Request) { r.Services[0].Username, r.Targets = s, []string{imap} }
	}
	return slices.Concat(
		on(all, "bare name", policy.AllowNarrow, "", name("alice")),
		on(all, "domain in capitals", policy.AllowNarrow, "", name("alice@EXAMPLE.test")),
		on(all, "no name", policy.RuleLogin, bad, name("")),
		on(all, "foreign domain", policy.RuleLogin, bad, name("alice@evil.test")),
		on(all, "domain above a verified one", policy.RuleLogin, bad, name("alice@test")),
		on(all, "domain below a verified one", policy.RuleLogin, bad, name("alice@mail.example.test")),
		on(all, "domain that only ends like a verified one", policy.RuleLogin, bad, name("alice@badexample.test")),
		on(all, "domain with a dot at the end", policy.RuleLogin, bad, name("alice@example.test.")),
		on(all, "no local part", policy.RuleLogin, bad, name("@example.test")),
		on(all, "no domain", policy.RuleLogin, bad, name("alice@")),
		on(all, "two domains, the last one verified", policy.RuleLogin, bad, name("alice@evil.test@example.test")),
		on(all, "two domains, the first one verified", policy.RuleLogin, bad, name("alice@example.test@evil.test")),
	)
}

func TestR1LoginNames(t *testing.T)            { t.Parallel(); check(t, logins()) }
func TestR4BroadAndNarrow(t *testing.T)        { t.Parallel(); check(t, kinds()) }
func TestR22NothingCrosses(t *testing.T)       { t.Parallel(); check(t, belonging()) }
func TestR22Scope(t *testing.T)                { t.Parallel(); check(t, widths()) }
func TestRFC8707OneGrantedTarget(t *testing.T) { t.Parallel(); check(t, targets()) }

// TestEveryRuleDecides fails when a rule has no case above: it could be
// taken out and nobody would notice.
func TestEveryRuleDecides(t *testing.T) {
	t.Parallel()
	decided := map[string]int{}
	for _, c := range slices.Concat(belonging(), kinds(), targets(), widths(), logins(), bindings(), conditions(t), passwords()) {
		r := request(t, c.way)
		c.edit(&r)
		decided[policy.Decide(r).Rule]++
	}
	for name, rule := range ruleConstants(t) {
		if decided[rule] == 0 {
			t.Errorf("%s (%q) decided no case", name, rule)
		}
		delete(decided, rule)
	}
	if len(decided) > 0 {
		t.Errorf("rules without a constant decided: %v", decided)
	}
}

// ruleConstants reads the constants Rule… and Allow… from the package's source, so that a
// new one cannot be forgotten here.
func ruleConstants(t testing.TB) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "rules.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Rule") && !strings.HasPrefix(spec.Names[0].Name, "Allow") {
			return true
		}
		if spec.Names[0].Name == "AllowAlive" {
			return true // not one of Decide
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		rules[spec.Names[0].Name] = value
		return true
	})
	if len(rules) < 12 {
		t.Fatalf("found only %v", rules)
	}
	return rules
}
