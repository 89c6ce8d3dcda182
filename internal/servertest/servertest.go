// Package servertest runs the whole of Signpost in one process for tests: two
// tenants, each with a fake identity provider of its own, on loopback HTTP with the
// real store and cache: SQLite in a temporary folder and memory, or, where package
// backends says so, a new PostgreSQL database and Redis. Only tests import it.
package servertest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/idptest"
	"signpost/internal/service"
	"signpost/oidc/keys/keystest"
	"signpost/test/backends"
)

// Names of what every test server declares.
const (
	Tenant = "example" // at the base URL
	Other  = "other"   // at {base}/t/other
	Domain = "example.test"
	Far    = "other.test"
)

// Server is a running Signpost.
type Server struct {
	URL     string // base URL: the issuer of Tenant
	Service *service.Service
	Config  service.Config
	IDP     *idptest.Provider // of Tenant: alice and bob at example.test
	FarIDP  *idptest.Provider // of Other: carol at other.test
	Clock   *Clock
	Log     *Log
}

// OtherURL is the issuer of the tenant Other.
func (s *Server) OtherURL() string { return s.URL + "/t/" + Other }

// Clock is a clock that a test moves.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
}

// Now returns the time, moved by what Advance said.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// Log keeps what was logged, so that a test can look for what must not be there.
type Log struct {
	mu    sync.Mutex
	lines []byte
}

// Write appends.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, b...)
	return len(b), nil
}

// String returns everything that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.lines)
}

// Option puts something in the place of the ordinary.
type Option func(*service.Parts)

// Fetch reads what URL ids of clients name, in the place of a client that reaches the public
// internet alone.
func Fetch(c *http.Client) Option { return func(p *service.Parts) { p.Fetch = c } }

// Start runs a server until the test ends.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		URL: "http://" + l.Addr().String(), IDP: idptest.Start(t), FarIDP: idptest.Start(t),
		Clock: &Clock{}, Log: &Log{},
	}
	s.people()
	s.Config = service.Config{
		Listen: l.Addr().String(), BaseURL: s.URL, DataDir: t.TempDir(), LogLevel: slog.LevelDebug,
		LogFormat: "json", RequestsPerMinute: 1_000_000,
	}
	if backends.Remote(t) {
		s.remote(t)
	}
	s.Apply(t, s.Declaration())
	parts := service.Parts{Now: s.Clock.Now, Generate: keystest.Generator(), Watch: 20 * time.Millisecond}
	for _, option := range options {
		option(&parts)
	}
	s.Service, err = service.Open(t.Context(), s.Config, service.Logger(s.Config, s.Log), parts)
	if err != nil {
		t.Fatalf("open service: %v", err)
	}
	serve(t, s.Service, l)
	return s
}

// serve runs a service until the test ends.
func serve(t testing.TB, s *service.Service, l net.Listener) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func (s *Server) people() {
	s.IDP.AddPerson(idptest.Person{Subject: "a1", Name: "Alice Example", Email: "alice@example.test", EmailVerified: true, Login: "alice"})
	s.IDP.AddPerson(idptest.Person{Subject: "b2", Name: "Bob Example", Email: "bob@example.test", EmailVerified: true, Login: "bob"})
	s.IDP.SignInAs("a1")
	s.FarIDP.AddPerson(idptest.Person{Subject: "c3", Name: "Carol Other", Email: "carol@other.test", EmailVerified: true, Login: "carol"})
	s.FarIDP.SignInAs("c3")
}

// Declaration is the YAML of both tenants.
func (s *Server) Declaration() string {
	return fmt.Sprintf(`tenants:
  - name: example
    issuer: base
    title: Example Organisation
    help: https://help.example.test/
    domains: [example.test]
    clients: {device: "on"}
    identity_providers:
      - {name: staff, title: Example staff, issuer: %q, client_id: %q, client_secret: %q, scopes: [openid, profile, email], address_trust: email_verified}
    services:
      - {id: imap, protocol: imap, title: Mail, endpoints: [{host: imap.example.test, port: 993, security: tls}], scopes: ["urn:ietf:params:oauth:scope:mail"], in_broad: false}
      - {id: submission, protocol: submission, title: Sending mail, endpoints: [{host: submission.example.test, port: 465, security: tls}], scopes: ["urn:ietf:params:oauth:scope:mail"], in_broad: false, lifetime: 5m}
      - {id: calendar, protocol: caldav, title: Calendar, endpoints: [{url: "https://dav.example.test/calendars/"}], scopes: ["urn:ietf:params:oauth:scope:calendars"]}
      - {id: files, protocol: webdav, title: Files, endpoints: [{url: "https://files.example.test/dav/"}], scopes: ["urn:signpost:scope:files"], algorithm: RS256}
  - name: other
    issuer: path
    title: Other Organisation
    domains: [other.test]
    identity_providers:
      - {name: members, title: Other members, issuer: %q, client_id: %q, client_secret: %q, scopes: [openid, profile, email], address_trust: email_verified}
    services:
      - {id: mail, protocol: imap, title: Mail, endpoints: [{host: imap.other.test, port: 993, security: tls}], scopes: ["urn:ietf:params:oauth:scope:mail"], in_broad: false}
`, s.IDP.Issuer, s.IDP.ClientID, s.IDP.ClientSecret, s.FarIDP.Issuer, s.FarIDP.ClientID, s.FarIDP.ClientSecret)
}

// Apply declares, as "signpost apply" would, beside the running server.
func (s *Server) Apply(t testing.TB, declaration string) {
	t.Helper()
	tenants, err := directory.Parse("tenants.yaml", []byte(declaration), func(string) (string, bool) { return "", false }, os.ReadFile)
	if err != nil {
		t.Fatalf("parse declaration: %v", err)
	}
	if _, err := service.Apply(t.Context(), s.Config, tenants, service.ApplyOptions{Now: s.Clock.Now}); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

// NoRedirects is a client that returns redirects instead of following them.
func NoRedirects() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
