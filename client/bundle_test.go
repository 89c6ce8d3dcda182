package client_test

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"signpost/client"
)

// bundle is a configuration with tokens; the changes are to the token of its one service.
func bundle(changes ...any) string {
	token := text(object{
		"access_token": "secret-narrow", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer",
		"expires_in": 900, "scope": "urn:ietf:params:oauth:scope:mail",
	}, changes...)
	return strings.Replace(configuration(), `"id":"mail"`, `"id":"mail","token":`+token, 1)
}

func TestBundle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		services []string
		form     url.Values
	}{
		{nil, url.Values{"client_id": {"open"}}},
		{[]string{"mail", "calendar"}, url.Values{"client_id": {"open"}, "service": {"mail", "calendar"}}},
	} {
		p := newProvider(t)
		d := p.discover(t)
		p.set(configurationPage, reply("application/json", bundle()))
		document, err := p.client.Bundle(t.Context(), d, "secret-broad", c.services...)
		if err != nil || len(document.Incoming) != 1 || document.Incoming[0].Token == nil || document.Incoming[0].Token.AccessToken != "secret-narrow" {
			t.Fatalf("Bundle(%v) = %+v, %v, want a token in the service", c.services, document, err)
		}
		asked := p.requests(configurationPage)[0]
		if asked.Method != http.MethodPost || asked.Header.Get("Authorization") != "Bearer secret-broad" || !reflect.DeepEqual(asked.PostForm, c.form) {
			t.Errorf("Bundle(%v) asks with %s %v %v, want the form %v", c.services, asked.Method, asked.Header, asked.PostForm, c.form)
		}
	}
}

// TestBundleOfRefusals: what the provider refuses of one service is not an error.
func TestBundleOfRefusals(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	d := p.discover(t)
	refused := `"id":"mail","refusal":{"error":"invalid_target","error_description":"not yours"}`
	p.set(configurationPage, reply("application/json", strings.Replace(configuration(), `"id":"mail"`, refused, 1)))
	document, err := p.client.Bundle(t.Context(), d, "secret-broad")
	if err != nil || document.Incoming[0].Token != nil || document.Incoming[0].Refusal == nil || document.Incoming[0].Refusal.Error != "invalid_target" {
		t.Errorf("Bundle = %+v, %v, want the refusal", document, err)
	}
}

func TestBundleBadAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		page http.HandlerFunc
		want error
		code string
	}{
		{"401", replyStatus(401, "text/plain", ""), nil, "invalid_token"},
		{"an unknown service", replyStatus(400, "application/json", `{"error":"invalid_request"}`), nil, "invalid_request"},
		{"429 in words", replyStatus(429, "application/json", `{"error":"temporarily_unavailable"}`), nil, "temporarily_unavailable"},
		{"429", replyStatus(429, "", ""), client.ErrUnreachable, ""},
		{"405", replyStatus(405, "application/problem+json", `{"status":405}`), client.ErrUnsupported, ""},
		{"304", replyStatus(304, "", ""), client.ErrMalformed, ""},
		{"HTML", reply("text/html", bundle()), client.ErrMalformed, ""},
		{"no token's text", reply("application/json", bundle("access_token", nil)), client.ErrMalformed, ""},
		{"a token that ended", reply("application/json", bundle("expires_in", 0)), client.ErrMalformed, ""},
		{"a token without end", reply("application/json", bundle("expires_in", int64(1)<<62)), client.ErrMalformed, ""},
		{"a refresh token", reply("application/json", bundle("issued_token_type", "urn:ietf:params:oauth:token-type:refresh_token")), client.ErrMalformed, ""},
		{"a bound token", reply("application/json", bundle("token_type", "DPoP")), client.ErrUnsupported, ""},
		{"of another issuer", reply("application/json", strings.Replace(bundle(), `"issuer":"`+issuer+`"`, `"issuer":"https://evil.example.com"`, 1)), client.ErrIssuerMismatch, ""},
	} {
		p := newProvider(t)
		d := p.discover(t)
		p.set(configurationPage, c.page)
		document, err := p.client.Bundle(t.Context(), d, "secret-broad")
		if document.Issuer != "" || err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: Bundle = %+v, %v, want an error without a secret and no document", c.name, document, err)
		}
		if c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: Bundle = %v, want %v", c.name, err, c.want)
		}
		if e, ok := errors.AsType[*client.Error](err); c.code != "" && (!ok || e.Code != c.code) {
			t.Errorf("%s: Bundle = %v, want %s", c.name, err, c.code)
		}
	}
}

// TestR29BundleStaysAtTheIssuer: the token goes to no other host, along no redirect, and not in the clear.
func TestR29BundleStaysAtTheIssuer(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]error{
		"":                                       client.ErrUnsupported,
		"https://evil.example.com/configuration": client.ErrForeignHost,
		"http://id.example.com/configuration":    client.ErrInsecure,
		"https://id.example.com/moved":           client.ErrMalformed,
	} {
		p := newProvider(t)
		d := p.discover(t)
		d.ConfigurationURL = link
		p.set("evil.example.com/configuration", reply("application/json", bundle()))
		p.set("id.example.com/moved", redirect("https://evil.example.com/configuration"))
		if _, err := p.client.Bundle(t.Context(), d, "secret-broad"); !errors.Is(err, want) {
			t.Errorf("Bundle at %q = %v, want %v", link, err, want)
		}
		if asked := p.requests("evil.example.com/configuration"); len(asked) != 0 {
			t.Errorf("%q: another host was asked with %v", link, asked[0].Header)
		}
	}
}
