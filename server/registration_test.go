package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/server"
)

// registered registers and returns the client id.
func registered(t testing.TB, endpoint, metadata string) string {
	t.Helper()
	p := ask(t, http.MethodPost, endpoint, body("application/json", metadata))
	if p.status != http.StatusCreated || p.header.Get("Content-Type") != "application/json" || p.header.Get("Cache-Control") != "no-store" || p.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("POST %s: %d %v\n%s\nwant 201, JSON, no-store, for every origin", endpoint, p.status, p.header, p.body)
	}
	var answer struct {
		ClientID string `json:"client_id"`
	}
	p.json(t, &answer)
	if answer.ClientID == "" {
		t.Fatalf("no client_id: %s", p.body)
	}
	return answer.ClientID
}

// TestOAuthPublicRegistrationAnswers201 and the client is known at once, at its tenant alone.
func TestOAuthPublicRegistrationAnswers201(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for issuer := range issuers(s) {
		id := registered(t, issuer+"/register", `{"redirect_uris":["`+redirectURI+`"],"token_endpoint_auth_method":"none","client_name":"Example Mail"}`)
		form := refreshForm("unknown")
		form.Set("client_id", id)
		if a := token(t, issuer, form); a.Error != oidc.CodeInvalidGrant {
			t.Errorf("the client at /token: %s, want invalid_grant", a.Error)
		}
		for other := range issuers(s) {
			if a := token(t, other, form); other != issuer && a.Error != oidc.CodeInvalidClient {
				t.Errorf("the client at another tenant: %s, want invalid_client", a.Error)
			}
		}
		if q := asked(t, issuer, func(q url.Values) { q.Set("client_id", id) }); q != nil {
			t.Errorf("the client at /authorize: %v, want a page", q)
		}
	}
}

func TestRFC7591ErrorsOfTheEndpoint(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const good = `{"redirect_uris":["http://127.0.0.1/"]}`
	for name, c := range map[string]struct {
		mediaType, body string
		status          int
		code            string
	}{
		"a form":        {"application/x-www-form-urlencoded", "redirect_uris=x", 400, oidc.CodeInvalidClientMetadata},
		"text":          {"text/plain", good, 400, oidc.CodeInvalidClientMetadata},
		"no JSON":       {"application/json", "x", 400, oidc.CodeInvalidClientMetadata},
		"https":         {"application/json", `{"redirect_uris":["https://example.com/"]}`, 400, oidc.CodeInvalidRedirectURI},
		"with a secret": {"application/json", `{"redirect_uris":["http://127.0.0.1/"],"token_endpoint_auth_method":"client_secret_basic"}`, 400, oidc.CodeInvalidClientMetadata},
		"too large":     {"application/json", good + strings.Repeat(" ", 16<<10), 413, oidc.CodeInvalidRequest},
	} {
		p := ask(t, http.MethodPost, s.URL+"/register", body(c.mediaType, c.body))
		tokenError(t, name, p, c.status, c.code)
	}
	if p := ask(t, http.MethodPost, s.URL+"/register", body("application/json; charset=utf-8", good)); p.status != http.StatusCreated {
		t.Errorf("with a charset: %d, want 201", p.status)
	}
}

// TestRFC9700RegistrationCORS: browsers may register (RFC 9700, section 2.6).
func TestRFC9700RegistrationCORS(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p := ask(t, http.MethodOptions, s.URL+"/register", header("Origin", "https://app.example.com"), header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", "content-type"))
	if p.status != http.StatusNoContent || p.header.Get("Access-Control-Allow-Origin") != "*" || p.header.Get("Access-Control-Allow-Methods") != "POST" || !strings.Contains(p.header.Get("Access-Control-Allow-Headers"), "Content-Type") {
		t.Errorf("preflight: %d %v", p.status, p.header)
	}
}

// TestRegistrationSwitchedOff: nothing is advertised, and the route is like none.
func TestRegistrationSwitchedOff(t *testing.T) {
	t.Parallel()
	a := newAlone(t, "https://id.example.test", `
tenants:
  - {name: example, issuer: base, title: Example, domains: [example.test], clients: {registration: false, url_ids: false}}
`, nil)
	none, off := a.ask(http.MethodPost, "https://id.example.test/nothing"), a.ask(http.MethodPost, "https://id.example.test/register", body("application/json", `{}`))
	shape := func(p page) string {
		var problem map[string]any
		p.json(t, &problem)
		delete(problem, "request_id")
		return fmt.Sprint(p.status, p.header.Get("Content-Type"), problem)
	}
	if got, want := shape(off), shape(none); got != want || off.status != http.StatusNotFound {
		t.Errorf("POST /register: %s, want as for a route that does not exist: %s", got, want)
	}
	var metadata map[string]any
	a.ask(http.MethodGet, "https://id.example.test/.well-known/openid-configuration").json(t, &metadata)
	if endpoint, advertised := metadata["registration_endpoint"]; advertised || metadata["client_id_metadata_document_supported"] != false {
		t.Errorf("advertised %v, %v", endpoint, metadata["client_id_metadata_document_supported"])
	}
}

// TestEveryAdvertisedAuthMethod is tried with a client that has it, except private_key_jwt, whose
// tests are those of oidc/clients.
func TestEveryAdvertisedAuthMethod(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const secret = "a long and random secret 0123456789abcdef"
	s.Apply(t, s.Declaration()+fmt.Sprintf(`    clients:
      fixed:
        - {id: by-basic, name: Basic, redirect_uris: ["https://app.example.test/cb"], authentication: client_secret_basic, secret: %q}
        - {id: by-post, name: Post, redirect_uris: ["https://app.example.test/cb"], authentication: client_secret_post, secret: %q}
`, secret, secret))
	issuer := s.OtherURL()
	basic := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("by-basic:"+url.QueryEscape(secret)))}}
	form := url.Values{"grant_type": {oidc.GrantTypeRefreshToken}, "refresh_token": {"unknown"}}
	eventually(t, "the client that was declared is known", func() bool {
		return tokenRaw(t, issuer, form.Encode(), "application/x-www-form-urlencoded", basic).Error == oidc.CodeInvalidGrant
	})
	form.Set("client_id", "by-post")
	if a := token(t, issuer, form); a.Error != oidc.CodeInvalidClient {
		t.Errorf("without its secret: %s, want invalid_client", a.Error)
	}
	form.Set("client_secret", secret)
	if a := token(t, issuer, form); a.Error != oidc.CodeInvalidGrant {
		t.Errorf("client_secret_post: %s, want the client taken", a.Error)
	}
}

// TestRegistrationHasALimitOfItsOwn, a tenth of what one address may ask otherwise.
func TestRegistrationHasALimitOfItsOwn(t *testing.T) {
	t.Parallel()
	a := newAlone(t, https, declared, func(d *server.Deps) { d.RequestsPerMinute = 20 })
	for n, want := range []int{http.StatusCreated, http.StatusCreated, http.StatusTooManyRequests} {
		p := a.ask(http.MethodPost, https+"/register", body("application/json", `{"redirect_uris":["http://127.0.0.1/"]}`))
		if p.status != want || want == http.StatusTooManyRequests && p.header.Get("Retry-After") == "" {
			t.Errorf("registration %d: %d %v, want %d", n+1, p.status, p.header, want)
		}
	}
	if p := a.ask(http.MethodPost, https+"/token", formBody(url.Values{})); p.status != http.StatusBadRequest {
		t.Errorf("/token after it: %d, want 400: it is counted apart", p.status)
	}
}

// TestR14ARegisteredClientSignsIn all the way: nothing was stored before, and its refresh token
// is good with its id.
func TestR14ARegisteredClientSignsIn(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	id := registered(t, s.URL+"/register", `{"redirect_uris":["http://127.0.0.1/cb","com.example.mail:/cb"],"client_name":"Example Mail"}`)
	own := func(form url.Values) url.Values {
		form.Set("client_id", id)
		return form
	}
	in := token(t, s.URL, own(codeForm(newCode(t, s.URL, set("client_id", id)))))
	if in.Status != http.StatusOK || in.RefreshToken == "" {
		t.Fatalf("redeem: %d %s %s", in.Status, in.Error, in.Description)
	}
	if _, payload := claims(t, in.AccessToken); payload["client_id"] != id {
		t.Errorf("client_id of the token %v, want %s", payload["client_id"], id)
	}
	if again := token(t, s.URL, own(refreshForm(in.RefreshToken))); again.Status != http.StatusOK {
		t.Errorf("refresh: %d %s %s", again.Status, again.Error, again.Description)
	}
}
