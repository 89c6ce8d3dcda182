package server_test

import (
	"context"
	"crypto/x509"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/oidc/clients"
)

// program is a client that signs somebody in and goes on with what it gets.
type program struct {
	t        testing.TB
	s        *servertest.Server
	id       string
	redirect string
	shows    func(form url.Values) []edit // adds credentials to a form, or to its header; nil for none
	in       answer                       // the latest tokens
}

// programScope is what these programs ask for. The calendar's server is asked about their tokens.
const programScope = "openid offline_access " + mailScope + " " + calendarScope

// asks is its authorization request; more changes it further.
func (p *program) asks(more ...func(url.Values)) string {
	return authorizeURL(p.s.URL, func(q url.Values) {
		q.Set("client_id", p.id)
		q.Set("redirect_uri", p.redirect)
		q.Set("scope", programScope)
		for _, change := range more {
			change(q)
		}
	})
}

// sends a form of the program to an endpoint, with what it shows.
func (p *program) sends(path string, form url.Values) page {
	p.t.Helper()
	form = maps.Clone(form)
	form.Set("client_id", p.id)
	var edits []edit
	if p.shows != nil {
		edits = p.shows(form)
	}
	return ask(p.t, http.MethodPost, p.s.URL+path, append(edits, formBody(form))...)
}

// gets sends a form to the token endpoint and wants a token.
func (p *program) gets(what string, form url.Values) answer {
	p.t.Helper()
	said := p.sends("/token", form)
	a := answer{Status: said.status}
	if said.json(p.t, &a); said.status != http.StatusOK {
		p.t.Errorf("%s of %.60s: %d %s %s", what, p.id, said.status, a.Error, a.Description)
	}
	return a
}

// code is the form that redeems what the program was told.
func (p *program) code(told url.Values) url.Values {
	form := codeForm(told.Get("code"))
	form.Set("redirect_uri", p.redirect)
	return form
}

// signsIn somebody and gets the tokens.
func (p *program) signsIn() {
	p.t.Helper()
	if p.in = p.gets("code", p.code(newBrowser(p.t).signIn(p.asks()))); p.in.RefreshToken == "" {
		p.t.Fatalf("%.60s got no refresh token", p.id)
	}
}

// works: it may ask, and what it has is good.
func (p *program) works(when string) {
	p.t.Helper()
	if said := ask(p.t, http.MethodGet, p.asks()); said.status != http.StatusOK {
		p.t.Errorf("%s: authorize: %d %s, want a page", when, said.status, said.body)
	}
	introspected(p.t, p.s.URL, p.in.AccessToken, asDav).isActive(p.t, when)
	p.gets(when+": exchange", exchangeForm(p.in.AccessToken, "imap.example.test"))
	p.in = p.gets(when+": refresh", refreshForm(p.in.RefreshToken))
}

// isUnknown: it may neither ask nor get anything for what it has.
func (p *program) isUnknown(when string) {
	p.t.Helper()
	ask(p.t, http.MethodGet, p.asks()).isPage(p.t, http.StatusBadRequest)
	for path, forms := range map[string][]url.Values{
		"/token":  {refreshForm(p.in.RefreshToken), exchangeForm(p.in.AccessToken, "imap.example.test")},
		"/revoke": {{"token": {p.in.RefreshToken}}},
		"/par":    {authorizeForm(set("redirect_uri", p.redirect))},
	} {
		for _, form := range forms {
			tokenError(p.t, when+": "+path+" "+form.Get("grant_type"), p.sends(path, form), http.StatusUnauthorized, oidc.CodeInvalidClient)
		}
	}
	introspected(p.t, p.s.URL, p.in.AccessToken, asDav).isInactive(p.t, when)
}

// withPolicy is the declaration of withPrograms with more lines about clients, and more of them.
func withPolicy(s *servertest.Server, policy, fixed string) string {
	declaration := strings.Replace(withPrograms(s.Declaration()), "    clients:\n", "    clients:\n"+policy, 1)
	return strings.Replace(declaration, "      fixed:\n", "      fixed:\n"+fixed, 1)
}

// applied declares beside the running server and waits until that is served.
func applied(t testing.TB, s *servertest.Server, declaration string) {
	t.Helper()
	before := s.Service.Answers.Current().Revision
	declare(t, s, declaration, func(now *directory.Snapshot) bool { return now.Revision != before })
}

// documentHost is the host of clients' documents in these tests: the name in the
// certificate of package httptest.
const documentHost = "example.com"

// documents lets a server read JSON documents by their paths at documentHost, by TLS, and
// nothing else.
func documents(t testing.TB, byPath map[string]string) servertest.Option {
	t.Helper()
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document, found := byPath[r.URL.Path]
		if !found || r.Host != documentHost {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(document)) // who hung up is not waiting
	}))
	t.Cleanup(site.Close)
	roots := x509.NewCertPool()
	roots.AddCert(site.Certificate())
	return servertest.Fetch(clients.NewFetch(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, site.Listener.Addr().String())
	}, roots))
}
