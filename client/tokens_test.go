package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"signpost/client"
)

func TestRefresh(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, scope, resource string
		answer                string
		form                  url.Values
		wantRefresh           string
		wantScope             string
	}{
		{
			"rotated", "", "", tokens("refresh_token", "secret-new"),
			url.Values{}, "secret-new", "openid urn:ietf:params:oauth:scope:mail",
		},
		{
			"kept, narrowed", "mail", "imap.example.com", tokens("refresh_token", nil, "scope", nil),
			url.Values{"scope": {"mail"}, "resource": {"imap.example.com"}}, "secret-old", "mail",
		},
	} {
		p := newProvider(t)
		p.set(tokenPage, reply("application/json", c.answer))
		got, err := p.client.Refresh(t.Context(), p.discover(t), "secret-old", c.scope, c.resource)
		if err != nil || got.RefreshToken != c.wantRefresh || got.Scope != c.wantScope || !got.ExpiresAt.Equal(now.Add(time.Hour)) {
			t.Errorf("%s: Refresh = %#v (refresh token %q), %v", c.name, got, got.RefreshToken, err)
			continue
		}
		c.form.Set("grant_type", "refresh_token")
		c.form.Set("client_id", "open")
		c.form.Set("refresh_token", "secret-old")
		if form := p.requests(tokenPage)[0].PostForm; !reflect.DeepEqual(form, c.form) {
			t.Errorf("%s: token request %v, want %v", c.name, form, c.form)
		}
	}
}

// An ID token after a refresh is verified too, but has no nonce.
func TestRefreshVerifiesTheIDToken(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	signer, stranger := newSigner(t), newSigner(t)
	p.set(keysPage, signer.keys())
	d := p.discover(t)
	p.set(tokenPage, reply("application/json", tokens("id_token", signer.idToken(""))))
	if got, err := p.client.Refresh(t.Context(), d, "secret-old", "", ""); err != nil || got.Subject != "4Jm0pGq8TzS2kYw6Ba9dXQ" {
		t.Errorf("Refresh = %v, %v, want the subject of the ID token", got, err)
	}
	p.set(tokenPage, reply("application/json", tokens("id_token", stranger.idToken(""))))
	if _, err := p.client.Refresh(t.Context(), d, "secret-old", "", ""); !errors.Is(err, client.ErrIDToken) {
		t.Errorf("signed by a stranger: Refresh = %v, want ErrIDToken", err)
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.set(tokenPage, reply("application/json", tokens("access_token", "secret-narrow", "refresh_token", nil, "scope", nil, "expires_in", 900)))
	got, err := p.client.Exchange(t.Context(), p.discover(t), "secret-broad", "imap.example.com", "mail")
	want := client.Tokens{AccessToken: "secret-narrow", TokenType: "Bearer", ExpiresIn: 900, ExpiresAt: now.Add(15 * time.Minute), Scope: "mail"}
	if err != nil || got != want {
		t.Fatalf("Exchange = %#v, %v, want %#v", got, err, want)
	}
	form := url.Values{ // RFC 8693, section 2.1
		"grant_type":           {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"client_id":            {"open"},
		"subject_token":        {"secret-broad"},
		"subject_token_type":   {"urn:ietf:params:oauth:token-type:access_token"},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"audience":             {"imap.example.com"},
		"scope":                {"mail"},
	}
	if asked := p.requests(tokenPage)[0].PostForm; !reflect.DeepEqual(asked, form) {
		t.Errorf("token request %v, want %v", asked, form)
	}
}

func TestRFC8693IssuedTokenTypeIsChecked(t *testing.T) {
	t.Parallel()
	for _, issued := range []any{nil, "", "urn:ietf:params:oauth:token-type:refresh_token", "access_token", 7} {
		p := newProvider(t)
		p.set(tokenPage, reply("application/json", tokens("issued_token_type", issued)))
		got, err := p.client.Exchange(t.Context(), p.discover(t), "secret-broad", "imap.example.com", "")
		if !errors.Is(err, client.ErrMalformed) || got != (client.Tokens{}) {
			t.Errorf("issued_token_type %v: Exchange = %v, %v, want ErrMalformed", issued, got, err)
		}
	}
}

// TestBadTokenAnswers tries the same answers on all three ways to a token.
func TestBadTokenAnswers(t *testing.T) {
	t.Parallel()
	const invalid = `{"error":"invalid_grant","error_description":"expired"}`
	refused := func(status int) error {
		return &client.Error{Code: "invalid_grant", Description: "expired", Status: status}
	}
	for _, c := range []struct {
		name string
		page http.HandlerFunc
		want error
	}{
		{"refused", replyStatus(400, "application/json", invalid), refused(400)},
		{"refused with 401", replyStatus(401, "application/json;charset=utf-8", invalid), refused(401)},
		{"refused with 503", replyStatus(503, "application/json", invalid), refused(503)},
		{"an error without JSON", replyStatus(400, "text/html", invalid), client.ErrMalformed},
		{"an error of the wrong type", replyStatus(400, "application/json", `{"error":400}`), client.ErrMalformed},
		{"an error with 200", reply("application/json", invalid), client.ErrMalformed},
		{"500", replyStatus(500, "text/html", ""), client.ErrUnreachable},
		{"HTML", reply("text/html", tokens()), client.ErrMalformed},
		{"not JSON", reply("application/json", "access_token=secret-access"), client.ErrMalformed},
		{"too long", reply("application/json", tokens("x", strings.Repeat("x", 1<<20))), client.ErrMalformed},
		{"no access token", reply("application/json", tokens("access_token", nil)), client.ErrMalformed},
		{"access token of the wrong type", reply("application/json", tokens("access_token", object{})), client.ErrMalformed},
		{"no token type", reply("application/json", tokens("token_type", nil)), client.ErrUnsupported},
		{"token type DPoP", reply("application/json", tokens("token_type", "DPoP")), client.ErrUnsupported},
		{"token type N_A", reply("application/json", tokens("token_type", "N_A")), client.ErrUnsupported},
		{"expires_in below zero", reply("application/json", tokens("expires_in", -1)), client.ErrMalformed},
		{"expires_in beyond time", reply("application/json", tokens("expires_in", int64(1)<<62)), client.ErrMalformed},
		{"expires_in of the wrong type", reply("application/json", tokens("expires_in", "3600")), client.ErrMalformed},
	} {
		p := newProvider(t)
		p.set(tokenPage, c.page)
		d := p.discover(t)
		for _, way := range ways(t, p, d) {
			got, err := way.ask()
			if want, ok := errors.AsType[*client.Error](c.want); ok {
				if e, ok := errors.AsType[*client.Error](err); !ok || *e != *want {
					t.Errorf("%s: %s = %v, want %v", c.name, way.name, err, want)
				}
			} else if !errors.Is(err, c.want) {
				t.Errorf("%s: %s = %v, want %v", c.name, way.name, err, c.want)
			}
			if got != (client.Tokens{}) {
				t.Errorf("%s: %s gave tokens beside an error", c.name, way.name)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %s: the error holds a secret: %v", c.name, way.name, err)
			}
		}
	}
}

type way struct {
	name string
	ask  func() (client.Tokens, error)
}

// ways are the three ways to a token.
func ways(t *testing.T, p *provider, d client.Discovery) []way {
	t.Helper()
	a := p.authorize(t, d)
	return []way{
		{"Redeem", func() (client.Tokens, error) { return p.client.Redeem(t.Context(), d, a, good(a)) }},
		{"Refresh", func() (client.Tokens, error) { return p.client.Refresh(t.Context(), d, "secret-old", "", "") }},
		{"Exchange", func() (client.Tokens, error) {
			return p.client.Exchange(t.Context(), d, "secret-broad", "imap.example.com", "")
		}},
	}
}

// TestR29NoSecretAlongARedirect: a redirect of the token endpoint or of the
// configuration is not followed, whatever its status and wherever it leads.
func TestR29NoSecretAlongARedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, target := range []string{"https://evil.example.com/", issuer + "/elsewhere", "http://127.0.0.1/"} {
			p := newProvider(t)
			d := p.discover(t)
			moved := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, status) }
			p.set(tokenPage, moved)
			p.set(configurationPage, moved)
			for _, way := range ways(t, p, d) {
				if _, err := way.ask(); !errors.Is(err, client.ErrMalformed) {
					t.Errorf("%s with %d to %s = %v, want ErrMalformed", way.name, status, target, err)
				}
			}
			if _, _, _, err := p.client.Document(t.Context(), d, "secret-broad", ""); !errors.Is(err, client.ErrMalformed) {
				t.Errorf("Document with %d to %s = %v, want ErrMalformed", status, target, err)
			}
			if got := len(p.requests("evil.example.com/")) + len(p.requests("id.example.com/elsewhere")); got != 0 {
				t.Errorf("%d to %s: %d requests followed it", status, target, got)
			}
		}
	}
}

// TestR29NoSecretWithoutEncryption: a Discovery that was changed does not make
// the client send a token by http.
func TestR29NoSecretWithoutEncryption(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	d := p.discover(t)
	d.Metadata.TokenEndpoint = "http://id.example.com/token"
	for _, way := range ways(t, p, d) {
		if _, err := way.ask(); !errors.Is(err, client.ErrInsecure) {
			t.Errorf("%s = %v, want ErrInsecure", way.name, err)
		}
	}
}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	tokens := client.Tokens{AccessToken: "secret-1", RefreshToken: "secret-2", IDToken: "secret-3", TokenType: "Bearer", Scope: "mail", ExpiresIn: 60}
	sign := client.Authorization{URL: "https://id.example.com/?state=secret-4", State: "secret-4", Nonce: "secret-5", Verifier: "secret-6", Issuer: issuer}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("have", "tokens", tokens, "sign-in", sign, "pointer", &tokens)
	for form, got := range map[string]string{
		"%v":  fmt.Sprintf("%v %v", tokens, sign),
		"%+v": fmt.Sprintf("%+v %+v", tokens, &sign),
		"%#v": fmt.Sprintf("%#v %#v", tokens, sign),
		"%s":  fmt.Sprintf("%s %s", &tokens, sign),
		"log": log.String(),
	} {
		if strings.Contains(got, "secret") {
			t.Errorf("%s shows a secret: %s", form, got)
		}
		if !strings.Contains(got, "Bearer token for") || !strings.Contains(got, issuer) {
			t.Errorf("%s = %s, want what is not secret", form, got)
		}
	}
}
