// Package idptest is a fake upstream identity provider for tests: OpenID Connect
// Core 1.0 with the authorization code flow and PKCE (RFC 7636), over http on a
// loopback address. It asks nobody anything: whoever was named by SignInAs is
// signed in at once. It checks what relying parties send, remembers it, and
// can be told to answer wrongly in every way that a relying party must notice (Faults).
package idptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
)

// Paths of the endpoints below the issuer. Faults name the endpoint by them.
const (
	PathDiscovery = "/.well-known/openid-configuration"
	PathAuthorize = "/authorize"
	PathToken     = "/token"
	PathJWKS      = "/jwks"
	PathUserinfo  = "/userinfo"
)

// Person is somebody who can sign in.
type Person struct {
	Subject       string // "sub"
	Name          string // "name", with the scope profile
	Email         string // "email", with the scope email; empty: no such claim
	EmailVerified bool   // "email_verified", with the scope email
	Login         string // "preferred_username", with the scope profile; empty: no such claim
	ACR           string // "acr" of the ID token; empty: no such claim
	AMR           any    // "amr" of the ID token; nil: no such claim
}

// Provider is a running identity provider with one client. Its exported fields
// are what an operator would enter into the relying party.
type Provider struct {
	Issuer       string // "http://127.0.0.1:port"
	ClientID     string
	ClientSecret string

	key      *ecdsa.PrivateKey // what /jwks publishes
	otherKey *ecdsa.PrivateKey // what it does not
	stopped  chan struct{}

	mu       sync.Mutex
	people   map[string]Person
	current  string                   // subject of whom signs in next
	selected string                   // subject of whom signs in with prompt=select_account
	denial   string                   // error code instead
	faults   Faults                   // how to answer wrongly
	last     url.Values               // parameters of the last authorization request
	codes    map[string]authorization // by code
	access   map[string]authorization // by access token
	signIns  int
	requests map[string]int // by path
}

// authorization is what a code, and the access token it becomes, stand for.
type authorization struct {
	person      Person
	redirectURI string
	challenge   string
	nonce       string
	scope       string
}

// Start runs a provider until the test ends. Nobody is known to it at first.
func Start(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{
		ClientID:     "signpost",
		ClientSecret: rand.Text() + rand.Text(), // long enough for HS256 (RFC 7518, section 3.2)
		key:          newKey(t),
		otherKey:     newKey(t),
		stopped:      make(chan struct{}),
		people:       map[string]Person{},
		codes:        map[string]authorization{},
		access:       map[string]authorization{},
		requests:     map[string]int{},
	}
	server := httptest.NewServer(p.routes())
	p.Issuer = server.URL
	t.Cleanup(func() {
		close(p.stopped) // lets go of requests that hang, which Close waits for
		server.Close()
	})
	return p
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("make a signing key: %v", err)
	}
	return key
}

// AddPerson makes somebody known, or changes what is known about them.
func (p *Provider) AddPerson(person Person) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.people[person.Subject] = person
}

// SignInAs says who signs in from now on. Nobody, at the start and for an unknown
// subject, means that the authorization endpoint answers login_required.
func (p *Provider) SignInAs(subject string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = subject
}

// SelectAs says who signs in when the request lets the person choose an account
// (prompt=select_account). Nobody, at the start, means whoever SignInAs names.
func (p *Provider) SelectAs(subject string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.selected = subject
}

// Deny makes the authorization endpoint answer with an error code, for example
// access_denied, until Deny is called with an empty one.
func (p *Provider) Deny(errorCode string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.denial = errorCode
}

// Set changes how the provider answers wrongly:
//
//	p.Set(func(f *idptest.Faults) { f.WrongNonce = true })
func (p *Provider) Set(change func(*Faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.faults)
}

// LastRequest returns the parameters of the last authorization request: scope,
// state, nonce, login_hint, code_challenge and whatever else came. It is empty
// if there was none.
func (p *Provider) LastRequest() url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	values := url.Values{}
	for name, v := range p.last {
		values[name] = append([]string(nil), v...)
	}
	return values
}

// SignIns returns how many authorization requests were answered with a code.
func (p *Provider) SignIns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signIns
}

// Requests returns how many requests came to an endpoint.
func (p *Provider) Requests(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[path]
}

// Visit does what a browser does with the URL of an authorization request: it
// goes there and returns the parameters with which the provider sends it back.
// It fails the test if the provider does not send it back.
func (p *Provider) Visit(t testing.TB, authorizationURL string) url.Values {
	t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, authorizationURL, nil)
	if err != nil {
		t.Fatalf("visit the identity provider: %v", err)
	}
	response, err := browser.Do(request)
	if err != nil {
		t.Fatalf("visit the identity provider: %v", err)
	}
	defer response.Body.Close()
	target, err := response.Location()
	if err != nil {
		t.Fatalf("visit the identity provider: answer %s, want a redirect", response.Status)
	}
	return target.Query()
}
