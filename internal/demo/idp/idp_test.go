package idp

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	redirectURI = "http://127.0.0.1:8480/callback/staff"
	password    = "correct-horse-battery"
)

type fixture struct {
	*Provider
	issuer  string
	browser *http.Client
	config  oauth2.Config
}

func start(t *testing.T, now func() time.Time) *fixture {
	t.Helper()
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	p, err := New(Config{
		Name: "staff", Title: "Example staff", Issuer: server.URL,
		ClientID: "signpost", ClientSecret: "client-secret", RedirectURI: redirectURI,
		People: []Person{
			{Subject: "u1", Username: "alice", Address: "alice@example.test", Name: "Alice Example", Password: password},
			{Subject: "u2", Username: "bob", Address: "bob@example.test", Name: "Bob Example", Password: "another-password"},
		},
		Logger: slog.New(slog.DiscardHandler), Now: now,
	})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	handler = p
	provider, err := gooidc.NewProvider(t.Context(), server.URL)
	if err != nil {
		t.Fatalf("discover: %v", err)
	}
	f := &fixture{Provider: p, issuer: server.URL, config: oauth2.Config{
		ClientID: "signpost", ClientSecret: "client-secret", RedirectURL: redirectURI,
		Endpoint: provider.Endpoint(), Scopes: []string{"openid", "profile", "email"},
	}}
	f.browser = f.newBrowser(t)
	return f
}

// newBrowser keeps cookies and stops where the provider sends it away.
func (f *fixture) newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatalf("make cookie jar: %v", err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(req.URL.String(), f.issuer) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

var hidden = regexp.MustCompile(`name="(request|token)" value="([^"]*)"`)

// open begins a sign-in and returns the hidden fields of the form.
func (f *fixture) open(t *testing.T, verifier string, options ...oauth2.AuthCodeOption) (fields url.Values, page string) {
	t.Helper()
	options = append(options, oauth2.S256ChallengeOption(verifier), gooidc.Nonce("nonce-1"))
	resp, err := f.browser.Get(f.config.AuthCodeURL("state-1", options...))
	page, status := read(t, resp, err)
	if status != http.StatusOK {
		t.Fatalf("sign-in page: status %d: %s", status, page)
	}
	fields = url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		fields.Set(m[1], m[2])
	}
	return fields, page
}

func (f *fixture) submit(t *testing.T, browser *http.Client, fields url.Values, name, password string) (location *url.URL, page string, status int) {
	t.Helper()
	fields.Set("username", name)
	fields.Set("password", password)
	resp, err := browser.PostForm(f.issuer+loginPath, fields)
	page, status = read(t, resp, err)
	location, err = resp.Location()
	if err != nil {
		location = &url.URL{}
	}
	return location, page, status
}

func read(t *testing.T, resp *http.Response, err error) (string, int) {
	t.Helper()
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	return string(body), resp.StatusCode
}

func TestSignInGivesWhatSignpostAsksFor(t *testing.T) {
	t.Parallel()
	f := start(t, time.Now)
	for i, name := range []string{"alice", "Alice@example.test"} {
		verifier := oauth2.GenerateVerifier()
		fields, _ := f.open(t, verifier)
		location, _, _ := f.submit(t, f.browser, fields, name, password)
		query := location.Query()
		if !strings.HasPrefix(location.String(), redirectURI+"?") || query.Get("state") != "state-1" {
			t.Fatalf("as %s: sent to %q, want the redirect URI and the state", name, location)
		}
		token, err := f.config.Exchange(t.Context(), query.Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatalf("as %s: redeem: %v", name, err)
		}
		f.check(t, token)
		if _, err := f.config.Exchange(t.Context(), query.Get("code"), oauth2.VerifierOption(verifier)); err == nil {
			t.Errorf("as %s: a code was redeemed twice", name)
		}
		if got := f.SignIns(); got != int64(i+1) {
			t.Errorf("SignIns = %d after %d sign-ins", got, i+1)
		}
	}
}

func (f *fixture) check(t *testing.T, token *oauth2.Token) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	provider, err := gooidc.NewProvider(ctx, f.issuer)
	if err != nil {
		t.Fatalf("discover: %v", err)
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := provider.Verifier(&gooidc.Config{ClientID: "signpost"}).Verify(ctx, raw)
	if err != nil || idToken.Subject != "u1" || idToken.Nonce != "nonce-1" {
		t.Fatalf("ID token: %+v, %v, want subject u1 and the nonce", idToken, err)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		t.Fatalf("userinfo: %v", err)
	}
	var claims struct {
		Name     string `json:"name"`
		Username string `json:"preferred_username"`
	}
	if err := info.Claims(&claims); err != nil {
		t.Fatalf("userinfo: %v", err)
	}
	if info.Subject != "u1" || info.Email != "alice@example.test" || !info.EmailVerified || claims.Username != "alice" || claims.Name != "Alice Example" {
		t.Errorf("userinfo = %+v %+v, want alice's", info, claims)
	}
}

func TestTheFormSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := start(t, time.Now)
	fields, _ := f.open(t, oauth2.GenerateVerifier())
	for _, c := range [][2]string{{"alice", "wrong-password"}, {"alice", ""}, {"nobody", password}, {"", ""}, {"bob", password}} {
		_, page, status := f.submit(t, f.browser, fields, c[0], c[1])
		if status != http.StatusForbidden || !strings.Contains(page, "do not fit together") {
			t.Errorf("as %q: status %d, want 403 and a sentence: %s", c[0], status, page)
		}
	}
	if got := f.SignIns(); got != 0 {
		t.Errorf("SignIns = %d after wrong passwords, want 0", got)
	}
	if location, _, _ := f.submit(t, f.browser, fields, "alice", password); location.Query().Get("code") == "" {
		t.Errorf("sent to %q after the right password at last, want a code", location)
	}
}

func TestTheFormBelongsToOneRequestAndOneBrowser(t *testing.T) {
	t.Parallel()
	f := start(t, time.Now)
	fields, _ := f.open(t, oauth2.GenerateVerifier())
	other, _ := f.open(t, oauth2.GenerateVerifier()) // the cookie is now that of this one
	for name, c := range map[string]struct {
		browser *http.Client
		change  func(url.Values)
	}{
		"other browser":           {f.newBrowser(t), func(url.Values) {}},
		"token of another page":   {f.browser, func(v url.Values) { v.Set("token", fields.Get("token")) }},
		"no token":                {f.browser, func(v url.Values) { v.Del("token") }},
		"request of another page": {f.browser, func(v url.Values) { v.Set("request", fields.Get("request")) }},
		"unknown request":         {f.browser, func(v url.Values) { v.Set("request", "x") }},
	} {
		sent := url.Values{"request": other["request"], "token": other["token"]}
		c.change(sent)
		if _, page, status := f.submit(t, c.browser, sent, "alice", password); status != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400: %s", name, status, page)
		}
	}
	if got := f.SignIns(); got != 0 {
		t.Errorf("SignIns = %d, want 0", got)
	}
}

func TestARequestEndsAfterTenMinutes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	f := start(t, func() time.Time { return now })
	fields, _ := f.open(t, oauth2.GenerateVerifier())
	now = now.Add(requestTTL)
	if _, _, status := f.submit(t, f.browser, fields, "alice", password); status != http.StatusBadRequest {
		t.Errorf("status %d after ten minutes, want 400", status)
	}
}

func TestPKCEIsRequiredAndChecked(t *testing.T) {
	t.Parallel()
	f := start(t, time.Now)
	resp, err := f.browser.Get(f.config.AuthCodeURL("state-1"))
	read(t, resp, err)
	if location, err := resp.Location(); err != nil || location.Query().Get("error") != "invalid_request" {
		t.Errorf("without code_challenge: sent to %v, %v, want invalid_request", location, err)
	}
	fields, _ := f.open(t, oauth2.GenerateVerifier())
	location, _, _ := f.submit(t, f.browser, fields, "alice", password)
	if _, err := f.config.Exchange(t.Context(), location.Query().Get("code"), oauth2.VerifierOption(oauth2.GenerateVerifier())); err == nil {
		t.Error("a code was redeemed with another verifier")
	}
}

func TestAForeignRedirectOrSecretIsRefused(t *testing.T) {
	t.Parallel()
	f := start(t, time.Now)
	verifier := oauth2.GenerateVerifier()
	elsewhere := f.config
	elsewhere.RedirectURL = "http://127.0.0.1:8480/callback/members"
	resp, err := f.browser.Get(elsewhere.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)))
	if page, status := read(t, resp, err); status != http.StatusBadRequest {
		t.Errorf("other redirect URI: status %d, want 400: %s", status, page)
	}
	fields, _ := f.open(t, verifier)
	location, _, _ := f.submit(t, f.browser, fields, "alice", password)
	wrong := f.config
	wrong.ClientSecret = "another"
	if _, err := wrong.Exchange(t.Context(), location.Query().Get("code"), oauth2.VerifierOption(verifier)); err == nil {
		t.Error("a code was redeemed with another secret")
	}
}

func TestTheSignInPage(t *testing.T) {
	t.Parallel()
	f := start(t, time.Now)
	_, page := f.open(t, oauth2.GenerateVerifier(), oauth2.SetAuthURLParam("login_hint", `"><b>alice`))
	for _, want := range []string{"Example staff", `value="&#34;&gt;&lt;b&gt;alice"`, `type="password"`, `<html lang="en">`} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %q: %s", want, page)
		}
	}
	if strings.Contains(page, "<script") {
		t.Error("page has a script")
	}
	resp, err := f.browser.Get(f.issuer + stylePath)
	if css, status := read(t, resp, err); status != http.StatusOK || !strings.Contains(css, "focus-visible") {
		t.Errorf("style: status %d", status)
	}
}
