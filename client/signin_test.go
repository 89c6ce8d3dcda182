package client_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signpost/client"
)

func TestAuthorize(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	a, err := p.client.Authorize(p.discover(t), "http://127.0.0.1:7777/callback", "openid mail", address, "https://dav.example.com", "imap.example.com")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Scheme + "://" + u.Host + u.Path; got != issuer+"/authorize" {
		t.Errorf("URL goes to %s, want the authorization endpoint", got)
	}
	digest := sha256.Sum256([]byte(a.Verifier)) // RFC 7636, section 4.2
	want := url.Values{
		"ui":                    {"native"}, // the endpoint's own query stays (RFC 6749, section 3.1)
		"response_type":         {"code"},
		"client_id":             {"open"},
		"redirect_uri":          {"http://127.0.0.1:7777/callback"},
		"scope":                 {"openid mail"},
		"state":                 {a.State},
		"nonce":                 {a.Nonce},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(digest[:])},
		"code_challenge_method": {"S256"},
		"login_hint":            {address},
		"resource":              {"https://dav.example.com", "imap.example.com"},
	}
	if got := u.Query(); !reflect.DeepEqual(got, want) {
		t.Errorf("query %v, want %v", got, want)
	}
}

func TestAuthorizeDefaults(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	d := p.discover(t)
	first, second := p.authorize(t, d), p.authorize(t, d)
	if first.Scope != d.Scope {
		t.Errorf("scope %q, want that of the discovery, %q", first.Scope, d.Scope)
	}
	if strings.Contains(first.URL, "login_hint") || strings.Contains(first.URL, "resource=") {
		t.Errorf("parameters that nobody asked for: %s", first.URL)
	}
	// RFC 7636, section 7.1: 256 bits for the verifier; RFC 6749, section 10.10: 128 for the rest.
	if len(first.Verifier) < 43 || len(first.State) < 26 || len(first.Nonce) < 26 {
		t.Errorf("lengths %d, %d, %d, want at least 43, 26, 26", len(first.Verifier), len(first.State), len(first.Nonce))
	}
	if first.Verifier == second.Verifier || first.State == second.State || first.Nonce == second.Nonce {
		t.Error("two sign-ins share a secret")
	}
}

func TestAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	for name, c := range map[string]struct {
		change func(*client.Discovery)
		want   error
	}{
		"PKCE not supported":   {func(d *client.Discovery) { d.Metadata.CodeChallengeMethods = nil }, client.ErrUnsupported},
		"PKCE plain only":      {func(d *client.Discovery) { d.Metadata.CodeChallengeMethods = []string{"plain"} }, client.ErrUnsupported},
		"no client id":         {func(d *client.Discovery) { d.ClientID = "" }, client.ErrUnsupported},
		"endpoint by http":     {func(d *client.Discovery) { d.Metadata.AuthorizationEndpoint = "http://id.example.com/" }, client.ErrInsecure},
		"endpoint that is not": {func(d *client.Discovery) { d.Metadata.AuthorizationEndpoint = "" }, client.ErrMalformed},
	} {
		d := p.discover(t)
		c.change(&d)
		if a, err := p.client.Authorize(d, "http://127.0.0.1/", "", ""); !errors.Is(err, c.want) || a.URL != "" {
			t.Errorf("%s: Authorize = %v, %v, want %v", name, a, err, c.want)
		}
	}
}

func TestRedeem(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	signer := newSigner(t)
	d := p.discover(t)
	a := p.authorize(t, d)
	p.set(keysPage, signer.keys())
	p.set(tokenPage, reply("application/json;charset=UTF-8", tokens("id_token", signer.idToken(a.Nonce))))
	got, err := p.client.Redeem(t.Context(), d, a, good(a))
	if err != nil {
		t.Fatal(err)
	}
	want := client.Tokens{
		AccessToken: "secret-access", TokenType: "Bearer", ExpiresIn: 3600, ExpiresAt: now.Add(time.Hour),
		Scope: "openid urn:ietf:params:oauth:scope:mail", RefreshToken: "secret-refresh",
		IDToken: got.IDToken, Subject: "4Jm0pGq8TzS2kYw6Ba9dXQ",
	}
	if got != want || got.IDToken == "" {
		t.Errorf("Redeem = %#v, want %#v", got, want)
	}
	form := url.Values{
		"grant_type":    {"authorization_code"},
		"client_id":     {"open"},
		"redirect_uri":  {"http://127.0.0.1:7777/callback"},
		"code":          {"secret-code"},
		"code_verifier": {a.Verifier},
	}
	asked := p.requests(tokenPage)[0]
	if !reflect.DeepEqual(asked.PostForm, form) || asked.URL.RawQuery != "" {
		t.Errorf("token request %v, query %q, want %v", asked.PostForm, asked.URL.RawQuery, form)
	}
}

func TestRedeemWithLittle(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	d := p.discover(t)
	a := p.authorize(t, d)
	p.set(tokenPage, reply("application/json", `{"access_token":"secret-access","token_type":"bearer","later":[1]}`))
	got, err := p.client.Redeem(t.Context(), d, a, good(a))
	want := client.Tokens{AccessToken: "secret-access", TokenType: "bearer", Scope: a.Scope}
	if err != nil || got != want {
		t.Errorf("Redeem = %#v, %v, want the scope that was asked for (RFC 6749, section 5.1)", got, err)
	}
}

// TestRFC9207MissingIss: only an issuer that does not promise iss may leave it out.
func TestRFC9207MissingIss(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.set(tokenPage, reply("application/json", tokens()))
	for promised, want := range map[bool]error{true: client.ErrIssuerMismatch, false: nil} {
		d := p.discover(t)
		d.Metadata.IssParameter = promised
		a := p.authorize(t, d)
		answer := good(a)
		answer.Del("iss")
		if _, err := p.client.Redeem(t.Context(), d, a, answer); !errors.Is(err, want) {
			t.Errorf("promised %v: Redeem = %v, want %v", promised, err, want)
		}
	}
	if got := len(p.requests(tokenPage)); got != 1 {
		t.Errorf("%d token requests, want 1", got)
	}
}

// TestRFC9207CodeStaysUntilTheAnswerIsFoundRight: whatever is wrong with the
// answer in the browser, no code is sent to anybody.
func TestRFC9207CodeStaysUntilTheAnswerIsFoundRight(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	d := p.discover(t)
	refused := &client.Error{}
	for _, c := range []struct {
		name string
		edit func(answer url.Values)
		want error
	}{
		{"wrong state", func(v url.Values) { v.Set("state", "other") }, client.ErrState},
		{"no state", func(v url.Values) { v.Del("state") }, client.ErrState},
		{"state twice", func(v url.Values) { v.Add("state", v.Get("state")) }, client.ErrMalformed},
		{"code twice", func(v url.Values) { v.Add("code", "other") }, client.ErrMalformed},
		{"iss of another issuer", func(v url.Values) { v.Set("iss", "https://evil.example.com") }, client.ErrIssuerMismatch},
		{"iss with a slash", func(v url.Values) { v.Set("iss", issuer+"/") }, client.ErrIssuerMismatch},
		{"iss in capitals", func(v url.Values) { v.Set("iss", "https://ID.example.com") }, client.ErrIssuerMismatch},
		{"iss empty", func(v url.Values) { v.Set("iss", "") }, client.ErrIssuerMismatch},
		{"iss twice", func(v url.Values) { v.Add("iss", issuer) }, client.ErrMalformed},
		{"refusal of another issuer", func(v url.Values) { v.Set("error", "access_denied"); v.Set("iss", "https://evil.example.com") }, client.ErrIssuerMismatch},
		{"refusal of another sign-in", func(v url.Values) { v.Set("error", "access_denied"); v.Set("state", "x") }, client.ErrState},
		{"refusal", func(v url.Values) { v.Set("error", "access_denied") }, refused},
		{"no code", func(v url.Values) { v.Del("code") }, client.ErrMalformed},
		{"nothing", func(v url.Values) { clear(v) }, client.ErrState},
	} {
		a := p.authorize(t, d)
		answer := maps.Clone(good(a))
		c.edit(answer)
		_, err := p.client.Redeem(t.Context(), d, a, answer)
		if errors.Is(c.want, refused) {
			if e, ok := errors.AsType[*client.Error](err); !ok || e.Code != "access_denied" {
				t.Errorf("%s: Redeem = %v, want access_denied", c.name, err)
			}
			continue
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: Redeem(%v) = %v, want %v", c.name, answer, err, c.want)
		}
	}
	other := d
	other.Issuer = "https://other.example.com"
	a := p.authorize(t, d)
	answer := good(a)
	answer.Set("iss", other.Issuer)
	if _, err := p.client.Redeem(t.Context(), other, a, answer); !errors.Is(err, client.ErrIssuerMismatch) {
		t.Errorf("discovery of another issuer: Redeem = %v, want ErrIssuerMismatch", err)
	}
	if _, err := p.client.Redeem(t.Context(), d, client.Authorization{Issuer: issuer}, url.Values{"code": {"x"}, "iss": {issuer}}); !errors.Is(err, client.ErrState) {
		t.Errorf("a sign-in that never began: Redeem = %v, want ErrState", err)
	}
	if got := len(p.requests(tokenPage)); got != 0 {
		t.Errorf("%d token requests, want none", got)
	}
}

func TestRefusalIsSafeToPrint(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	d := p.discover(t)
	a := p.authorize(t, d)
	_, err := p.client.Redeem(t.Context(), d, a, url.Values{
		"state": {a.State}, "iss": {issuer}, "error": {"server_error"}, "error_description": {"no \x1b[31mred\nlines\u202e"},
	})
	if want := "redeem: client: provider refused: server_error: no [31mredlines"; err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestRedeemVerifiesTheIDToken(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	signer, stranger := newSigner(t), newSigner(t)
	p.set(keysPage, signer.keys())
	d := p.discover(t)
	for _, c := range []struct {
		name    string
		idToken func(nonce string) string
	}{
		{"nonce of another sign-in", func(string) string { return signer.idToken("other") }},
		{"no nonce", func(string) string { return signer.idToken("") }},
		{"another issuer", func(n string) string { return signer.idToken(n, "iss", "https://evil.example.com") }},
		{"another client", func(n string) string { return signer.idToken(n, "aud", "other") }},
		{"expired", func(n string) string { return signer.idToken(n, "exp", now.Add(-time.Second).Unix()) }},
		{"no subject", func(n string) string { return signer.idToken(n, "sub", nil) }},
		{"another access token", func(n string) string { return signer.idToken(n, "at_hash", "AAAAAAAAAAAAAAAAAAAAAA") }},
		{"signed by a stranger", func(n string) string { return stranger.idToken(n) }},
		{"not signed", func(n string) string {
			parts := strings.Split(signer.idToken(n), ".")
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
		}},
		{"not a JWT", func(string) string { return "secret" }},
	} {
		a := p.authorize(t, d)
		p.set(tokenPage, reply("application/json", tokens("id_token", c.idToken(a.Nonce))))
		got, err := p.client.Redeem(t.Context(), d, a, good(a))
		if !errors.Is(err, client.ErrIDToken) || got != (client.Tokens{}) {
			t.Errorf("%s: Redeem = %v, %v, want ErrIDToken and no tokens", c.name, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error holds a token: %v", c.name, err)
		}
	}
	a := p.authorize(t, d)
	p.set(tokenPage, reply("application/json", tokens("id_token", signer.idToken(a.Nonce))))
	withoutKeys := d
	withoutKeys.Metadata.JWKSURI = ""
	if _, err := p.client.Redeem(t.Context(), withoutKeys, a, good(a)); !errors.Is(err, client.ErrIDToken) {
		t.Errorf("issuer without keys: Redeem = %v, want ErrIDToken", err)
	}
	// A key that is no secret signs nothing, even if metadata and keys say it does.
	p.set(keysPage, reply("application/json", `{"keys":[{"kty":"oct","kid":"k1","k":"`+base64.RawURLEncoding.EncodeToString(publishedKey)+`"}]}`))
	p.set(tokenPage, reply("application/json", tokens("id_token", signedWithPublishedKey(t, a.Nonce))))
	if _, err := p.client.Redeem(t.Context(), d, a, good(a)); !errors.Is(err, client.ErrIDToken) {
		t.Errorf("HS256: Redeem = %v, want ErrIDToken", err)
	}
	p.set(tokenPage, reply("application/json", tokens("id_token", signer.idToken(a.Nonce))))
	p.set(keysPage, redirect("https://evil.example.com/jwks"))
	p.set("evil.example.com/jwks", signer.keys())
	if _, err := p.client.Redeem(t.Context(), d, a, good(a)); !errors.Is(err, client.ErrIDToken) {
		t.Errorf("keys by redirect: Redeem = %v, want ErrIDToken", err)
	}
}

var publishedKey = []byte("a key that everybody can read is no secret")

func signedWithPublishedKey(t *testing.T, nonce string) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithHeader("kid", "k1")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: publishedKey}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(text(idTokenClaims(nonce))))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.set(tokenPage, reply("application/json", tokens()))
	// browser goes straight to where the sign-in page would send the person.
	browser := func(page string) error {
		u, err := url.Parse(page)
		if err != nil {
			return err
		}
		answer := url.Values{"code": {"secret-code"}, "state": {u.Query().Get("state")}, "iss": {issuer}}
		res, err := http.Get(u.Query().Get("redirect_uri") + "?" + answer.Encode())
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if _, err := io.ReadAll(res.Body); err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		return nil
	}
	got, err := p.client.SignIn(t.Context(), p.discover(t), "", address, browser)
	if err != nil || got.AccessToken != "secret-access" {
		t.Fatalf("SignIn = %v, %v", got, err)
	}
	noBrowser := errors.New("no browser")
	_, err = p.client.SignIn(t.Context(), p.discover(t), "", "", func(string) error { return noBrowser })
	if !errors.Is(err, noBrowser) {
		t.Errorf("SignIn = %v, want what show returned", err)
	}
}
