package directory

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/oidc"
	"signpost/scopes"
)

// shaped has tokens of every form.
const shaped = `
tenants:
  - name: one
    title: One
    domains: [one.test]
    broad_token: opaque
    token_profiles:
      - {name: groupware, typ: JWT, azp: true, aud: array, nbf: true, backdate: 5s, user_claim: login}
      - {name: bare, based_on: dovecot, typ: at+jwt, client_id: false, iat: false, backdate: 0s}
    services:
      - {id: mail, protocol: imap, profile: opaque, endpoints: [{host: mail.one.test, port: 993, security: tls}]}
      - {id: send, protocol: submission, profile: opaque, endpoints: [{host: send.one.test, port: 465, security: tls}]}
      - {id: sieve, protocol: managesieve, profile: opaque, in_broad: true, endpoints: [{host: sieve.one.test, port: 4190, security: starttls}]}
      - {id: pop, protocol: pop3, endpoints: [{host: pop.one.test, port: 995, security: tls}]}
      - {id: calendars, protocol: caldav, profile: groupware, endpoints: [{url: "https://dav.one.test/cal/"}]}
      - {id: contacts, protocol: carddav, endpoints: [{url: "https://dav.one.test/card/"}]}
      - {id: post, protocol: submission, profile: bare, endpoints: [{host: post.one.test, port: 465, security: tls}]}
      - {id: api, protocol: https, scopes: [email], profile: cyrus, algorithm: RS256, unexpiring_tokens: accepted, endpoints: [{url: "https://api.one.test/"}]}
    resource_servers:
      - {name: mail, audiences: [mail.one.test, send.one.test, sieve.one.test], secret: 0123456789abcdef0123456789abcdef}
`

func TestTokenProfiles(t *testing.T) {
	t.Parallel()
	tenants := mustParse(t, shaped)
	r, _ := mustCompile(t, tenants).Realm("one")
	if got := r.BroadProfile(); got != oidc.ProfileOpaque {
		t.Errorf("the broad token is %q, want opaque", got)
	}
	for name, want := range map[string]oidc.Profile{
		"groupware": {
			Name: "groupware", Type: "JWT", ClientID: true, AuthorizedParty: true, AudienceArray: true, IssuedAt: true, NotBefore: true,
			Backdate: 5 * time.Second, UserClaim: "login",
		},
		"bare": {Name: "bare", Type: "at+jwt"},
	} {
		if got, found := r.Profile(name); !found || got != want {
			t.Errorf("profile %s: %+v, %v, want %+v", name, got, found, want)
		}
	}
	for _, want := range oidc.BuiltInProfiles() {
		if got, found := r.Profile(want.Name); !found || got != want {
			t.Errorf("profile %s: %+v, %v, want the built-in one", want.Name, got, found)
		}
	}
	for _, name := range []string{"", "none", "GROUPWARE"} {
		if got, found := r.Profile(name); found {
			t.Errorf("profile %q: %+v, want none", name, got)
		}
	}
	if got := Warnings(tenants); got != nil {
		t.Errorf("the operator is warned: %q", got)
	}
	plain, _ := example(t).Realm("example")
	if got := plain.BroadProfile(); got != oidc.ProfileRFC9068 {
		t.Errorf("the broad token of a tenant that says nothing is %q", got)
	}
}

// Even in the database no profile takes the place of a built-in one.
func TestBuiltInProfilesCannotBeReplaced(t *testing.T) {
	t.Parallel()
	s := mustCompile(t, []Tenant{{Name: "t", Placement: PlacementBase, TokenProfiles: []oidc.Profile{{Name: oidc.ProfileCyrus, Type: "JWT"}}}})
	r, _ := s.Realm("t")
	if p, _ := r.Profile(oidc.ProfileCyrus); !p.LoginSubject {
		t.Errorf("profile cyrus is %+v", p)
	}
}

// An opaque broad token fits every line, and only servers that look tokens up.
func TestR9OpaqueBroadToken(t *testing.T) {
	t.Parallel()
	in := map[string]bool{}
	for _, s := range mustParse(t, shaped)[0].Services {
		in[s.ID] = s.InBroad
	}
	for id, want := range map[string]bool{"mail": true, "send": true, "sieve": true, "pop": false, "calendars": false, "contacts": false, "post": false, "api": false} {
		if in[id] != want {
			t.Errorf("service %s: in broad %v, want %v", id, in[id], want)
		}
	}
	const head = "tenants: [{name: one, title: One, domains: [one.test], "
	for src, want := range map[string]string{
		`broad_token: opaque, services: [{id: s, protocol: imap, in_broad: true, endpoints: [{host: one.test, port: 993, security: tls}]}]`:                                           "the form opaque, which profile dovecot does not take",
		`broad_token: opaque, services: [{id: s, protocol: imap, in_broad: true, profile: rfc9068, endpoints: [{host: one.test, port: 993, security: tls}]}]`:                         "the form opaque, which profile rfc9068 does not take",
		`services: [{id: s, protocol: imap, in_broad: true, profile: opaque, endpoints: [{host: one.test, port: 993, security: tls}]}]`:                                               "the form rfc9068, which profile opaque does not take",
		`token_profiles: [{name: own}], services: [{id: s, protocol: imap, in_broad: true, profile: own, endpoints: [{host: one.test, port: 993, security: tls}]}]`:                   "the form rfc9068, which profile own does not take",
		`services: [{id: s, protocol: imap, in_broad: true, profile: cyrus, algorithm: RS256, unexpiring_tokens: accepted, endpoints: [{host: one.test, port: 993, security: tls}]}]`: "the form rfc9068, which profile cyrus does not take",
		`broad_token: dovecot`:                            `f:1:69: tenant one: broad_token "dovecot" is not known`,
		`broad_token: own, token_profiles: [{name: own}]`: `broad_token "own" is not known`,
		`broad_token: [opaque]`:                           "broad_token must be a string, not a list",
	} {
		_, err := Parse("f", []byte(head+src+"}]"), noEnv, noFile)
		problems, _ := errors.AsType[Problems](err)
		if len(problems) != 1 || !strings.Contains(problems.Error(), want) {
			t.Errorf("%s: Parse says %v, want one problem with %q", src, err, want)
		}
	}
}

// By default in broad is only what R5 says, whatever the form.
func TestR5OpaqueBroadTokenStaysAtHome(t *testing.T) {
	t.Parallel()
	for service, want := range map[string]bool{
		`{id: s, protocol: imap, profile: opaque, endpoints: [{host: imap.one.test, port: 993, security: tls}]}`:         true,
		`{id: s, protocol: submission, profile: opaque, endpoints: [{host: smtp.one.test, port: 465, security: tls}]}`:   true,
		`{id: s, protocol: imap, profile: opaque, endpoints: [{host: imap.hoster.test, port: 993, security: tls}]}`:      false,
		`{id: s, protocol: managesieve, profile: opaque, endpoints: [{host: one.test, port: 4190, security: starttls}]}`: false,
		`{id: s, protocol: webdav, profile: opaque, endpoints: [{url: "https://files.one.test/"}]}`:                      false,
		`{id: s, protocol: caldav, endpoints: [{url: "https://dav.one.test/"}]}`:                                         false,
	} {
		tenants := mustParse(t, "tenants: [{name: one, title: One, domains: [one.test], broad_token: opaque, services: ["+service+"]}]")
		if got := tenants[0].Services[0].InBroad; got != want {
			t.Errorf("%s: in broad %v, want %v", service, got, want)
		}
	}
}

func TestParseRefusesTokenProfiles(t *testing.T) {
	t.Parallel()
	for profile, want := range map[string]string{
		"{}":                                                "token profile without a name: name is missing",
		"{name: Own}":                                       `name "Own" is not a name`,
		"{name: dovecot}":                                   `the name "dovecot" is that of a built-in profile`,
		"{name: opaque, based_on: rfc9068}":                 `the name "opaque" is that of a built-in profile`,
		"{name: own, based_on: opaque}":                     "based_on is not one that is known\n  hint: known are rfc9068, dovecot",
		"{name: own, based_on: cyrus}":                      "based_on is not one that is known",
		"{name: own, typ: jwt}":                             `typ "jwt" is not known`,
		"{name: own, typ: \"\"}":                            "typ is missing",
		"{name: own, aud: list}":                            "f:1:69: aud is not one that is known\n  hint: known are string, array",
		"{name: own, aud: [a]}":                             "aud must be a string, not a list",
		"{name: own, azp: yes}":                             "azp must be true or false",
		"{name: own, backdate: 61s}":                        "backdate 1m1s is not whole seconds, 1m0s at most",
		"{name: own, backdate: 1500ms}":                     "backdate 1.5s is not whole seconds",
		"{name: own, backdate: -1s}":                        "backdate must be a span of time",
		"{name: own, user_claim: sub}":                      `user_claim "sub" has a meaning of its own`,
		"{name: own, user_claim: email}":                    `user_claim "email" has a meaning of its own`,
		"{name: own, user_claim: scope}":                    `user_claim "scope" has a meaning of its own`,
		"{name: own, user_claim: grant}":                    `user_claim "grant" has a meaning of its own`,
		"{name: own, user_claim: cnf}":                      `user_claim "cnf" has a meaning of its own`,
		"{name: own, user_claim: a b}":                      "user_claim is not the name of a claim",
		"{name: own, alg: none}":                            `a token profile has no key "alg"`,
		"{name: own, opaque: true}":                         `a token profile has no key "opaque"`,
		"own":                                               "a token profile must have keys and values",
		"{name: own}, {name: other}, {name: own, typ: JWT}": "token profile own: the name comes twice",
		"{name: own}" + manyProfiles():                      "more than 20 token profiles",
	} {
		_, err := Parse("f", []byte("tenants: [{name: one, title: One, token_profiles: ["+profile+"]}]"), noEnv, noFile)
		problems, _ := errors.AsType[Problems](err)
		if len(problems) != 1 || !strings.Contains(problems.Error(), want) {
			t.Errorf("%s: Parse says %v, want one problem with %q", profile, err, want)
		}
	}
	// What is in the database is checked as what is in a file.
	for _, p := range []oidc.Profile{{Name: "own", Type: "JWT", Opaque: true}, {Name: "own", Type: "JWT", LoginSubject: true}, {Name: "own", Type: "JWT", Backdate: -time.Second}} {
		if problems := Check([]Tenant{{Name: "one", Title: "One", Placement: PlacementBase, TokenProfiles: []oidc.Profile{p}}}); len(problems) != 1 {
			t.Errorf("profile %+v: Check says %v, want one problem", p, problems)
		}
	}
}

func manyProfiles() string {
	var all strings.Builder
	for i := range 20 {
		all.WriteString(", {name: own-" + string(rune('a'+i)) + "}")
	}
	return all.String()
}

// A token for a short line does not name its client.
func TestR9OwnProfilesForShortLines(t *testing.T) {
	t.Parallel()
	for profile, want := range map[string]bool{
		"{name: own}":                                     false,
		"{name: own, client_id: false}":                   true,
		"{name: own, client_id: false, azp: true}":        false,
		"{name: own, based_on: dovecot}":                  true,
		"{name: own, based_on: dovecot, azp: true}":       false,
		"{name: own, based_on: dovecot, aud: array}":      true,
		"{name: own, based_on: dovecot, client_id: true}": false,
	} {
		for _, protocol := range []string{"submission", "managesieve", "imap"} {
			_, err := Parse("f", []byte("tenants: [{name: one, title: One, token_profiles: ["+profile+"], services: [{id: s, protocol: "+protocol+
				", profile: own, endpoints: [{host: one.test, port: 465, security: tls}]}]}]"), noEnv, noFile)
			good := want || protocol == "imap"
			if (err == nil) != good || !good && !strings.Contains(err.Error(), "a token that names its client is too long for the line in which "+protocol) {
				t.Errorf("%s for %s: Parse says %v, want it accepted: %v", profile, protocol, err, good)
			}
		}
	}
}

// Tokens that their server does not let expire are there only if the tenant says so.
func TestR10Cyrus(t *testing.T) {
	t.Parallel()
	const imap, dav = "protocol: imap, endpoints: [{host: one.test, port: 993, security: tls}], ", `protocol: caldav, endpoints: [{url: "https://dav.one.test/"}], `
	for service, want := range map[string]string{ // empty is good
		dav + "profile: cyrus, algorithm: RS256, unexpiring_tokens: accepted":                                                                          "",
		imap + "profile: cyrus, algorithm: RS256, unexpiring_tokens: accepted":                                                                         "",
		dav + "profile: cyrus, algorithm: RS256":                                                                                                       "say unexpiring_tokens: accepted",
		dav + "profile: cyrus, unexpiring_tokens: accepted":                                                                                            "profile cyrus has no tokens signed with ES256",
		dav + "profile: cyrus, algorithm: RS256, unexpiring_tokens: accepted, dpop: accepts":                                                           "a token of profile cyrus names no key",
		dav + "profile: cyrus, algorithm: RS256, unexpiring_tokens: accepted, in_broad: true":                                                          "profile cyrus does not take",
		dav + "unexpiring_tokens: accepted":                                                                                                            "unexpiring_tokens is for profile cyrus alone",
		imap + "unexpiring_tokens: accepted":                                                                                                           "unexpiring_tokens is for profile cyrus alone",
		dav + "profile: cyrus, algorithm: RS256, unexpiring_tokens: acepted":                                                                           `did you mean "accepted"?`,
		dav + "profile: cyrus, algorithm: RS256, unexpiring_tokens: true":                                                                              "unexpiring_tokens must be a string, not true or false",
		"protocol: submission, endpoints: [{host: one.test, port: 465, security: tls}], profile: cyrus, algorithm: RS256, unexpiring_tokens: accepted": "too long for the line in which submission",
	} {
		tenants, err := Parse("f", []byte("tenants: [{name: one, title: One, domains: [one.test], services: [{id: s, "+service+"}]}]"), noEnv, noFile)
		if want == "" {
			if err != nil || !tenants[0].Services[0].UnexpiringTokens || tenants[0].Services[0].InBroad {
				t.Errorf("%s: %+v, %v", service, tenants, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Parse says %v, want %q", service, err, want)
		}
	}
}

// R23 is for later: whoever asks for it now is told so.
func TestOnlyOwnTokens(t *testing.T) {
	t.Parallel()
	expect(t, map[string]refusal{
		"exchange": {service(func(s *Service) { s.Source = "exchange" }), "source exchange: this version hands on no tokens of an identity provider"},
		"refresh":  {service(func(s *Service) { s.Source = "refresh" }), "source refresh: this version hands on no tokens of an identity provider"},
		"unknown":  {service(func(s *Service) { s.Source = "remote" }), `source "remote" is not known`},
	})
}

func TestWarningOfOpaqueTokensThatNobodyReads(t *testing.T) {
	t.Parallel()
	tenants := mustParse(t, shaped)
	tenants[0].ResourceServers[0].Audiences = []string{"mail.one.test", "sieve.one.test"}
	got := Warnings(tenants)
	if len(got) != 1 || !strings.HasPrefix(got[0], "tenant one, service send: its tokens are opaque, and no resource server has its audience send.one.test") {
		t.Errorf("the operator is warned %q", got)
	}
}

// Services with one audience take each other's tokens and passwords.
func TestSharedAudiencesShareConditions(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*Service){
		"condition":     func(s *Service) { s.Condition = "true" },
		"app_passwords": func(s *Service) { s.AppPasswords = true },
	} {
		tenants := mustParse(t, installation)
		mail, send := &tenants[0].Services[0], &tenants[0].Services[1]
		send.Audience = mail.Audience
		change(send)
		if problems := Check(tenants); len(problems) != 1 || !strings.Contains(problems.Error(), "but not "+what) {
			t.Errorf("%s: Check says %v", what, problems)
		}
		change(mail)
		if problems := Check(tenants); problems != nil {
			t.Errorf("%s of both: Check says %v", what, problems)
		}
	}
}

// The scope of app passwords is granted only by its own name, and only where something takes them.
func TestR21ScopeOfAppPasswords(t *testing.T) {
	t.Parallel()
	tenants := mustParse(t, installation)
	without, _ := mustCompile(t, tenants).Realm("example")
	if without.Supported().Has(oidc.ScopeAppPassword) || strings.Contains(string(without.ScopeDocument), oidc.ScopeAppPassword) {
		t.Errorf("no service takes app passwords, and the tenant supports %s, and says %s", without.Supported(), without.ScopeDocument)
	}
	tenants[0].Services[0].AppPasswords = true
	with, _ := mustCompile(t, tenants).Realm("example")
	if !with.Supported().Has(oidc.ScopeAppPassword) || !strings.Contains(string(with.ScopeDocument), `"name":"`+oidc.ScopeAppPassword+`"`) {
		t.Errorf("a service takes app passwords, and the tenant supports %s, and says %s", with.Supported(), with.ScopeDocument)
	}
	if with.Broad.Has(oidc.ScopeAppPassword) {
		t.Errorf("app passwords are in the broad set: %s", with.Broad)
	}
	text := map[string]string{"en": "x"}
	word := func(s scopes.Scope) func([]Tenant) {
		s.Title, s.Text = text, text
		return func(ts []Tenant) { ts[0].Scopes = []scopes.Scope{s} }
	}
	expect(t, map[string]refusal{
		"broad":                {word(scopes.Scope{Name: oidc.ScopeAppPassword, Broad: true}), "opens nothing by itself"},
		"opens something":      {word(scopes.Scope{Name: oidc.ScopeAppPassword, Opens: []string{"imap"}}), "opens nothing by itself"},
		"includes something":   {word(scopes.Scope{Name: oidc.ScopeAppPassword, Includes: []string{scopes.Mail}}), "opens nothing by itself"},
		"included by another":  {word(scopes.Scope{Name: "urn:example:all", Includes: []string{oidc.ScopeAppPassword}}), "no scope covers that of app passwords"},
		"the scope of service": {service(func(s *Service) { s.Scopes = append(slices.Clone(s.Scopes), oidc.ScopeAppPassword) }), "opens no service"},
	})
	word(scopes.Scope{Name: oidc.ScopeAppPassword})(tenants)
	if problems := Check(tenants); problems != nil {
		t.Errorf("with words of the tenant's own: %v", problems)
	}
	// Even if it is in the database as broad, it is not.
	tenants[0].Scopes[0].Broad = true
	tenants[0].Services[0].Scopes = []string{oidc.ScopeAppPassword}
	broad, _ := mustCompile(t, tenants).Realm("example")
	if broad.Broad.Has(oidc.ScopeAppPassword) {
		t.Errorf("declared broad, it is in the broad set: %s", broad.Broad)
	}
}

func TestDiffTokenProfiles(t *testing.T) {
	t.Parallel()
	before, after := mustParse(t, shaped), mustParse(t, shaped)
	one := &after[0]
	one.BroadToken = ""
	one.TokenProfiles = []oidc.Profile{{Name: "groupware", Type: "at+jwt"}, {Name: "new"}}
	const want = "~ tenant one: broad_token opaque -> rfc9068\n" +
		"~ token profile one/groupware: typ JWT -> at+jwt, client_id true -> false, azp true -> false, aud array -> string, iat true -> false, " +
		"nbf true -> false, backdate 5s -> 0s, user_claim login -> nothing\n" +
		"+ token profile one/new\n- token profile one/bare"
	if got := lines(Diff(before, after)); got != want {
		t.Errorf("Diff says\n%s\nwant\n%s", got, want)
	}
}
