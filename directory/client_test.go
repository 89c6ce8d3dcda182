package directory

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"signpost/oidc"
)

// longSecret is as a secret should be: long, and made by a machine.
const longSecret = "b3BlbnNzbCByYW5kIC1iYXNlNjQgMzIgbWFkZSBpdA=="

const publicKeys = `{"keys":[{"kty":"EC","crv":"P-256","x":"eA","y":"eQ"}]}`

// programs is a declaration with every key that concerns programs and resource servers.
const programs = `
tenants:
  - name: one
    title: One
    services:
      - {id: mail, protocol: imap, endpoints: [{host: imap.one.test, port: 993, security: tls}]}
      - {id: files, protocol: webdav, dpop: accepts, endpoints: [{url: "https://files.one.test/dav/"}]}
    clients:
      registration: false
      url_ids: false
      open: false
      built_in: {thunderbird: false, OpenCloudDesktop: true, OpenCloudIOS: false}
      device: off
      allow:
        - software_id: 4NRB1-0XZABZI9E6-5SM3R
        - host: app.example.net
      deny:
        - id: https://app.example.net/client.json
        - id_hash: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
        - redirect: com.example.evil
        - redirect: https://evil.example/cb
      fixed:
        - id: webmail
          name: Webmail
          redirect_uris: ["https://webmail.one.test/callback?from=one", "https://webmail.one.test/"]
          post_logout_redirect_uris: [https://webmail.one.test/bye]
          secret: ` + longSecret + `
          id_token_algorithm: ES256
          dpop_bound_access_tokens: true
        - id: com.example.desktop
          name: Desktop
          redirect_uris: ["http://127.0.0.1", "http://[::1]:8400/cb", "com.example.desktop:/cb", "com.example.desktop://cb"]
        - {id: signer, name: Signer, jwks_file: keys.json}
        - {id: poster, name: Poster, authentication: client_secret_post, secret_env: SECRET}
    resource_servers:
      - {name: dovecot, audiences: [imap.one.test], secret_file: secret.txt}
      - {name: cloud, audiences: ["https://files.one.test/dav/"], jwks: '` + publicKeys + `'}
`

// secretSources are where the secrets of programs stand that are not in the file itself.
func secretSources() (env func(string) (string, bool), readFile func(string) ([]byte, error)) {
	env = func(name string) (string, bool) {
		value, found := map[string]string{"SECRET": longSecret, "SHORT": "hunter2", "EMPTY": ""}[name]
		return value, found
	}
	readFile = func(name string) ([]byte, error) {
		content, found := map[string]string{"secret.txt": longSecret + "\n", "short.txt": "hunter2\n", "keys.json": publicKeys + "\n", "empty.txt": "\n"}[name]
		if !found {
			return nil, os.ErrNotExist
		}
		return []byte(content), nil
	}
	return env, readFile
}

func parsePrograms(t *testing.T, src string) []Tenant {
	t.Helper()
	env, readFile := secretSources()
	tenants, err := Parse("f", []byte(src), env, readFile)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return tenants
}

func TestParsePrograms(t *testing.T) {
	t.Parallel()
	got := parsePrograms(t, programs)[0]
	hash := sha256.Sum256([]byte(longSecret))
	policy := ClientPolicy{
		RegistrationOff: true, URLsOff: true, OpenOff: true, BuiltInOff: []string{"thunderbird", "OpenCloudIOS"}, Device: DeviceOff,
		Allow: []ClientMatch{{SoftwareID: "4NRB1-0XZABZI9E6-5SM3R"}, {Host: "app.example.net"}},
		Deny: []ClientMatch{
			{ID: "https://app.example.net/client.json"}, {IDHash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
			{Redirect: "com.example.evil"}, {Redirect: "https://evil.example/cb"},
		},
	}
	clients := []FixedClient{
		{
			ID: "webmail", Name: "Webmail", RedirectURIs: []string{"https://webmail.one.test/callback?from=one", "https://webmail.one.test/"},
			PostLogoutRedirectURIs: []string{"https://webmail.one.test/bye"}, Authentication: oidc.AuthSecretBasic, SecretHash: hash[:],
			IDTokenAlgorithm: "ES256", DPoPBound: true,
		},
		{
			ID: "com.example.desktop", Name: "Desktop", Authentication: oidc.AuthNone,
			RedirectURIs: []string{"http://127.0.0.1", "http://[::1]:8400/cb", "com.example.desktop:/cb", "com.example.desktop://cb"},
		},
		{ID: "signer", Name: "Signer", Authentication: oidc.AuthPrivateKeyJWT, JWKS: publicKeys},
		{ID: "poster", Name: "Poster", Authentication: oidc.AuthSecretPost, SecretHash: hash[:]},
	}
	servers := []ResourceServer{
		{Name: "dovecot", Audiences: []string{"imap.one.test"}, Authentication: oidc.AuthSecretBasic, SecretHash: hash[:]},
		{Name: "cloud", Audiences: []string{"https://files.one.test/dav/"}, Authentication: oidc.AuthPrivateKeyJWT, JWKS: publicKeys},
	}
	for what, c := range map[string]struct{ got, want any }{
		"policy": {got.Clients, policy}, "clients": {got.FixedClients, clients}, "resource servers": {got.ResourceServers, servers},
		"dpop": {got.Services[0].DPoP + " " + got.Services[1].DPoP, "none accepts"},
	} {
		if fmt.Sprintf("%+v", c.got) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("%s: %+v\nwant %+v", what, c.got, c.want)
		}
	}
}

// A tenant that says nothing of programs lets in everybody who can be told apart.
func TestParseSaysNothingOfPrograms(t *testing.T) {
	t.Parallel()
	for _, src := range []string{
		"tenants: [{name: one, title: One}]",
		"tenants: [{name: one, title: One, clients: }]",
		"tenants: [{name: one, title: One, clients: {}, resource_servers: []}]",
		"tenants: [{name: one, title: One, clients: {registration: true, url_ids: true, open: true, built_in: {thunderbird: true}, device: fixed-clients}}]",
	} {
		tenant := parsePrograms(t, src)[0]
		if changes := Diff([]Tenant{{Name: "one", Title: "One", Placement: PlacementBase}}, []Tenant{tenant}); changes != nil {
			t.Errorf("Parse(%s) differs from the zero policy: %v", src, changes)
		}
	}
}

// Every fault is said once, where it is.
func TestParseRefusesPrograms(t *testing.T) {
	t.Parallel()
	env, readFile := secretSources()
	const head = "tenants: [{name: one, title: One, services: [{id: mail, protocol: imap, endpoints: [{host: imap.one.test, port: 993, security: tls}]}],\n"
	for src, want := range map[string]string{
		"clients: off":                                                                                "f:2:10: clients must have keys and values, not text",
		"clients: {registrations: true}":                                                              "f:2:11: clients has no key \"registrations\"\n  hint: did you mean \"registration\"?",
		"clients: {registration: off}":                                                                "f:2:25: registration must be true or false, not text",
		"clients: {device: yes}":                                                                      `f:2:19: tenant one, clients: device "yes" is not known`,
		"clients: {device: true}":                                                                     "f:2:19: device must be a string, not true or false\n  hint: put it in quotes",
		"clients: {built_in: [web]}":                                                                  "f:2:21: built_in must have keys and values, not a list",
		"clients: {built_in: {web: true}}":                                                            `f:2:22: built_in has no key "web"`,
		"clients: {built_in: {OpenCloudIos: false}}":                                                  "f:2:22: built_in has no key \"OpenCloudIos\"\n  hint: did you mean \"OpenCloudIOS\"?",
		"clients: {built_in: {thunderbird: 0}}":                                                       "f:2:35: thunderbird must be true or false, not a number",
		"clients: {deny: evil}":                                                                       "f:2:17: deny must be a list, not text",
		"clients: {deny: [evil]}":                                                                     "f:2:18: an entry of deny must have keys and values, not text",
		"clients: {deny: [{}]}":                                                                       "f:2:18: tenant one, clients, entry 1 of deny: it must have exactly one of id, id_hash, software_id, redirect, host",
		"clients: {allow: [{id: a, host: b}]}":                                                        "f:2:19: tenant one, clients, entry 1 of allow: it must have exactly one of",
		"clients: {deny: [{name: a}]}":                                                                `f:2:19: an entry of deny has no key "name"`,
		"clients: {deny: [{id: 1}]}":                                                                  "f:2:23: id must be a string, not a number",
		"clients: {deny: [{id: a}, {id: a b}]}":                                                       "f:2:32: tenant one, clients, entry 2 of deny: id is longer than 512 characters",
		"clients: {deny: [{id_hash: 9F86}]}":                                                          "f:2:28: tenant one, clients, entry 1 of deny: id_hash is not a SHA-256",
		"clients: {deny: [{host: \"a.test:443\"}]}":                                                   "f:2:25: tenant one, clients, entry 1 of deny: host is not a host name",
		"clients: {deny: [{redirect: https}]}":                                                        "f:2:29: tenant one, clients, entry 1 of deny: redirect is neither a URI nor a private-use scheme",
		"clients: {deny: [{redirect: Evil/x}]}":                                                       "f:2:29: tenant one, clients, entry 1 of deny: redirect is neither",
		"clients: {fixed: [webmail]}":                                                                 "f:2:19: a client must have keys and values, not text",
		"clients: {fixed: [{id: a, name: A, redirect_uri: x}]}":                                       "f:2:36: a client has no key \"redirect_uri\"\n  hint: did you mean \"redirect_uris\"?",
		"clients: {fixed: [{name: A}]}":                                                               "f:2:19: tenant one, client without a name: id is missing",
		"clients: {fixed: [{id: a}]}":                                                                 "f:2:19: tenant one, client a: name is missing",
		"clients: {fixed: [{id: a, name: A, secret: hunter2}]}":                                       "f:2:44: the secret is shorter than 32 characters\n  hint: make one with: openssl rand -base64 32",
		"clients: {fixed: [{id: a, name: A, secret_env: SHORT}]}":                                     "f:2:48: the secret is shorter than 32 characters",
		"clients: {fixed: [{id: a, name: A, secret_file: short.txt}]}":                                "f:2:49: the secret is shorter than 32 characters",
		"clients: {fixed: [{id: a, name: A, secret: 20260101}]}":                                      "f:2:44: secret must be a string, not a number",
		"clients: {fixed: [{id: a, name: A, secret_env: NONE}]}":                                      "f:2:48: secret_env: the variable NONE is not set",
		"clients: {fixed: [{id: a, name: A, secret_env: EMPTY}]}":                                     "f:2:48: secret_env: the variable EMPTY is not set",
		"clients: {fixed: [{id: a, name: A, secret_file: none}]}":                                     "f:2:49: secret_file: file does not exist",
		"clients: {fixed: [{id: a, name: A, secret_file: empty.txt}]}":                                "f:2:49: secret_file: empty.txt is empty",
		"clients: {fixed: [{id: a, name: A, secret: hunter2, secret_env: SECRET}]}":                   "f:2:65: secret and secret_env say the same\n  hint: keep one of them",
		"clients: {fixed: [{id: a, name: A, jwks: '{}', jwks_file: keys.json}]}":                      "f:2:59: jwks and jwks_file say the same",
		"clients: {fixed: [{id: a, name: A, jwks_file: secret.txt}]}":                                 "f:2:47: tenant one, client a: jwks: not a JSON object",
		"clients: {fixed: [{id: a, name: A, authentication: client_secret_basic}]}":                   "f:2:19: tenant one, client a: authentication client_secret_basic needs a secret",
		"clients: {fixed: [{id: a, name: A, authentication: private_key_jwt}]}":                       "f:2:19: tenant one, client a: authentication private_key_jwt needs jwks",
		"clients: {fixed: [{id: a, name: A, authentication: none, secret_env: SECRET}]}":              "f:2:52: tenant one, client a: authentication none has neither secret nor jwks",
		"clients: {fixed: [{id: a, name: A, authentication: tls_client_auth}]}":                       `f:2:52: tenant one, client a: authentication "tls_client_auth" is not known`,
		"clients: {fixed: [{id: a, name: A, redirect_uris: [\"https://a.test/\", \"https://b.*\"]}]}": "f:2:51: tenant one, client a: redirect URI 2: ",
		"clients: {fixed: [{id: a, name: A, id_token_algorithm: HS256}]}":                             `f:2:56: tenant one, client a: id_token_algorithm "HS256" is not known`,
		"clients: {fixed: [{id: a, name: A}, {id: a, name: B}]}":                                      "f:2:42: tenant one, client a: the name comes twice",
		"resource_servers: [dovecot]":                                                                 "f:2:20: a resource server must have keys and values, not text",
		"resource_servers: [{name: d, audiences: [imap.one.test]}]":                                   "f:2:20: tenant one, resource server d: authentication client_secret_basic needs a secret",
		"resource_servers: [{name: d, audiences: [imap.one.tst], secret_env: SECRET}]":                "f:2:41: tenant one, resource server d: audience \"imap.one.tst\" is not one of the tenant's services\n  hint: did you mean \"imap.one.test\"?",
		"resource_servers: [{name: d, secret_env: SECRET}]":                                           "f:2:20: tenant one, resource server d: audiences is missing",
		"resource_servers: [{name: d, audiences: [imap.one.test], secret: hunter2}]":                  "f:2:66: the secret is shorter than 32 characters",
		"resource_servers: [{name: d, audiences: [imap.one.test], authentication: client_secret_post, secret_env: SECRET}]": "f:2:74: tenant one, resource server d: authentication \"client_secret_post\" is not known",
	} {
		tenants, err := Parse("f", []byte(head+src+"}]"), env, readFile)
		problems, _ := errors.AsType[Problems](err)
		if tenants != nil || len(problems) != 1 || !strings.HasPrefix(problems.Error(), want) {
			t.Errorf("Parse(%s) says\n%v\nwant one problem\n%s", src, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), longSecret) || strings.Contains(err.Error(), "20260101")) {
			t.Errorf("Parse(%s) shows the secret: %v", src, err)
		}
	}
}
