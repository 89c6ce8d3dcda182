package server_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"signpost/directory"
	"signpost/internal/cache"
	"signpost/internal/seal"
	"signpost/internal/store"
	"signpost/oidc"
	"signpost/oidc/apppassword"
	"signpost/oidc/clients"
	"signpost/oidc/dpop"
	"signpost/oidc/exchange"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
	"signpost/oidc/tokens"
	"signpost/oidc/upstream"
	"signpost/server"
	"signpost/web"
	"signpost/webfinger"
)

// declared is one tenant for handlers without a network.
const declared = `tenants:
  - name: example
    issuer: base
    title: Example Organisation
    domains: [example.test]
    identity_providers:
      - {name: staff, title: Example staff, issuer: "https://login.example.test", client_id: signpost}
    services:
      - {id: imap, protocol: imap, title: Mail, endpoints: [{host: imap.example.test, port: 993, security: tls}]}
`

// alone is a handler that is asked without a network, so that a test may put
// other parts in, choose any base URL, and let time pass.
type alone struct {
	t       testing.TB
	handler http.Handler
	cookies []*http.Cookie
}

// newAlone puts a handler together on real storage. change may replace parts.
func newAlone(t testing.TB, base, declaration string, change func(*server.Deps)) *alone {
	t.Helper()
	box, err := seal.New(make([]byte, seal.KeySize))
	must(t, err)
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signpost.db"), box)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	must(t, db.Migrate(t.Context()))
	memory := cache.NewMemory(8 << 20)
	t.Cleanup(memory.Close)
	answers := &directory.Answers{}
	ring := keys.New(db, box, time.Now, oneKeyPerAlgorithm)
	if declaration != "" {
		tenants, err := directory.Parse("tenants.yaml", []byte(declaration), func(string) (string, bool) { return "", false }, os.ReadFile)
		must(t, err)
		_, revision, err := db.Tenants(t.Context())
		must(t, err)
		_, err = db.SaveTenants(t.Context(), revision, tenants, nil)
		must(t, err)
		for _, tenant := range tenants {
			must(t, ring.Ensure(t.Context(), tenant.Name))
		}
	}
	tenants, revision, err := db.Tenants(t.Context())
	must(t, err)
	snapshot, err := directory.Compile(base, tenants, revision)
	must(t, err)
	answers.Store(snapshot)
	i := &issuer.Issuer{
		Clients:      &clients.Clients{Store: db, Sealer: box, Fetch: clients.NewFetch(nil, nil), Documents: memory, Marks: memory, Now: time.Now},
		Proofs:       &dpop.Checker{Namer: box, Marks: memory, Now: time.Now},
		AppPasswords: &apppassword.Passwords{Store: db, Hasher: box, Limits: memory, Cache: memory, Random: rand.Reader, Now: time.Now},
		Store:        db, Cache: memory, Begun: memory, Keys: ring, Tokens: tokens.New(ring, memory, box, time.Now), Sealer: box, Audit: db, Now: time.Now,
	}
	i.Register(oidc.GrantTypeTokenExchange, exchange.Grant{Issuer: i})
	pages, err := web.New()
	must(t, err)
	deps := server.Deps{
		Answers: answers, Issuer: i, Keys: ring, Upstream: alwaysAlice{}, Pages: pages, Limiter: memory,
		Log: slog.New(slog.DiscardHandler), RequestsPerMinute: 1000,
	}
	if change != nil {
		change(&deps)
	}
	handler, err := server.New(deps)
	must(t, err)
	return &alone{t: t, handler: handler}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// oneKeyPerAlgorithm saves the time to make keys where it does not matter which they are.
func oneKeyPerAlgorithm(algorithm string) (crypto.Signer, error) {
	if algorithm != keys.RS256 {
		return keys.Generate(algorithm)
	}
	return oneRSAKey()
}

var oneRSAKey = sync.OnceValues(func() (crypto.Signer, error) { return keys.Generate(keys.RS256) })

// alwaysAlice is an identity provider at which alice is signed in.
type alwaysAlice struct{}

func (alwaysAlice) AuthCodeURL(_ context.Context, p upstream.Provider, r upstream.Request) (string, error) {
	return p.Issuer + "/authorize?code_challenge=x&state=" + r.State, nil
}

func (alwaysAlice) Redeem(_ context.Context, p upstream.Provider, _ upstream.Request, _ string) (oidc.Person, error) {
	return oidc.Person{Provider: p.Name, Issuer: p.Issuer, Subject: "a1", Addresses: []string{"alice@example.test"}}, nil
}

// ask sends a request and keeps cookies, whatever they are for.
func (a *alone) ask(method, rawURL string, edits ...edit) page {
	a.t.Helper()
	req := httptest.NewRequestWithContext(a.t.Context(), method, rawURL, nil)
	for _, c := range a.cookies {
		req.AddCookie(c)
	}
	for _, e := range edits {
		e(req)
	}
	recorder := httptest.NewRecorder()
	a.handler.ServeHTTP(recorder, req)
	res := recorder.Result()
	a.cookies = append(a.cookies, res.Cookies()...)
	return page{res.StatusCode, res.Header, recorder.Body.String(), req.URL}
}

// state begins a sign-in and returns the state that is sent upstream.
func (a *alone) state(issuer string, edits ...func(url.Values)) string {
	a.t.Helper()
	before := a.ask(http.MethodGet, authorizeURL(issuer, together(edits...)))
	to, err := url.Parse(a.ask(http.MethodGet, upstreamLink(a.t, before)).header.Get("Location"))
	must(a.t, err)
	return to.Query().Get("state")
}

// code signs alice in, allows, and returns the code.
func (a *alone) code(issuer string, edits ...func(url.Values)) string {
	a.t.Helper()
	back := a.ask(http.MethodGet, issuer+"/callback/staff?code=x&state="+a.state(issuer, edits...))
	consent, err := url.Parse(back.header.Get("Location"))
	must(a.t, err)
	answer := a.ask(http.MethodPost, issuer+"/consent", formBody(url.Values{"ticket": {consent.Query().Get("ticket")}, "decision": {"allow"}}))
	client, err := url.Parse(answer.header.Get("Location"))
	must(a.t, err)
	code := client.Query().Get("code")
	if code == "" {
		a.t.Fatalf("no code: callback %d, consent %d %v", back.status, answer.status, client)
	}
	return code
}

func (a *alone) token(issuer string, form url.Values) (status int, code string) {
	a.t.Helper()
	p := a.ask(http.MethodPost, issuer+"/token", formBody(form))
	var answer struct {
		Error string `json:"error"`
	}
	p.json(a.t, &answer)
	return p.status, answer.Error
}

const https = "https://id.example.test"

// TestCodesLiveTenMinutes: no less (draft-ietf-mailmaint-oauth-public) and no
// more (RFC 6749, section 4.1.2).
func TestCodesLiveTenMinutes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wait   time.Duration
		status int
		code   string
	}{
		"just before": {10*time.Minute - time.Second, http.StatusOK, ""},
		"just after":  {10*time.Minute + time.Second, http.StatusBadRequest, oidc.CodeInvalidGrant},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newAlone(t, https, declared, nil)
				form := codeForm(a.code(https))
				time.Sleep(c.wait)
				if status, code := a.token(https, form); status != c.status || code != c.code {
					t.Errorf("after %v: got %d %q, want %d %q", c.wait, status, code, c.status, c.code)
				}
			})
		})
	}
}

// TestWaitingTooLong: a person who comes back too late starts again.
func TestWaitingTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAlone(t, https, declared, nil)
		before, state := a.ask(http.MethodGet, authorizeURL(https, nil)), a.state(https)
		time.Sleep(time.Hour)
		a.ask(http.MethodGet, https+"/callback/staff?code=x&state="+state).isPage(t, http.StatusBadRequest)
		a.ask(http.MethodGet, upstreamLink(t, before)).isPage(t, http.StatusBadRequest)
	})
}

// TestR3CookieOverHTTPS: the prefix keeps other hosts from setting it, the
// name holds the tenant.
func TestR3CookieOverHTTPS(t *testing.T) {
	t.Parallel()
	a := newAlone(t, https, declared, nil)
	p := a.ask(http.MethodGet, authorizeURL(https, nil))
	if len(a.cookies) != 1 {
		t.Fatalf("%d cookies, want 1", len(a.cookies))
	}
	c := a.cookies[0]
	if c.Name != "__Host-signpost-example" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 {
		t.Errorf("cookie %v, want a __Host- cookie of the tenant for this session", c)
	}
	if p.header.Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security over https (RFC 6797, section 7.1)")
	}
}

func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	for path, method := range map[string]string{"/token": http.MethodPost, "/authorize": http.MethodGet, "/callback/staff": http.MethodGet} {
		a := newAlone(t, https, declared, func(d *server.Deps) { d.RequestsPerMinute = 2 })
		for n, limited := range []bool{false, false, true} {
			p := a.ask(method, https+path, formBody(url.Values{}))
			if got := p.status == http.StatusTooManyRequests; got != limited {
				t.Errorf("%s, request %d: %d, want limited %v", path, n+1, p.status, limited)
			}
			if limited && p.header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After (RFC 6585, section 4)", path)
			}
		}
		if p := a.ask(http.MethodGet, finger(https, "resource", "acct:alice@example.test")); p.status != http.StatusOK {
			t.Errorf("discovery: %d, want 200 however often one asks", p.status)
		}
	}
}

// TestWhoHangsUpIsLimitedToo: a request that is taken back at once has been counted, and
// makes no work beyond the limit.
func TestWhoHangsUpIsLimitedToo(t *testing.T) {
	t.Parallel()
	a := newAlone(t, https, declared, func(d *server.Deps) { d.RequestsPerMinute = 1 })
	hangUp := func(r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		*r = *r.WithContext(ctx)
	}
	for n, limited := range []bool{false, true, true} {
		p := a.ask(http.MethodPost, https+"/token", formBody(url.Values{}), hangUp)
		if got := p.status == http.StatusTooManyRequests; got != limited {
			t.Errorf("request %d, taken back: %d, want limited %v", n+1, p.status, limited)
		}
	}
}

// TestLimitCountsByAddress: one busy neighbour does not lock out the next, and
// X-Forwarded-For of strangers is not believed.
func TestLimitCountsByAddress(t *testing.T) {
	t.Parallel()
	a := newAlone(t, https, declared, func(d *server.Deps) { d.RequestsPerMinute = 1 })
	from := func(address, forwarded string) edit {
		return func(r *http.Request) {
			r.RemoteAddr = address
			r.Header.Set("X-Forwarded-For", forwarded)
		}
	}
	for _, c := range []struct {
		name, address, forwarded string
		limited                  bool
	}{
		{"first", "192.0.2.1:1000", "198.51.100.1", false},
		{"again, from another port, in another name", "192.0.2.1:1001", "198.51.100.2", true},
		{"somebody else", "192.0.2.2:1000", "", false},
		{"IPv6", "[2001:db8:1:2::1]:1000", "", false},
		{"the same customer", "[2001:db8:1:2::2]:1000", "", true},
		{"another customer", "[2001:db8:1:3::1]:1000", "", false},
	} {
		p := a.ask(http.MethodPost, https+"/token", formBody(url.Values{}), from(c.address, c.forwarded))
		if got := p.status == http.StatusTooManyRequests; got != c.limited {
			t.Errorf("%s: %d, want limited %v", c.name, p.status, c.limited)
		}
	}
}

// TestNothingDeclared: the operator learns what to do, clients that there is nothing.
func TestNothingDeclared(t *testing.T) {
	t.Parallel()
	a := newAlone(t, https, "", nil)
	home := a.ask(http.MethodGet, https+"/")
	home.isPage(t, http.StatusOK)
	if !strings.Contains(home.body, "signpost apply") {
		t.Errorf("the page does not say what to do next:\n%s", home.body)
	}
	for _, path := range []string{"/.well-known/webfinger?resource=acct:a@example.test", "/.well-known/openid-configuration", "/jwks", "/authorize", "/t/x/authorize", "/configuration"} {
		if p := a.ask(http.MethodGet, https+path); p.status != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", path, p.status)
		}
	}
}

// TestR32PublicDiscoveryAsksNoAccount runs the public requests over a store that
// fails the test when it is asked anything.
func TestR32PublicDiscoveryAsksNoAccount(t *testing.T) {
	t.Parallel()
	asked := &askedStore{}
	a := newAlone(t, https, declared, func(d *server.Deps) { d.Issuer.Store = asked })
	for _, path := range []string{
		webfinger.Path + "?resource=acct:alice@example.test",
		webfinger.Path + "?resource=acct:nobody@example.test&rel=" + url.QueryEscape(oidc.RelIssuer),
		webfinger.Path + "?resource=mailto:alice@example.test",
		webfinger.Path + "?resource=https://example.test",
		webfinger.Path + "?resource=" + https,
		"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
		"/.well-known/oauth-protected-resource/configuration", "/jwks", "/scopes", "/schemas/configuration.json", "/",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if path == "/" && method == http.MethodHead {
				continue
			}
			if p := a.ask(method, https+path, header("Authorization", "Bearer x")); p.status != http.StatusOK {
				t.Errorf("%s %s: %d, want 200", method, path, p.status)
			}
		}
	}
	if got := asked.methods(); len(got) != 0 {
		t.Errorf("public discovery asked the store: %v", got)
	}
	a.token(https, refreshForm("x"))
	if got := asked.methods(); !slices.Equal(got, []string{"Refresh"}) {
		t.Errorf("a refresh asked the store %v, want Refresh: else this test proves nothing", got)
	}
}
