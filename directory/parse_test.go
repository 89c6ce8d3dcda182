package directory

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseDefaults(t *testing.T) {
	t.Parallel()
	tenants := mustParse(t, `
tenants:
  - name: one
    title: One
    domains: [one.test, {name: Bücher.example}]
    identity_providers: [{name: staff, title: Staff, issuer: "https://login.one.test", client_id: signpost}]
    services:
      - {id: mail, protocol: imap, endpoints: [{host: Imap.One.test, port: 993, security: tls}]}
      - {id: files, protocol: webdav, endpoints: [{url: "https://files.one.test/dav/{subject}/x"}]}
  - name: two
    title: Two
`)
	one, two := tenants[0], tenants[1]
	if one.Placement != PlacementBase || two.Placement != PlacementPath {
		t.Errorf("placements %q and %q; want the first of the file at the base, others by path", one.Placement, two.Placement)
	}
	if len(one.Domains) != 2 || one.Domains[1] != (Domain{Name: "xn--bcher-kva.example", Verification: VerificationOperator}) {
		t.Errorf("domains %+v; want A-labels that the operator vouches for", one.Domains)
	}
	want := IdentityProvider{
		Name: "staff", Title: "Staff", Issuer: "https://login.one.test", ClientID: "signpost", Scopes: []string{"openid", "profile", "email"},
		Domains: []string{"one.test", "xn--bcher-kva.example"}, AddressClaim: "email", AddressTrust: "email_verified", LoginClaim: "preferred_username", NameClaim: "name",
	}
	if got := one.IdentityProviders[0]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("identity provider %+v\nwant %+v", got, want)
	}
	mail := Service{
		ID: "mail", Protocol: "imap", Title: "mail", Endpoints: []Endpoint{{Host: "imap.one.test", Port: 993, Security: "tls"}}, Audience: "imap.one.test",
		Scopes: []string{"urn:ietf:params:oauth:scope:mail"}, Authentication: []string{"oauthbearer", "xoauth2"}, Username: "{address}", Profile: "dovecot",
		Algorithm: "ES256", Lifetime: 15 * time.Minute, Credential: "sso", InBroad: false, DPoP: "none", Order: 1,
	}
	if got := one.Services[0]; fmt.Sprint(got) != fmt.Sprint(mail) {
		t.Errorf("service %+v\nwant %+v", got, mail)
	}
	files := Service{
		ID: "files", Protocol: "webdav", Title: "files", Endpoints: []Endpoint{{URL: "https://files.one.test/dav/{subject}/x"}}, Audience: "https://files.one.test/dav/",
		Scopes: []string{"urn:signpost:scope:files"}, Authentication: []string{"bearer"}, Username: "{address}", Profile: "rfc9068",
		Algorithm: "ES256", Lifetime: 15 * time.Minute, Credential: "sso", InBroad: false, DPoP: "none", Order: 2,
	}
	if got := one.Services[1]; fmt.Sprint(got) != fmt.Sprint(files) {
		t.Errorf("service %+v\nwant %+v", got, files)
	}
}

func TestParseEveryKey(t *testing.T) {
	t.Parallel()
	tenants := mustParse(t, `
tenants:
  - name: one
    issuer: https://id.one.test
    title: One
    domains: [one.test]
    identity_providers:
      - name: staff
        title: Staff
        issuer: https://login.one.test/v2.0/
        client_id: signpost
        client_secret: s3cret
        scopes: [openid, groups]
        domains: [one.test]
        address_claim: mail
        address_trust: directory
        login_claim: uid
        name_claim: cn
    services:
      - id: api
        protocol: https
        title: The API
        endpoints: [{url: "http://127.0.0.1:8080/api/"}]
        audience: http://127.0.0.1:8080/api/
        scopes: [urn:example:api]
        authentication: [bearer]
        username: "{subject}"
        profile: rfc9068
        algorithm: RS256
        lifetime: 5m
        credential: api
        in_broad: true
        dpop: requires
        order: 7
        insecure: true
      - {id: first, protocol: imap, order: 1, endpoints: [{host: imap.one.test, port: 143, security: starttls}]}
    scopes:
      - name: urn:example:api
        opens: [https]
        includes: [email]
        broad: true
        title: {en: API, pt-BR: API}
        text:
          en: >-
            use the
            API
`)
	got := tenants[0]
	if got.Services[0].ID != "first" {
		t.Errorf("services %v; want them by order", got.Services)
	}
	want := Service{
		ID: "api", Protocol: "https", Title: "The API", Endpoints: []Endpoint{{URL: "http://127.0.0.1:8080/api/"}}, Audience: "http://127.0.0.1:8080/api/",
		Scopes: []string{"urn:example:api"}, Authentication: []string{"bearer"}, Username: "{subject}", Profile: "rfc9068",
		Algorithm: "RS256", Lifetime: 5 * time.Minute, Credential: "api", InBroad: true, DPoP: "requires", Order: 7, Insecure: true,
	}
	if s := got.Services[1]; fmt.Sprint(s) != fmt.Sprint(want) {
		t.Errorf("service %+v\nwant %+v", s, want)
	}
	p := got.IdentityProviders[0]
	if p.ClientSecret != "s3cret" || p.Issuer != "https://login.one.test/v2.0/" || p.AddressTrust != TrustDirectory ||
		p.AddressClaim+p.LoginClaim+p.NameClaim != "mailuidcn" || strings.Join(p.Scopes, " ") != "openid groups" {
		t.Errorf("identity provider %+v", p)
	}
	if s := got.Scopes[0]; s.Text["en"] != "use the API" || s.Title["pt-BR"] != "API" || !s.Broad || s.Includes[0] != "email" || s.Opens[0] != "https" {
		t.Errorf("scope %+v", s)
	}
}

// In broad by default is only what oauth-public speaks of, at hosts of the tenant.
func TestR5InBroadByDefault(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		service string
		want    bool
	}{
		"mail at the domain":           {`{id: s, protocol: imap, profile: rfc9068, endpoints: [{host: one.test, port: 993, security: tls}]}`, true},
		"mail below the domain":        {`{id: s, protocol: imap, profile: rfc9068, endpoints: [{host: a.b.one.test, port: 993, security: tls}]}`, true},
		"calendars":                    {`{id: s, protocol: caldav, endpoints: [{url: "https://dav.one.test/"}]}`, true},
		"contacts":                     {`{id: s, protocol: carddav, endpoints: [{url: "https://dav.one.test/{login}"}]}`, true},
		"mail that wants its own form": {`{id: s, protocol: imap, endpoints: [{host: one.test, port: 993, security: tls}]}`, false},
		"mail elsewhere":               {`{id: s, protocol: imap, profile: rfc9068, endpoints: [{host: imap.hoster.test, port: 993, security: tls}]}`, false},
		"a name that only ends alike":  {`{id: s, protocol: imap, profile: rfc9068, endpoints: [{host: evilone.test, port: 993, security: tls}]}`, false},
		"one endpoint elsewhere":       {`{id: s, protocol: imap, profile: rfc9068, endpoints: [{host: one.test, port: 993, security: tls}, {host: two.test, port: 993, security: tls}]}`, false},
		"files":                        {`{id: s, protocol: webdav, endpoints: [{url: "https://files.one.test/"}]}`, false},
		"sieve":                        {`{id: s, protocol: managesieve, endpoints: [{host: one.test, port: 4190, security: starttls}]}`, false},
		"chat":                         {`{id: s, protocol: xmpp, endpoints: [{host: one.test, port: 5223, security: tls}]}`, false},
		"mail and files":               {`{id: s, protocol: jmap, scopes: ["urn:ietf:params:oauth:scope:mail", "urn:signpost:scope:files"], endpoints: [{url: "https://one.test/"}]}`, false},
		"said so":                      {`{id: s, protocol: webdav, in_broad: true, endpoints: [{url: "https://files.hoster.test/"}]}`, true},
		"said not":                     {`{id: s, protocol: imap, profile: rfc9068, in_broad: false, endpoints: [{host: one.test, port: 993, security: tls}]}`, false},
	} {
		tenants := mustParse(t, "tenants: [{name: one, title: One, domains: [one.test], services: ["+c.service+"]}]")
		if got := tenants[0].Services[0].InBroad; got != c.want {
			t.Errorf("%s: in broad %v, want %v", what, got, c.want)
		}
	}
}

// Everything that is wrong is said at once, where it is wrong.
func TestParseSaysEverythingAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Parse("tenants.yaml", []byte(`tenants:
  - name: Example
    domian: example.test
    domains: [example..test]
    services:
      - id: mail
        protocol: imapp
      - id: send
        protocol: submission
        lifetime: 2h
        endpoints:
          - {host: smtp.example.test, port: "465", security: tls}
`), noEnv, noFile)
	problems, ok := errors.AsType[Problems](err)
	if !ok {
		t.Fatalf("Parse: %v, want Problems", err)
	}
	want := `tenants.yaml:2:5: tenant Example: title is missing
tenants.yaml:2:11: tenant Example: name "Example" is not a name
  hint: 1 to 32 lower-case letters, digits and hyphens
tenants.yaml:3:5: a tenant has no key "domian"
  hint: did you mean "domains"?
tenants.yaml:4:15: tenant Example, domain example..test: not a domain name
tenants.yaml:7:19: tenant Example, service mail: protocol "imapp" is not known
  hint: did you mean "imap"?
tenants.yaml:10:19: tenant Example, service send: lifetime 2h0m0s is not between 1m0s and 1h0m0s
  hint: 15m suits most
tenants.yaml:12:45: port must be a whole number, not text`
	if got := problems.Error(); got != want {
		t.Errorf("Parse says\n%s\nwant\n%s", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	bad := func(src, because string) {
		t.Helper()
		tenants, err := Parse("f", []byte(src), noEnv, noFile)
		if problems, ok := errors.AsType[Problems](err); !ok || tenants != nil || !strings.Contains(problems.Error(), because) {
			t.Errorf("Parse(%s) = %v, %v\nwant Problems with %q", src, tenants, err, because)
		}
	}

	bad("", "f:1:1: the file is empty")
	bad("# nothing\n", "the file is empty")
	bad("tenants:\n- name: [", "f:2:")
	bad("a: 'b", "f:1:4: ")
	bad("just text", "f:1:1: the file must have keys and values, not text")
	bad("other: []", `f:1:1: the file has no key "other"`)
	bad("{}", "the file declares no tenants")
	bad("tenants: one", "f:1:10: tenants must be a list, not text")
	bad("tenants: [one]", "f:1:11: a tenant must have keys and values, not text")
	bad("tenants: []\n---\ntenants: []", "f:3:1: a second document")
	bad("tenants: []\ntenants: []", `f:2:1: the file has the key "tenants" twice`)
	bad("tenants: [{name: one, name: two, title: One}]", `f:1:23: a tenant has the key "name" twice`)
	bad("tenants: [{1: one}]", "a key of a tenant must be a word")
	bad("tenants: [{name: 1, title: One}]", "f:1:18: name must be a string, not a number\n  hint: put it in quotes")
	bad("tenants: [{name: one, title: true}]", "title must be a string, not true or false")
	bad("tenants: [{name: one, title: {en: One}}]", "title must be a string, not keys and values")
	bad("tenants: [{name: one, title: &a One, help: *a}]", "not an anchor, alias or tag, which are not read here")
	bad("tenants: [{name: one, title: !!str 1}]", "not an anchor, alias or tag")
	bad("x: &x {name: one}\ntenants: [{<<: *x, title: One}]", "a key of a tenant must be a word")
	bad("tenants: [{name: one, title: One, domains: one.test}]", "domains must be a list, not text")
	bad("tenants: [{name: one, title: One, domains: [1]}]", "a domain must have keys and values, not a number")
	bad("tenants: [{name: one, title: One, domains: [{}]}]", "domain without a name: name is missing")
	bad("tenants: [{name: one, title: One, domains: [{nam: one.test}]}]", `did you mean "name"?`)

	service := func(rest string) string {
		return "tenants: [{name: one, title: One, domains: [one.test], services: [{id: s, " + rest + "}]}]"
	}
	imap := "protocol: imap, endpoints: [{host: imap.one.test, port: 993, security: tls}], "
	bad(service(imap+"lifetime: 15"), "lifetime must be a span of time, not a number")
	bad(service(imap+"lifetime: 0s"), "lifetime must be a span of time")
	bad(service(imap+"lifetime: soon"), "lifetime must be a span of time")
	bad(service(imap+"order: 1.5"), "order must be a whole number, not a number")
	bad(service(imap+"insecure: yes please"), "insecure must be true or false, not text")
	bad(service(imap+"scopes: mail"), "scopes must be a list, not text")
	bad(service(imap+"scopes: [1]"), "scopes must be a list of strings, not a number")
	bad(service("protocol: imap, endpoints: [{host: imap.one.test, prot: 993}]"), `did you mean "port"?`)
	bad(service("protocol: imap, endpoints: [imap.one.test]"), "an endpoint must have keys and values, not text")
	bad("tenants: [{name: one, title: One, scopes: [{name: a, title: A, text: {en: do a}}]}]", "title must have keys and values, not text")
	bad("tenants: [{name: one, title: One, scopes: [{name: a, title: {en: 1}, text: {en: do a}}]}]", "en must be a string, not a number")
}

// What could not be read is complained of once.
func TestParseDoesNotRepeatItself(t *testing.T) {
	t.Parallel()
	for _, src := range []string{
		"tenants: [{name: 1, title: One}]",
		"tenants: [{name: one, title: [One]}]",
		"tenants: [{name: one, title: One, services: [{id: s, protocol: imap, endpoints: [imap.one.test]}]}]",
		"tenants: [{name: one, title: One, services: [{id: s, protocol: imap, endpoints: [{host: h.test, port: x, security: tls}]}]}]",
		"tenants: [{name: one, title: One, scopes: [{name: a, title: {en: 1}, text: {en: do a}}]}]",
	} {
		_, err := Parse("f", []byte(src), noEnv, noFile)
		if problems, _ := errors.AsType[Problems](err); len(problems) != 1 {
			t.Errorf("Parse(%s): %d problems, want one:\n%v", src, len(problems), err)
		}
	}
}

func TestParseClientSecret(t *testing.T) {
	t.Parallel()
	env := func(name string) (string, bool) {
		return map[string]string{"SECRET": "from the environment"}[name], name == "SECRET" || name == "EMPTY"
	}
	readFile := func(name string) ([]byte, error) {
		switch name {
		case "secret.txt":
			return []byte("from a file\r\n"), nil
		case "empty.txt":
			return []byte("\n"), nil
		}
		return nil, os.ErrNotExist
	}
	parse := func(keys string) ([]Tenant, error) {
		return Parse("f", []byte("tenants: [{name: one, title: One, identity_providers: [{name: p, title: P, issuer: \"https://p.test\", client_id: c, "+keys+"}]}]"), env, readFile)
	}
	for keys, want := range map[string]Secret{
		"client_secret: itself":          "itself",
		"client_secret_env: SECRET":      "from the environment",
		"client_secret_file: secret.txt": "from a file",
		"client_secret: ":                "",
	} {
		tenants, err := parse(keys)
		if err != nil || tenants[0].IdentityProviders[0].ClientSecret != want {
			t.Errorf("%s: %v, want %q", keys, err, string(want))
		}
	}
	for keys, because := range map[string]string{
		"client_secret_env: NONE":                       "the variable NONE is not set",
		"client_secret_env: EMPTY":                      "the variable EMPTY is not set",
		"client_secret_file: none.txt":                  "file does not exist",
		"client_secret_file: empty.txt":                 "empty.txt is empty",
		"client_secret: hunter2, client_secret_env: X":  "client_secret and client_secret_env say the same",
		"client_secret: 20260101":                       "client_secret must be a string, not a number",
		"client_secret: hunter2, address_claim: [mail]": "address_claim must be a string",
		"client_secret: \"hunter2":                      "f:1:",
	} {
		_, err := parse(keys)
		if err == nil || !strings.Contains(err.Error(), because) {
			t.Errorf("%s: %v, want %q in it", keys, err, because)
			continue
		}
		for _, secret := range []string{"hunter2", "20260101", "from a file"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the problem shows the secret: %v", keys, err)
			}
		}
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	known := []string{"name", "title", "domains"}
	for word, want := range map[string]string{
		"nmae": `did you mean "name"?`, "domain": `did you mean "domains"?`, "Title": `did you mean "title"?`,
		"something": "known are name, title, domains", "": "known are name, title, domains",
	} {
		if got := suggest(word, known); got != want {
			t.Errorf("suggest(%q) = %q, want %q", word, got, want)
		}
	}
}

// FuzzParse holds Parse to its word: what it accepts passes Check and Compile,
// and declaring it again changes nothing.
func FuzzParse(f *testing.F) {
	f.Add(installation)
	f.Add(guarded)
	f.Add(shaped)
	f.Add(programs[:strings.Index(programs, "        - {id: signer")])
	for _, seed := range []string{
		"", "tenants:", "tenants: [{name: one, title: One}]", "tenants:\n- name: a\n  title: A\n  issuer: https://id.a.test\n  domains: [a.test]\n",
		"tenants: [{name: a, title: &x A}]", "tenants: [{name: a, title: |\n A}]", "tenants: [{name: a, title: A, scopes: [{name: s, includes: [s], title: {en: S}, text: {en: s}}]}]",
		"tenants: [{name: a, title: A, services: [{id: s, protocol: caldav, endpoints: [{url: \"https://a.test/{login}/\"}]}]}]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		tenants, err := Parse("f", []byte(src), noEnv, noFile)
		if err != nil {
			problems, ok := errors.AsType[Problems](err)
			if !ok || len(problems) == 0 || tenants != nil {
				t.Fatalf("Parse(%q) = %v, %v; want Problems alone", src, tenants, err)
			}
			if slices.ContainsFunc(problems, func(p Problem) bool { return p.File != "f" || p.Message == "" }) {
				t.Errorf("Parse(%q): a problem without file or message: %v", src, problems)
			}
			return
		}
		if problems := Check(tenants); len(problems) > 0 {
			t.Errorf("Parse(%q) accepts what Check refuses: %v", src, problems)
		}
		if _, err := Compile("https://a.host.that.nobody.guesses.test:4711", tenants, 1); err != nil {
			t.Errorf("Parse(%q) accepts what Compile refuses: %v", src, err)
		}
		if changes := Diff(tenants, tenants); len(changes) > 0 {
			t.Errorf("Parse(%q): a difference to itself: %v", src, changes)
		}
	})
}

// The broad token has one form; a server that wants another cannot be promised it.
func TestR9BroadTokenIsNotPromisedToDovecot(t *testing.T) {
	t.Parallel()
	_, err := Parse("t.yaml", []byte(`tenants: [{name: one, title: One, domains: [one.test], services: [{id: s, protocol: imap, in_broad: true, endpoints: [{host: one.test, port: 993, security: tls}]}]}]`), noEnv, noFile)
	if err == nil || !strings.Contains(err.Error(), "profile dovecot does not take") {
		t.Errorf("Parse says %v, want a refusal", err)
	}
}

// A submission server reads about 1,000 bytes after AUTH.
func TestR9ShortLines(t *testing.T) {
	t.Parallel()
	const head = "tenants: [{name: one, title: One, domains: [one.test], services: [{id: s, endpoints: [{host: one.test, port: 465, security: tls}], "
	for fields, want := range map[string]string{
		"protocol: submission, algorithm: RS256":                  "RS256 is too long",
		"protocol: managesieve, algorithm: RS256":                 "RS256 is too long",
		"protocol: submission, profile: rfc9068, in_broad: true":  "the broad token is too long",
		"protocol: managesieve, profile: rfc9068, in_broad: true": "the broad token is too long",
	} {
		_, err := Parse("t.yaml", []byte(head+fields+"}]}]"), noEnv, noFile)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Parse says %v, want %q", fields, err, want)
		}
	}
	tenants := mustParse(t, head+"protocol: submission, profile: rfc9068}]}]")
	if tenants[0].Services[0].InBroad {
		t.Error("submission is in broad by default; the broad token does not fit its line")
	}
}
