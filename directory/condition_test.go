package directory

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"signpost/internal/condition"
)

// guarded has a condition wherever there may be one.
const guarded = `
tenants:
  - name: one
    title: One
    domains: [one.test]
    identity_providers:
      - {name: staff, title: Staff, issuer: "https://login.one.test", client_id: signpost, keep_claims: [groups, "https://one.test/level"]}
    services:
      - id: mail
        protocol: imap
        endpoints: [{host: imap.one.test, port: 993, security: tls}]
        condition: '"staff" in claims.groups'
        app_passwords: true
        source: local
      - id: files
        protocol: webdav
        endpoints: [{url: "https://files.one.test/"}]
        condition: |
          // one of two
          claims.groups.exists(g, g in ["staff", "guests"]) &&
          claims["https://one.test/level"] >= 2
      - id: calendars
        protocol: caldav
        endpoints: [{url: "https://dav.one.test/"}]
    clients:
      condition: client.kind != "open"
      fixed:
        - {id: webmail, name: Webmail, redirect_uris: ["https://webmail.one.test/cb"], condition: 'claims.acr == "gold"'}
        - {id: plain, name: Plain, redirect_uris: ["https://plain.one.test/cb"]}
`

func TestParseConditions(t *testing.T) {
	t.Parallel()
	one := mustParse(t, guarded)[0]
	if got := one.IdentityProviders[0].KeepClaims; fmt.Sprint(got) != "[groups https://one.test/level]" {
		t.Errorf("keep_claims %q", got)
	}
	mail, files, calendars := one.Services[0], one.Services[1], one.Services[2]
	if mail.Condition != `"staff" in claims.groups` || !mail.AppPasswords || mail.Source != SourceLocal {
		t.Errorf("mail is %+v", mail)
	}
	if !strings.HasPrefix(files.Condition, "// one of two\n") || files.AppPasswords || files.Source != "" {
		t.Errorf("files is %+v", files)
	}
	if calendars.Condition != "" {
		t.Errorf("calendars has the condition %q", calendars.Condition)
	}
	if one.Clients.Condition != `client.kind != "open"` || one.FixedClients[0].Condition != `claims.acr == "gold"` || one.FixedClients[1].Condition != "" {
		t.Errorf("conditions of programs %q, %q, %q", one.Clients.Condition, one.FixedClients[0].Condition, one.FixedClients[1].Condition)
	}
	if got := Warnings([]Tenant{one}); got != nil {
		t.Errorf("the operator is warned: %q", got)
	}
}

// What is wrong with a condition is said where it stands.
func TestParseRefusesConditions(t *testing.T) {
	t.Parallel()
	file := func(service, clients, fixed string) string {
		return `tenants:
  - name: one
    title: One
    services:
      - id: mail
        protocol: imap
        endpoints: [{host: imap.one.test, port: 993, security: tls}]
        ` + service + `
    clients:
      ` + clients + `
      fixed:
        - id: webmail
          name: Webmail
          ` + fixed + "\n"
	}
	good := "condition: 'true'"
	for what, c := range map[string]struct{ src, because string }{
		"no expression":         {file(`condition: '"staff" in'`, good, good), `f:8:20: tenant one, service mail: condition: not a condition: line 1, column 11: Syntax error`},
		"an unknown name":       {file("condition: group == 1", good, good), `undeclared reference to 'group'; known names are claims, now,`},
		"not true or false":     {file("condition: claims.groups", good, good), "it must be true or false"},
		"of every program":      {file(good, "condition: client.name == 1", good), "f:10:18: tenant one, clients: condition: not a condition"},
		"of one program":        {file(good, good, "condition: claims.acr"), "f:14:22: tenant one, client webmail: condition: not a condition"},
		"too long":              {file("condition: "+strings.Repeat("!", 4096)+"true", good, good), "an anchor, alias or tag"},
		"too long, in quotes":   {file("condition: '"+strings.Repeat("!", 4096)+"true'", good, good), "longer than 4096 bytes"},
		"too much work":         {file("condition: claims.amr.all(a, claims.amr.all(b, a == b))", good, good), "too much work"},
		"no text":               {file("condition: true", good, good), "f:8:20: condition must be a string, not true or false"},
		"a list":                {file("condition: [a]", good, good), "condition must be a string, not a list"},
		"empty":                 {file(`condition: ""`, good, good), "f:8:20: condition is empty"},
		"nothing":               {file("condition:", good, good), "condition is empty"},
		"nothing, of a program": {file(good, good, "condition:"), "condition is empty"},
		"nothing, of programs":  {file(good, "condition: ~", good), "condition is empty"},
		"blank":                 {file(`condition: "  "`, good, good), "condition is empty"},
	} {
		_, err := Parse("f", []byte(c.src), noEnv, noFile)
		problems, _ := errors.AsType[Problems](err)
		if len(problems) != 1 || !strings.Contains(problems.Error(), c.because) {
			t.Errorf("%s: Parse says\n%v\nwant one problem with %q", what, err, c.because)
		}
	}
}

func TestRealmConditions(t *testing.T) {
	t.Parallel()
	tenants := mustParse(t, guarded)
	r, _ := mustCompile(t, tenants).Realm("one")
	texts := func(list []*condition.Condition) string {
		var all []string
		for _, c := range list {
			all = append(all, c.String())
		}
		return strings.Join(all, " | ")
	}
	for id, want := range map[string]string{
		"webmail":      `client.kind != "open" | claims.acr == "gold"`,
		"plain":        `client.kind != "open"`,
		"open":         `client.kind != "open"`,
		"account-page": `client.kind != "open"`,
		"anything":     `client.kind != "open"`,
	} {
		if got := texts(r.ClientConditions(id)); got != want {
			t.Errorf("client %s: conditions %s, want %s", id, got, want)
		}
	}
	staff := condition.Facts{Claims: map[string]any{"groups": []any{"staff"}}}
	for _, s := range r.Services {
		c := r.ServiceCondition(s)
		if c.String() != s.Condition || r.ServiceCondition(s) != c {
			t.Errorf("service %s: condition %q, want %q, compiled once", s.ID, c, s.Condition)
		}
		if holds, err := c.Holds(staff); holds != (s.ID != "files") || (err == nil) != holds {
			t.Errorf("service %s: for staff without a level %v, %v", s.ID, holds, err)
		}
	}
	for what, s := range map[string]Service{
		"of nobody":    {ID: "mail", Condition: `"others" in claims.groups`},
		"that is none": {ID: "mail", Condition: "claims."},
	} {
		if holds, err := r.ServiceCondition(s).Holds(staff); holds || err != nil {
			t.Errorf("a condition %s: got %v, %v, want that nothing meets it", what, holds, err)
		}
	}
	plain, _ := example(t).Realm("example")
	if plain.ClientConditions("open") != nil || plain.ServiceCondition(plain.Services[0]) != nil {
		t.Error("a tenant without conditions has some")
	}
}

// What the database holds and does not compile is never taken for no condition.
func TestCompileFailsClosed(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		change func(*Tenant)
		want   string
	}{
		"service":  {func(t *Tenant) { t.Services[0].Condition = "claims." }, "tenant one: condition of service mail: not a condition"},
		"blank":    {func(t *Tenant) { t.Services[0].Condition = " " }, "condition of service mail"},
		"programs": {func(t *Tenant) { t.Clients.Condition = "old(claims)" }, "tenant one: condition of clients: not a condition"},
		"program":  {func(t *Tenant) { t.FixedClients[1].Condition = "claims.acr" }, "tenant one: condition of client plain: not a condition"},
	} {
		tenants := mustParse(t, guarded)
		c.change(&tenants[0])
		if s, err := Compile(base, tenants, 1); s != nil || !errors.Is(err, condition.ErrExpression) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Compile = %v, %v; want %q", what, s, err, c.want)
		}
	}
}

func TestDocumentLeavesOutWhatSomebodyHasNot(t *testing.T) {
	t.Parallel()
	r, _ := example(t).Realm("example")
	d := r.Document(aliceAccount, alice, r.Broad, func(s Service) bool { return s.ID != "mail" && s.ID != "files" })
	var ids []string
	for _, s := range d.Services() {
		ids = append(ids, s.ID)
	}
	if got := strings.Join(ids, " "); got != "send calendars" {
		t.Errorf("services %q, want send and calendars", got)
	}
}

func TestCheckKeptClaims(t *testing.T) {
	t.Parallel()
	keep := func(names ...string) Problems {
		tenants := mustParse(t, installation)
		tenants[0].IdentityProviders[0].KeepClaims = names
		return Check(tenants)
	}
	for _, names := range [][]string{{"groups"}, {"roles", "department", "email"}, {"https://one.test/claims/level"}, {"urn:zitadel:iam:org:project:roles"}, {strings.Repeat("a", 64)}} {
		if problems := keep(names...); problems != nil {
			t.Errorf("keep_claims %q: %v", names, problems)
		}
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "nonce", "acr", "amr", "auth_time", "address", "domain", "login", "azp", "sid"} {
		if problems := keep("groups", name); len(problems) != 1 || !strings.Contains(problems.Error(), "has a meaning of its own") {
			t.Errorf("keep_claims %q: Check says %v", name, problems)
		}
	}
	for _, name := range []string{"", "a b", "a\x00", "ä", `a"b`, strings.Repeat("a", 65)} {
		if problems := keep("groups", name); len(problems) != 1 || !strings.Contains(problems.Error(), "entry 2 of keep_claims is not the name of a claim") {
			t.Errorf("keep_claims %q: Check says %v", name, problems)
		}
	}
	if problems := keep("groups", "groups"); len(problems) != 1 || !strings.Contains(problems.Error(), `"groups" comes twice`) {
		t.Errorf("a claim twice: %v", problems)
	}
	var many []string
	for i := range 17 {
		many = append(many, fmt.Sprint("claim-", i))
	}
	if problems := keep(many...); len(problems) != 1 || !strings.Contains(problems.Error(), "more than 16 claims") {
		t.Errorf("17 claims: %v", problems)
	}
	if problems := keep(many[:16]...); problems != nil {
		t.Errorf("16 claims: %v", problems)
	}
}

// A condition on a claim that nobody keeps is met by nobody, or nobody knows by whom, in whatever
// way it asks.
func TestR34CheckRefusesConditionsOnUnknownClaims(t *testing.T) {
	t.Parallel()
	for source, unknown := range map[string]string{
		`claims.suspended != true`:                          "suspended",
		`!has(claims.suspended)`:                            "suspended",
		`!("suspended" in claims)`:                          "suspended",
		`claims["suspended"] == false`:                      "suspended",
		`!has(claims.suspended.until)`:                      "suspended",
		`!claims.groups.exists(g, g in claims.suspended)`:   "suspended",
		`claims["not sent"] == []`:                          "not sent",
		`has(claims.groups) && claims.domain == "one.test"`: "",
		`has(claims.acr) || "amr" in claims`:                "",
		`claims.auth_time < now && claims.address != ""`:    "",
	} {
		for whose, change := range map[string]func(*Tenant){
			"service files": func(t *Tenant) { t.Services[1].Condition = source },
			"clients":       func(t *Tenant) { t.Clients.Condition = source },
			"client plain":  func(t *Tenant) { t.FixedClients[1].Condition = source },
		} {
			tenants := mustParse(t, guarded)
			change(&tenants[0])
			problems := Check(tenants)
			if unknown == "" {
				if problems != nil {
					t.Errorf("%s, %s: Check says %v, want nothing", whose, source, problems)
				}
				continue
			}
			want := fmt.Sprintf("tenant one, %s: condition: asks for claim %q, which no identity provider of the tenant keeps", whose, unknown)
			if len(problems) != 1 || !strings.Contains(problems.Error(), want) || !strings.Contains(problems.Error(), "add it to keep_claims") {
				t.Errorf("%s, %s: Check says %v, want %q", whose, source, problems, want)
			}
		}
	}
	tenants := mustParse(t, guarded)
	tenants[0].IdentityProviders[0].KeepClaims = nil
	if problems := Check(tenants); len(problems) != 3 { // groups twice, and the level
		t.Errorf("keep_claims is taken away: Check says %v, want three problems", problems)
	}
	_, err := Parse("f", []byte(strings.Replace(guarded, "keep_claims: [groups,", "keep_claims: [group,", 1)), noEnv, noFile)
	if err == nil || !strings.Contains(err.Error(), `f:12:20: tenant one, service mail: condition: asks for claim "groups"`) {
		t.Errorf("Parse says\n%v\nwant where the condition stands", err)
	}
}

func TestWarningOfLoginThatNobodyHas(t *testing.T) {
	t.Parallel()
	tenants := mustParse(t, guarded)
	tenants[0].FixedClients[1].Condition = `!has(claims.login)`
	got := Warnings(tenants)
	if len(got) != 1 || !strings.HasPrefix(got[0], "tenant one, client plain: its condition asks for claim login, which nobody has") {
		t.Errorf("the operator is warned %q, want of login", got)
	}
	tenants[0].Services[0].Username = "{login}"
	if got := Warnings(tenants); got != nil {
		t.Errorf("where a service fills {login} in the operator is warned %q", got)
	}
}

func TestDiffConditions(t *testing.T) {
	t.Parallel()
	before, after := mustParse(t, guarded), mustParse(t, guarded)
	one := &after[0]
	one.IdentityProviders[0].KeepClaims = nil
	one.Services[0].Condition, one.Services[0].AppPasswords, one.Services[0].Source = "", false, ""
	one.Services[1].Condition = strings.ReplaceAll(one.Services[1].Condition, "\n", " ")
	one.Services[2].Condition, one.Services[2].UnexpiringTokens = "true", true
	one.Clients.Condition, one.FixedClients[0].Condition = "", "false"
	const want = "~ client policy one: condition client.kind != \"open\" -> nothing\n" +
		"~ identity provider one/staff: keep_claims groups https://one.test/level -> nothing\n" +
		"~ service one/mail: condition \"staff\" in claims.groups -> nothing, app_passwords true -> false\n" +
		"~ service one/files: condition changed\n" +
		"~ service one/calendars: condition nothing -> true, unexpiring_tokens nothing -> accepted\n" +
		"~ client one/webmail: condition claims.acr == \"gold\" -> false"
	if got := lines(Diff(before, after)); got != want {
		t.Errorf("Diff says\n%s\nwant\n%s", got, want)
	}
}
