package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/server"
)

// tokenError reads RFC 6749, section 5.2 JSON and checks what every one has.
func tokenError(t testing.TB, name string, p page, status int, code string) {
	t.Helper()
	var e struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if p.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %d %s, want JSON", name, p.status, p.header.Get("Content-Type"))
		return
	}
	p.json(t, &e)
	if p.status != status || e.Error != code || len(strings.Fields(e.Description)) < 2 {
		t.Errorf("%s: got %d %s, want %d %s with a sentence", name, p.status, p.body, status, code)
	}
	if got := p.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s: Cache-Control %q, want no-store (RFC 6749, section 5.1)", name, got)
	}
	if p.header.Get("X-Request-Id") == "" {
		t.Errorf("%s: no request id", name)
	}
}

func TestOversizedRequests(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	big := formBody(url.Values{"x": {strings.Repeat("x", 100<<10)}})
	for _, issuer := range []string{s.URL, s.OtherURL()} {
		tokenError(t, "token", ask(t, http.MethodPost, issuer+"/token", big), http.StatusRequestEntityTooLarge, oidc.CodeInvalidRequest)
		ask(t, http.MethodPost, issuer+"/authorize", big).isPage(t, http.StatusRequestEntityTooLarge)
		ask(t, http.MethodPost, issuer+"/consent", big).isPage(t, http.StatusRequestEntityTooLarge)
	}
	// Without a length, what comes is counted.
	unknownLength := func(r *http.Request) {
		big(r)
		r.ContentLength = -1
	}
	tokenError(t, "chunked", ask(t, http.MethodPost, s.URL+"/token", unknownLength), http.StatusRequestEntityTooLarge, oidc.CodeInvalidRequest)

	long := "?x=" + strings.Repeat("x", 9<<10)
	for _, path := range []string{"/authorize", "/.well-known/webfinger", "/callback/staff", "/configuration"} {
		p := ask(t, http.MethodGet, s.URL+path+long)
		if p.status != http.StatusRequestURITooLong {
			t.Errorf("GET %s with a long query: %d, want 414", path, p.status)
		}
		checkProblem(t, path, p)
	}
	if p := ask(t, http.MethodGet, s.URL+"/configuration", header("X-Big", strings.Repeat("x", 64<<10))); p.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("large header: %d, want 431", p.status)
	}
}

// TestUnknownHosts: URLs come from the declaration, never from Host.
func TestUnknownHosts(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, name := range []string{"elsewhere.invalid", "example.test", "127.0.0.1", "127.0.0.1:1", "localhost"} {
		at := host(name)
		for _, path := range []string{"/authorize", "/callback/staff", "/consent", "/", "/t/other", "/t/other/authorize"} {
			ask(t, http.MethodGet, s.URL+path, at).isPage(t, http.StatusMisdirectedRequest)
		}
		for _, path := range []string{"/.well-known/openid-configuration", "/jwks", "/scopes", "/t/other/jwks", "/nothing"} {
			p := ask(t, http.MethodGet, s.URL+path, at)
			if p.status != http.StatusMisdirectedRequest {
				t.Errorf("GET %s at host %s: %d, want 421 (RFC 9110, section 15.5.20)", path, name, p.status)
			}
			checkProblem(t, path, p)
		}
		tokenError(t, "token", ask(t, http.MethodPost, s.URL+"/token", formBody(url.Values{}), at), http.StatusMisdirectedRequest, oidc.CodeInvalidRequest)
		tokenError(t, "configuration", ask(t, http.MethodGet, s.URL+"/configuration", at), http.StatusMisdirectedRequest, oidc.CodeInvalidRequest)
	}
	for _, header := range []edit{header("X-Forwarded-Host", "evil.invalid"), header("Forwarded", "host=evil.invalid"), header("X-Forwarded-Proto", "https")} {
		if got := jsonAt(t, s.URL+"/.well-known/openid-configuration", header)["issuer"]; got != s.URL {
			t.Errorf("issuer %v, want %s whatever a header says", got, s.URL)
		}
	}
}

// TestUnknownTenants: a name that is free and one of a tenant that lives elsewhere
// are answered alike.
func TestUnknownTenants(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, tenant := range []string{"nobody", "example", "OTHER", "..", "other."} {
		for _, path := range []string{"", "/", "/authorize", "/callback/staff", "/consent"} {
			ask(t, http.MethodGet, s.URL+"/t/"+tenant+path).isNotFound(t)
		}
		p := ask(t, http.MethodPost, s.URL+"/t/"+tenant+"/token", formBody(refreshForm("x")))
		if p.status != http.StatusNotFound {
			t.Errorf("token at tenant %q: %d, want 404", tenant, p.status)
		}
	}
	tokenError(t, "token", ask(t, http.MethodPost, s.URL+"/t/nobody/token", formBody(refreshForm("x"))), http.StatusNotFound, oidc.CodeInvalidRequest)
	tokenError(t, "configuration", ask(t, http.MethodGet, s.URL+"/t/nobody/configuration"), http.StatusNotFound, oidc.CodeInvalidRequest)
}

// isNotFound takes a 404 for people or for machines.
func (p page) isNotFound(t testing.TB) {
	t.Helper()
	if p.status != http.StatusNotFound || p.header.Get("Location") != "" {
		t.Errorf("GET %v: %d to %q, want 404", p.url, p.status, p.header.Get("Location"))
	}
}

func TestWrongMethods(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for path, allowed := range map[string]string{
		"/token": "POST", "/authorize": "GET, POST", "/consent": "GET, POST", "/callback/staff": "GET", "/configuration": "GET, HEAD, POST",
		"/jwks": "GET, HEAD, OPTIONS", "/scopes": "GET, HEAD, OPTIONS", "/t/other/token": "POST",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodTrace} {
			if strings.Contains(allowed, method) {
				continue
			}
			p := ask(t, method, s.URL+path)
			if p.status != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d, want 405", method, path, p.status)
			}
			for want := range strings.SplitSeq(allowed, ", ") {
				if allow := p.header.Get("Allow"); !strings.Contains(allow, want) {
					t.Errorf("%s %s: Allow %q, want %s in it", method, path, allow, want)
				}
			}
			if method != http.MethodHead {
				checkProblem(t, path, p)
			}
		}
	}
}

// TestHeadersOfEveryAnswer, whoever reads it.
func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	ids := map[string]bool{}
	for _, path := range []string{
		"/", "/nothing", "/authorize", "/consent", "/callback/staff", "/callback/nobody", "/configuration", "/token", "/jwks",
		"/.well-known/webfinger", "/.well-known/openid-configuration", "/assets/nothing.css", "/t/nobody",
	} {
		p := ask(t, http.MethodGet, s.URL+path, header("X-Request-Id", "mine"))
		id := p.header.Get("X-Request-Id")
		if len(id) < 12 || ids[id] {
			t.Errorf("GET %s: request id %q, want a new one", path, id)
		}
		ids[id] = true
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"} {
			if got := p.header.Get(name); got != want {
				t.Errorf("GET %s: %s %q, want %q", path, name, got, want)
			}
		}
		if p.header.Get("Cache-Control") == "" {
			t.Errorf("GET %s: %d without Cache-Control", path, p.status)
		}
	}
	// Cross-origin reading is for public documents and for programs, never for what people
	// see (RFC 9700, section 2.6).
	for _, path := range []string{"/authorize", "/consent", "/callback/staff", "/"} {
		if got := ask(t, http.MethodGet, s.URL+path, header("Origin", "https://app.example")).header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("GET %s: Access-Control-Allow-Origin %q, want none", path, got)
		}
	}
}

// TestPagesAndTheirAssets: what a page loads is there, and comes from nowhere else.
func TestPagesAndTheirAssets(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, at := range []string{s.URL + "/", s.OtherURL(), s.OtherURL() + "/", authorizeURL(s.OtherURL(), nil)} {
		p := ask(t, http.MethodGet, at)
		p.isPage(t, http.StatusOK)
		loaded := append(p.attributes(t, "link", "href"), p.attributes(t, "img", "src")...)
		if len(loaded) < 2 {
			t.Errorf("%s loads %v, want at least a stylesheet and a mark", at, loaded)
		}
		for _, path := range loaded {
			asset := ask(t, http.MethodGet, s.URL+path)
			if asset.status != http.StatusOK || !strings.Contains(asset.header.Get("Cache-Control"), "immutable") {
				t.Errorf("GET %s: %d %s, want 200 to keep", path, asset.status, asset.header.Get("Cache-Control"))
			}
		}
	}
}

// TestStoreAway: the public documents go on, everything else asks to try again
// and ends nothing.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	asked := &askedStore{}
	a := newAlone(t, https, declared, func(d *server.Deps) { d.Issuer.Store = asked })
	for grantType, form := range map[string]url.Values{"code": codeForm("x"), "refresh": refreshForm("x")} {
		tokenError(t, grantType, a.ask(http.MethodPost, https+"/token", formBody(form)), http.StatusServiceUnavailable, oidc.CodeTemporarilyUnavailable)
	}
	back := a.ask(http.MethodGet, https+"/callback/staff?code=x&state="+a.state(https))
	back.isPage(t, http.StatusServiceUnavailable)
	if strings.Contains(back.body, errAway.Error()) {
		t.Errorf("the page tells what is wrong inside:\n%s", back.body)
	}
	if got := len(asked.methods()); got != 3 {
		t.Errorf("the store was asked %v, want three methods", asked.methods())
	}
}
