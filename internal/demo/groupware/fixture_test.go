package groupware

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	alice = "alice@example.test"
	bob   = "bob@example.test"

	mailScope = "urn:ietf:params:oauth:scope:mail"
)

// fakeIssuer publishes metadata and keys and signs whatever a test wants.
type fakeIssuer struct {
	*httptest.Server
	ec      *ecdsa.PrivateKey
	rsa     *rsa.PrivateKey
	fetches atomic.Int64 // of the key set

	mu   sync.Mutex
	keys []jose.JSONWebKey
}

func newIssuer(t *testing.T) *fakeIssuer {
	t.Helper()
	f := &fakeIssuer{ec: newECKey(t), rsa: newRSAKey(t)}
	f.keys = []jose.JSONWebKey{
		{Key: f.ec.Public(), KeyID: "ec", Algorithm: "ES256", Use: "sig"},
		{Key: f.rsa.Public(), KeyID: "rsa", Algorithm: "RS256", Use: "sig"},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(t, w, map[string]string{"issuer": f.URL, "jwks_uri": f.URL + "/jwks"})
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		f.fetches.Add(1)
		f.mu.Lock()
		defer f.mu.Unlock()
		writeJSON(t, w, jose.JSONWebKeySet{Keys: f.keys})
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeIssuer) publish(key jose.JSONWebKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys = append(slices.Clone(f.keys), key)
}

func (f *fakeIssuer) check(audience, scope string) *Check {
	return &Check{Issuer: f.URL, Audience: audience, Scope: scope, HTTP: f.Client(), Now: time.Now}
}

// claims of a good token; a test changes what it wants to see refused.
func (f *fakeIssuer) claims(audience, scope, login string) jwt.MapClaims {
	return jwt.MapClaims{
		"iss": f.URL, "aud": []string{audience}, "scope": "openid " + scope, "sub": "u1",
		"preferred_username": login, "exp": time.Now().Add(time.Minute).Unix(),
	}
}

func (f *fakeIssuer) sign(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	return sign(t, jwt.SigningMethodES256, "ec", f.ec, claims)
}

// bad are tokens that a server with all its checks refuses, and the switch that
// lets each one through.
type bad struct {
	name  string
	token string
	skip  Insecure
	scope bool // the refusal is insufficient_scope
}

func (f *fakeIssuer) badTokens(t *testing.T, audience, scope, login string) []bad {
	t.Helper()
	with := func(claim string, value any) string {
		claims := f.claims(audience, scope, login)
		claims[claim] = value
		return f.sign(t, claims)
	}
	good := f.claims(audience, scope, login)
	return []bad{
		{name: "signed by a stranger's key", skip: Insecure{SkipSignature: true}, token: sign(t, jwt.SigningMethodES256, "ec", newECKey(t), good)},
		{name: "unknown key id", skip: Insecure{SkipSignature: true}, token: sign(t, jwt.SigningMethodES256, "other", f.ec, good)},
		{name: "alg none", skip: Insecure{SkipSignature: true}, token: sign(t, jwt.SigningMethodNone, "ec", jwt.UnsafeAllowNoneSignatureType, good)},
		{name: "HS256 with the public key as the secret", skip: Insecure{SkipSignature: true}, token: sign(t, jwt.SigningMethodHS256, "rsa", publicPEM(t, f.rsa), good)},
		{name: "PS256 by a key for RS256", skip: Insecure{SkipSignature: true}, token: sign(t, jwt.SigningMethodPS256, "rsa", f.rsa, good)},
		{name: "another issuer", skip: Insecure{SkipIssuer: true}, token: with("iss", f.URL+"/t/other")},
		{name: "another audience", skip: Insecure{SkipAudience: true}, token: with("aud", []string{"neighbour.example.test"})},
		{name: "expired", skip: Insecure{SkipExpiry: true}, token: with("exp", time.Now().Add(-time.Second).Unix())},
		{name: "without end", skip: Insecure{SkipExpiry: true}, token: with("exp", nil)},
		{name: "another scope", skip: Insecure{SkipScope: true}, token: with("scope", scope+"s openid"), scope: true},
	}
}

func sign(t *testing.T, method jwt.SigningMethod, kid string, key any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = kid
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatalf("sign with %s: %v", method.Alg(), err)
	}
	return signed
}

// serve runs a server on a loopback port until the test ends and returns its address.
func serve(t *testing.T, run func(context.Context, net.Listener) error) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String()
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("make key: %v", err)
	}
	return key
}

func newRSAKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, minRSABits)
	if err != nil {
		t.Fatalf("make key: %v", err)
	}
	return key
}

func publicPEM(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatalf("encode public key: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func writeJSON(t *testing.T, w http.ResponseWriter, v any) {
	t.Helper()
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Errorf("write JSON: %v", err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
