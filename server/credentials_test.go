package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
)

// triedElsewhere is for lists whose every entry TestEveryAuthenticationMethodWorks tries.
func triedElsewhere(want ...string) advertised {
	return func(t *testing.T, _ string, value any) {
		if got := words(value); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v: those that are tried", got, want)
		}
	}
}

// assertion makes credentials by private_key_jwt (RFC 7523, section 2.2 and section 3).
func assertion(t testing.TB, key jose.SigningKey, id, audience string) url.Values {
	t.Helper()
	signer, err := jose.NewSigner(key, nil)
	must(t, err)
	now := time.Now()
	signed, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: id, Subject: id, Audience: jwt.Audience{audience}, ID: rand.Text(), IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute)),
	}).Serialize()
	must(t, err)
	return url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {signed}}
}

// TestEveryAuthenticationMethodWorks that the metadata advertise for introspection and
// revocation, with every algorithm of assertions (RFC 8414, section 2).
func TestEveryAuthenticationMethodWorks(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: ec.Public(), KeyID: "ec"}, {Key: rsaKey.Public(), KeyID: "rsa"}}})
	must(t, err)
	const secret = "a-client-secret-that-a-machine-made"
	declaration := inExample(s.Declaration(), fmt.Sprintf(`    clients:
      fixed:
        - {id: by-basic, name: A, redirect_uris: ["https://a.example.test/"], authentication: client_secret_basic, secret: %[1]s}
        - {id: by-post, name: B, redirect_uris: ["https://b.example.test/"], authentication: client_secret_post, secret: %[1]s}
        - {id: by-key, name: C, redirect_uris: ["https://c.example.test/"], authentication: private_key_jwt, jwks: '%[2]s'}
    resource_servers:
      - {name: mail-server, audiences: [imap.example.test], secret: %[3]s}
      - {name: key-server, audiences: [imap.example.test], authentication: private_key_jwt, jwks: '%[2]s'}
`, secret, public, secretMail))
	declare(t, s, declaration, func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return len(r.ResourceServers) == 2
	})
	metadata := jsonAt(t, s.URL+"/.well-known/openid-configuration")
	withToken := func(f url.Values) edit {
		f.Set("token", "x")
		return formBody(f)
	}
	byKey := func(id, endpoint string) func(algorithm string) []edit {
		return func(algorithm string) []edit {
			key := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: jose.JSONWebKey{Key: rsaKey, KeyID: "rsa"}}
			if strings.HasPrefix(algorithm, "ES") {
				key.Key = jose.JSONWebKey{Key: ec, KeyID: "ec"}
			}
			return []edit{withToken(assertion(t, key, id, s.URL+endpoint))}
		}
	}
	for endpoint, c := range map[string]struct {
		good    func(page) bool
		methods map[string][]edit
		byKey   func(algorithm string) []edit
	}{
		"revocation": {
			func(p page) bool { return p.status == http.StatusOK },
			map[string][]edit{
				"none":                {withToken(url.Values{"client_id": {"open"}})},
				"client_secret_basic": {withToken(url.Values{}), basic("by-basic", secret)},
				"client_secret_post":  {withToken(url.Values{"client_id": {"by-post"}, "client_secret": {secret}})},
			}, byKey("by-key", "/revoke"),
		},
		"introspection": {
			func(p page) bool { return p.body == `{"active":false}` },
			map[string][]edit{
				"client_secret_basic": {withToken(url.Values{}), asMail},
				"client_secret_post":  {withToken(url.Values{"client_id": {mailServer}, "client_secret": {secretMail}})},
			}, byKey("key-server", "/introspect"),
		},
	} {
		at := metadata[endpoint+"_endpoint"].(string)
		tried := 0
		for _, method := range words(metadata[endpoint+"_endpoint_auth_methods_supported"]) {
			if method == oidc.AuthPrivateKeyJWT {
				continue // by every algorithm, below
			}
			tried++
			if p := ask(t, http.MethodPost, at, c.methods[method]...); c.methods[method] == nil || !c.good(p) {
				t.Errorf("%s with %s: %d %s", endpoint, method, p.status, p.body)
			}
		}
		if tried != len(c.methods) {
			t.Errorf("%s advertises %v, want what is tried here", endpoint, metadata[endpoint+"_endpoint_auth_methods_supported"])
		}
		for _, algorithm := range words(metadata[endpoint+"_endpoint_auth_signing_alg_values_supported"]) {
			if algorithm == string(jose.EdDSA) {
				continue // the same way; oidc/clients tests the keys of each algorithm
			}
			edits := c.byKey(algorithm)
			if p := ask(t, http.MethodPost, at, edits...); !c.good(p) {
				t.Errorf("%s by an assertion with %s: %d %s", endpoint, algorithm, p.status, p.body)
			}
			if p := ask(t, http.MethodPost, at, edits...); p.status != http.StatusUnauthorized {
				t.Errorf("%s by an assertion with %s once more: %d, want 401", endpoint, algorithm, p.status)
			}
		}
	}
}
