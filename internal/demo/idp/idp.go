// Package idp is the demo's identity provider: an OpenID provider built on
// zitadel/oidc with a sign-in page of its own, a few people with random
// passwords, and one client, which is Signpost. It stands for what an
// organisation already has: it knows nothing of mail, calendars or audiences.
// It speaks plain HTTP and belongs on a loopback address.
package idp

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	zoidc "github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"
)

// Person is somebody who can sign in.
type Person struct {
	Subject  string // stable; no colon
	Username string // "alice"
	Address  string // "alice@example.test", verified
	Name     string // for people: "Alice Example"
	Password string
}

// Config says who an identity provider is and whom it serves.
type Config struct {
	Name         string // short, unique among the providers on a machine: cookies ignore the port
	Title        string // for people: "Example staff"
	Issuer       string // its own URL, "http://127.0.0.1:40001"
	ClientID     string
	ClientSecret string
	RedirectURI  string // the client's only one
	People       []Person
	Logger       *slog.Logger
	Now          func() time.Time
}

// Provider is an identity provider. It is an http.Handler.
type Provider struct {
	handler http.Handler
	signIns atomic.Int64
}

// New makes a provider with a signing key of its own.
func New(c Config) (*Provider, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	redirect, err := url.Parse(c.RedirectURI)
	if err != nil {
		return nil, fmt.Errorf("read redirect URI: %w", err)
	}
	s := newStorage(c, key)
	config := &op.Config{
		CodeMethodS256:     true,
		AuthMethodPost:     true,
		SupportedScopes:    []string{zoidc.ScopeOpenID, zoidc.ScopeProfile, zoidc.ScopeEmail},
		SupportedUILocales: []language.Tag{language.English},
	}
	if _, err := rand.Read(config.CryptoKey[:]); err != nil {
		return nil, fmt.Errorf("make token key: %w", err)
	}
	provider, err := op.NewProvider(config, s, op.StaticIssuer(c.Issuer), op.WithAllowInsecure())
	if err != nil {
		return nil, fmt.Errorf("make OpenID provider: %w", err)
	}
	p := &Provider{}
	pages := &loginPages{
		config:   c,
		storage:  s,
		redirect: redirect.Scheme + "://" + redirect.Host,
		callback: func(id string) string {
			return c.Issuer + provider.AuthorizationEndpoint().Relative() + "/callback?id=" + url.QueryEscape(id)
		},
		signedIn: func() { p.signIns.Add(1) },
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", pages.home)
	mux.HandleFunc("GET "+loginPath, pages.show)
	mux.HandleFunc("POST "+loginPath, pages.submit)
	mux.HandleFunc("GET "+stylePath, pages.style)
	mux.Handle("/", provider)
	p.handler = mux
	return p, nil
}

// SignIns returns how often somebody signed in: password checks that succeeded.
func (p *Provider) SignIns() int64 { return p.signIns.Load() }

// ServeHTTP answers OpenID Connect requests and shows the sign-in page.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	p.handler.ServeHTTP(w, r)
}

// person returns whoever has the user name or the address and the password. An
// unknown name costs the same comparison.
func person(people []Person, name, password string) (Person, bool) {
	var found Person
	for _, p := range people {
		if strings.EqualFold(name, p.Username) || strings.EqualFold(name, p.Address) {
			found = p
		}
	}
	right := subtle.ConstantTimeCompare([]byte(password), []byte(found.Password)) == 1
	return found, right && found.Subject != ""
}
