package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"signpost/client"
)

const (
	issuer  = "https://id.example.com"
	address = "alice@example.com"

	webfingerPage     = "example.com/.well-known/webfinger"
	metadataPage      = "id.example.com/.well-known/oauth-authorization-server"
	configurationPage = "id.example.com/configuration"
	scopesPage        = "id.example.com/scopes"
	tokenPage         = "id.example.com/token"
	keysPage          = "id.example.com/jwks"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// provider is a website and an issuer on one TLS server, which serves example.com
// and every host below it. A page is found by host and path.
type provider struct {
	client *client.Client

	mu    sync.Mutex
	pages map[string]http.HandlerFunc
	asked []*http.Request // with their forms parsed
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{pages: map[string]http.HandlerFunc{
		webfingerPage:     reply("application/jrd+json", jrd()),
		metadataPage:      reply("application/json", metadata()),
		scopesPage:        reply("application/json", `{"broad":"openid","scopes":[],"services":[{"id":"mail"}]}`),
		configurationPage: reply("application/json", configuration()),
	}}
	server := httptest.NewTLSServer(p)
	t.Cleanup(server.Close)
	p.client = &client.Client{HTTP: server.Client(), Now: clock}
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, r)
	page := p.pages[r.Host+r.URL.Path]
	p.mu.Unlock()
	if page == nil {
		http.NotFound(w, r)
		return
	}
	page(w, r)
}

func (p *provider) set(name string, page http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages[name] = page
}

// requests returns the requests for a page, oldest first.
func (p *provider) requests(name string) []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []*http.Request
	for _, r := range p.asked {
		if r.Host+r.URL.Path == name {
			found = append(found, r)
		}
	}
	return found
}

func (p *provider) discover(t *testing.T) client.Discovery {
	t.Helper()
	d, err := p.client.Discover(t.Context(), address)
	if err != nil {
		t.Fatalf("Discover: %v", err)
	}
	return d
}

func (p *provider) authorize(t *testing.T, d client.Discovery) client.Authorization {
	t.Helper()
	a, err := p.client.Authorize(d, "http://127.0.0.1:7777/callback", "", "")
	if err != nil {
		t.Fatalf("Authorize: %v", err)
	}
	return a
}

func reply(mediaType, body string) http.HandlerFunc { return replyStatus(200, mediaType, body) }

func replyStatus(status int, mediaType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func redirect(location string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
	}
}

type object = map[string]any

// text returns a value as JSON, after changes: pairs of a member and its value; nil removes it.
func text(value object, changes ...any) string {
	value = maps.Clone(value)
	for i := 0; i < len(changes); i += 2 {
		value[changes[i].(string)] = changes[i+1]
		if changes[i+1] == nil {
			delete(value, changes[i].(string))
		}
	}
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// jrd is the answer to WebFinger; the changes are to the issuer link.
func jrd(changes ...any) string {
	link := object{
		"rel":  "http://openid.net/specs/connect/1.0/issuer",
		"href": issuer,
		"properties": object{
			"urn:signpost:oauth:scope":     "openid offline_access urn:ietf:params:oauth:scope:mail",
			"urn:signpost:oauth:client_id": "open",
		},
	}
	return text(object{"subject": "acct:" + address, "links": []any{
		json.RawMessage(text(link, changes...)),
		object{"rel": "urn:signpost:rel:scopes", "href": issuer + "/scopes"},
		object{"rel": "urn:signpost:rel:configuration", "href": issuer + "/configuration"},
	}})
}

func metadata(changes ...any) string {
	return text(object{
		"issuer":                                issuer,
		"authorization_endpoint":                issuer + "/authorize?ui=native",
		"token_endpoint":                        issuer + "/token",
		"jwks_uri":                              issuer + "/jwks",
		"scopes_supported":                      []string{"openid", "email"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
		"code_challenge_methods_supported":      []string{"S256"},
		"id_token_signing_alg_values_supported": []string{"ES256", "none", "HS256"},
		"authorization_response_iss_parameter_supported": true,
	}, changes...)
}

func configuration(changes ...any) string {
	return text(object{
		"account":        object{"subject": "4Jm0pGq8TzS2kYw6Ba9dXQ", "addresses": []string{address}},
		"provider":       object{"name": "Example"},
		"issuer":         issuer,
		"token_endpoint": issuer + "/token",
		"incoming": []any{object{
			"id": "mail", "protocol": "imap", "authentication": []string{"oauthbearer"}, "credential": "sso",
			"endpoints": []any{object{"host": "imap.example.com", "port": 993, "security": "tls"}},
			"audience":  "imap.example.com", "order": 1,
		}},
	}, changes...)
}

func tokens(changes ...any) string {
	return text(object{
		"access_token":      "secret-access",
		"token_type":        "Bearer",
		"expires_in":        3600,
		"scope":             "openid urn:ietf:params:oauth:scope:mail",
		"refresh_token":     "secret-refresh",
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
	}, changes...)
}

// signer signs ID tokens as the issuer does and serves its keys.
type signer struct{ key *ecdsa.PrivateKey }

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key}
}

func (s signer) keys() http.HandlerFunc {
	server := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: s.key.Public(), KeyID: "k1", Algorithm: gooidc.ES256}}}
	server.SetIssuer(issuer)
	return func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/keys" // where oidctest serves them
		server.ServeHTTP(w, r)
	}
}

func (s signer) idToken(nonce string, changes ...any) string {
	return oidctest.SignIDToken(s.key, "k1", gooidc.ES256, text(idTokenClaims(nonce), changes...))
}

func idTokenClaims(nonce string) object {
	claims := object{"iss": issuer, "aud": "open", "sub": "4Jm0pGq8TzS2kYw6Ba9dXQ", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix()}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	return claims
}

// good is the answer of the sign-in page to an authorization.
func good(a client.Authorization) url.Values {
	return url.Values{"code": {"secret-code"}, "state": {a.State}, "iss": {issuer}}
}
