package directory

import (
	"strings"
	"testing"

	"signpost/oidc"
)

func TestCheckClientID(t *testing.T) {
	t.Parallel()
	with := func(ids ...string) Problems {
		tenants := mustParse(t, installation)
		for _, id := range ids {
			tenants[0].FixedClients = append(tenants[0].FixedClients, FixedClient{ID: id, Name: "A program", Authentication: oidc.AuthNone})
		}
		return Check(tenants)
	}
	for _, id := range []string{"webmail", "web", "a", strings.Repeat("a", 100), "thunderbird", "com.example.app", "Open", "app.example.test"} {
		if problems := with(id); problems != nil {
			t.Errorf("client id %q: %v", id, problems)
		}
	}
	for id, because := range map[string]string{
		"":                            "id is missing",
		"open":                        "is that of every program that has no other",
		"account-page":                "stands for the page where people manage their account",
		"https://app.example/client":  "an id that is a URL",
		"HTTPS://app.example/client":  "an id that is a URL",
		"http://127.0.0.1/":           "an id that is a URL",
		"a b":                         "cannot be a client id",
		"a\n":                         "cannot be a client id",
		"a\x00":                       "cannot be a client id",
		"bücher":                      "cannot be a client id",
		strings.Repeat("a", 101):      "cannot be a client id",
		"imap.example.test":           "the id is the audience of a service", // its own tenant's
		"imap.other.test":             "the id is the audience of a service", // another tenant's (R7)
		"https://cloud.example.net/x": "an id that is a URL",
	} {
		if problems := with(id); len(problems) != 1 || !strings.Contains(problems[0].Message, because) {
			t.Errorf("client id %q: Check says\n%v\nwant one problem with %q", id, problems, because)
		}
	}
	if problems := with("a", "b", "a"); len(problems) != 1 || !strings.Contains(problems[0].Message, "client a: the name comes twice") {
		t.Errorf("an id twice: %v", problems)
	}
}

// Clients, resource servers and audiences never have one name.
func TestR7CallersAndAudiencesAreDisjoint(t *testing.T) {
	t.Parallel()
	server := func(name string) func([]Tenant) {
		return func(ts []Tenant) {
			ts[0].FixedClients = []FixedClient{{ID: "webmail", Name: "Webmail", Authentication: oidc.AuthNone}}
			ts[0].ResourceServers = []ResourceServer{{Name: name, Audiences: []string{"imap.example.test"}, Authentication: oidc.AuthPrivateKeyJWT, JWKS: publicKeys}}
		}
	}
	expect(t, map[string]refusal{
		"a server named like a client":          {server("webmail"), "resource server webmail: the name is the id of a client"},
		"a server named like the open client":   {server("open"), "the name is the id of a client"},
		"a server named like a built-in client": {server("thunderbird"), "the name is the id of a client"},
		"an audience like a built-in client":    {service(func(s *Service) { s.Audience = "thunderbird" }), `audience "thunderbird" is a client id`},
		"a server named like an audience": {func(ts []Tenant) {
			ts[1].Services[0].Audience = "localhost"
			server("localhost")(ts)
		}, "resource server localhost: the name is the audience of a service"},
		"a server twice": {func(ts []Tenant) {
			server("dovecot")(ts)
			ts[0].ResourceServers = append(ts[0].ResourceServers, ts[0].ResourceServers[0])
		}, "resource server dovecot: the name comes twice"},
		"a foreign audience": {func(ts []Tenant) {
			server("dovecot")(ts)
			ts[0].ResourceServers[0].Audiences = []string{"imap.other.test"}
		}, `audience "imap.other.test" is not one of the tenant's services`},
		"an audience twice": {func(ts []Tenant) {
			server("dovecot")(ts)
			ts[0].ResourceServers[0].Audiences = []string{"imap.example.test", "imap.example.test"}
		}, `audience "imap.example.test" comes twice`},
		"a server without a name": {server(""), "resource server without a name: name is missing"},
		"a server with a dot":     {server("mail.example"), `name "mail.example" is not a name`},
	})
	tenants := mustParse(t, installation)
	server("dovecot")(tenants)
	if problems := Check(tenants); problems != nil {
		t.Errorf("a resource server: %v", problems)
	}
}

// Where a person may be sent back to (RFC 8252, section 7 and section 8.4).
func TestCheckClientURI(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{
		"https://app.example.test", "https://app.example.test/", "https://app.example.test:8443/cb?from=one&x=%2F", "https://[2001:db8::1]/cb",
		"http://127.0.0.1", "http://127.0.0.1/", "http://127.0.0.1:8400/cb", "http://[::1]", "http://[::1]:8400/cb",
		"com.example.app:/cb", "com.example.app:cb", "com.example.app://cb/x", "com.example-b.app2:/", "de.xn--bcher-kva:/cb?x=y",
	} {
		if err := checkClientURI(uri); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
	for uri, because := range map[string]string{
		"":                                    "not a URI",
		"app.example.test/cb":                 "not a URI",
		"//app.example.test/cb":               "not a URI",
		"HTTPS://app.example.test/":           "scheme in lower case",
		"https:app.example.test":              "not an https URL",
		"https:///cb":                         "not an https URL",
		"https://App.example.test/":           "has to be written app.example.test",
		"https://app.example.test:443/":       "leave it out",
		"https://app.example.test:/":          "without a port",
		"https://app.example.test/#":          "fragments",
		"https://app.example.test/#x":         "fragments",
		"https://*.example.test/":             "wildcards",
		"https://app.example.test/*":          "wildcards",
		"https://app.example.test\\@b.test/":  "must not have",
		"https://app.example.test/ü":          "must not have",
		"https://app.example.test/a b":        "must not have",
		"https://app.example.test/\n":         "must not have",
		"https://user@app.example.test/":      "user information",
		"https://app.example.test/a/../b":     "dot segments",
		"https://app.example.test/a/%2e%2e/b": "must not escape",
		"https://app.example.test/a%2Fb":      "must not escape",
		"https://app.example.test/%zz":        "not a URI",
		"https://" + strings.Repeat("a", 512): "longer than",
		"http://app.example.test/":            "use https",
		"http://localhost":                    "http://localhost is for built-in programs only",
		"http://localhost:8400/cb":            "http://localhost is for built-in programs only",
		"http://127.0.0.2/":                   "use https",
		"http://127.0.0.1.example.test/":      "use https",
		"http://127.1/":                       "use https",
		"http://[::ffff:127.0.0.1]/":          "use https",
		"http://user@127.0.0.1/":              "user information",
		"http://127.0.0.1:0/":                 "port",
		"http://127.0.0.1:80/":                "leave it out",
		"oc://android.example":                "with a dot",
		"myapp:/cb":                           "with a dot",
		"javascript:alert(1)":                 "with a dot",
		"data:text/html,x":                    "with a dot",
		"com.example.:/cb":                    "with a dot",
		"com..example:/cb":                    "with a dot",
		".com.example:/cb":                    "scheme in lower case",
		"Com.Example.App:/cb":                 "scheme in lower case",
		"com.example.app:/a/../b":             "dot segments",
		"com.example.app://user@cb":           "user information",
		"com.example.app:/cb#x":               "fragments",
	} {
		if err := checkClientURI(uri); err == nil || !strings.Contains(err.Error(), because) {
			t.Errorf("%q: %v, want %q", uri, err, because)
		}
	}
}

func TestCheckClientURITwice(t *testing.T) {
	t.Parallel()
	expect(t, map[string]refusal{"a redirect URI twice": {func(ts []Tenant) {
		ts[1].FixedClients = []FixedClient{{ID: "a", Name: "A", Authentication: oidc.AuthNone, RedirectURIs: []string{"http://127.0.0.1/", "http://127.0.0.1", "http://127.0.0.1/"}}}
	}, "redirect URI 3 comes twice"}})
}

// http://localhost is for built-in clients alone: the resolver says what it means.
func TestR13LocalhostIsNotDeclared(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"redirect_uris", "post_logout_redirect_uris"} {
		src := "tenants: [{name: one, title: One, clients: {fixed: [{id: thunderbird, name: T, " + key + ": [\"http://localhost/\"]}]}}]"
		if _, err := Parse("f", []byte(src), noEnv, noFile); err == nil || !strings.Contains(err.Error(), "http://localhost is for built-in programs only") {
			t.Errorf("%s: %v, want a refusal", key, err)
		}
	}
}

func TestCheckJWKS(t *testing.T) {
	t.Parallel()
	for _, jwks := range []string{
		publicKeys,
		`{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB","alg":"RS256","kid":"1"},{"kty":"OKP","crv":"Ed25519","x":"eA"}]}`,
		"{\n \"keys\": [{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"eA\",\"y\":\"eQ\",\"use\":\"sig\"}]\n}",
	} {
		if err := checkJWKS(jwks); err != nil {
			t.Errorf("%s: %v", jwks, err)
		}
	}
	for jwks, because := range map[string]string{
		"keys":                  "not a JSON object",
		"null":                  "it has no keys",
		"[]":                    "not a JSON object",
		publicKeys + "x":        "not a JSON object",
		"{}":                    "it has no keys",
		`{"keys":[]}`:           "it has no keys",
		`{"keys":null}`:         "it has no keys",
		`{"keys":{}}`:           "it has no keys",
		`{"keys":[1]}`:          "it has no keys",
		`{"Keys":[{}]}`:         "it has no keys",
		`{"keys":[{}]}`:         `key 1: its "kty"`,
		`{"keys":[null]}`:       `key 1: its "kty"`,
		`{"keys":[{"kty":1}]}`:  `key 1: its "kty"`,
		`{"keys":[{"kty":""}]}`: `key 1: its "kty"`,
		`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`:                                                "it is not public",
		`{"keys":[{"kty":"oct"}]}`:                                                               `its "kty" is none of EC, OKP, RSA`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"eA","y":"eQ","d":"ZA"}]}`:                       "it is not public",
		`{"keys":[{"kty":"EC","crv":"P-256","x":"eA","y":"eQ","d":null}]}`:                       "it is not public",
		`{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB","qi":"AQ"}]}`:                                 "it is not public",
		`{"keys":[{"kty":"RSA","n":"AQ"}]}`:                                                      `it has no "e"`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"eA"}]}`:                                         `it has no "y"`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":""}]}`:                                        `it has no "x"`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"eA"},{"kty":"OKP","crv":1,"x":"eA"}]}`:       `key 2: it has no "crv"`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"eA"}],"keys":[{"kty":"oct","k":"cHdkMTI"}]}`: "it is not public",
	} {
		err := checkJWKS(jwks)
		if err == nil || !strings.Contains(err.Error(), because) {
			t.Errorf("%s: %v, want %q", jwks, err, because)
		} else if strings.Contains(err.Error(), "c2VjcmV0") || strings.Contains(err.Error(), "cHdkMTI") {
			t.Errorf("%s: the problem shows the key: %v", jwks, err)
		}
	}
}

// What a client proves itself with fits the way in which it does.
func TestCheckCredentials(t *testing.T) {
	t.Parallel()
	hash := make([]byte, 32)
	with := func(c FixedClient) func([]Tenant) {
		c.ID, c.Name = "a", "A"
		return func(ts []Tenant) { ts[1].FixedClients = []FixedClient{c} }
	}
	expect(t, map[string]refusal{
		"nothing said":           {with(FixedClient{}), "authentication is missing"},
		"public with a secret":   {with(FixedClient{Authentication: "none", SecretHash: hash}), "none has neither secret nor jwks"},
		"public with keys":       {with(FixedClient{Authentication: "none", JWKS: publicKeys}), "none has neither secret nor jwks"},
		"basic without a secret": {with(FixedClient{Authentication: "client_secret_basic"}), "needs a secret"},
		"post without a secret":  {with(FixedClient{Authentication: "client_secret_post"}), "needs a secret"},
		"post with keys":         {with(FixedClient{Authentication: "client_secret_post", SecretHash: hash, JWKS: publicKeys}), "client_secret_post has no jwks"},
		"keys without keys":      {with(FixedClient{Authentication: "private_key_jwt"}), "needs jwks"},
		"keys with a secret":     {with(FixedClient{Authentication: "private_key_jwt", SecretHash: hash, JWKS: publicKeys}), "private_key_jwt has no secret"},
		"private keys":           {with(FixedClient{Authentication: "private_key_jwt", JWKS: `{"keys":[{"kty":"OKP","d":"x"}]}`}), "jwks: key 1: it is not public"},
	})
	for _, good := range []FixedClient{
		{Authentication: "none"}, {Authentication: "client_secret_basic", SecretHash: hash},
		{Authentication: "client_secret_post", SecretHash: hash}, {Authentication: "private_key_jwt", JWKS: publicKeys},
	} {
		tenants := mustParse(t, installation)
		with(good)(tenants)
		if problems := Check(tenants); problems != nil {
			t.Errorf("%s: %v", good.Authentication, problems)
		}
	}
}

// A SASL exchange has no place for a proof of possession.
func TestR11OnlyHTTPServicesTakeDPoP(t *testing.T) {
	t.Parallel()
	expect(t, map[string]refusal{
		"imap accepts":  {service(func(s *Service) { s.DPoP = DPoPAccepts }), "imap has no way to present a proof of possession"},
		"imap requires": {service(func(s *Service) { s.DPoP = DPoPRequires }), "imap has no way"},
		"an unknown":    {calendars(func(s *Service) { s.DPoP = "always" }), `dpop "always" is not known`},
		"one of two that share an audience": {func(ts []Tenant) {
			cal, files := &ts[0].Services[2], &ts[0].Services[3]
			*files = *cal
			files.ID, files.DPoP = "files", DPoPRequires
		}, "but not dpop"},
	})
	for _, dpop := range []string{"", DPoPNone, DPoPAccepts, DPoPRequires} {
		tenants := mustParse(t, installation)
		tenants[0].Services[2].DPoP = dpop
		if problems := Check(tenants); problems != nil {
			t.Errorf("dpop %q: %v", dpop, problems)
		}
	}
}
