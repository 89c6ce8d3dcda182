package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signpost/internal/servertest"
	"signpost/oidc"
)

// TestR13PrivateUseRedirect: a built-in program is named as what cannot be checked, its answer
// goes to its own scheme, which the page's policy lets through, and nothing is remembered (R12).
func TestR13PrivateUseRedirect(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const redirect = "oc://android.opencloud.eu"
	at := authorizeURL(s.URL, func(q url.Values) {
		q.Set("client_id", "OpenCloudAndroid")
		q.Set("redirect_uri", redirect)
	})
	b := newBrowser(t)
	for range 2 {
		before := b.get(at)
		for _, href := range before.attributes(t, "a", "href") {
			if strings.Contains(href, "/authorize/cancel?") {
				b.get(href)
			}
		}
		if b.answer == nil || !strings.HasPrefix(b.answer.String(), redirect+"?") || b.answer.Query().Get("error") != oidc.CodeAccessDenied {
			t.Errorf("who goes back is sent to %v, want %s with access_denied", b.answer, redirect)
		}
		ticket, consent := b.toConsent(at)
		if csp := consent.header.Get("Content-Security-Policy"); !strings.Contains(csp, "; form-action 'self' oc:; ") {
			t.Errorf("Content-Security-Policy %q, want oc: in form-action", csp)
		}
		if !strings.Contains(consent.body, "It says that it is OpenCloud Android App, but nobody can check that.") {
			t.Errorf("the page does not say who asks: %s", consent.body)
		}
		if b.post(s.URL+"/consent", allow(ticket)); !strings.HasPrefix(b.answer.String(), redirect+"?") || b.answer.Query().Get("code") == "" {
			t.Errorf("sent to %v, want %s with a code", b.answer, redirect)
		}
	}
}

// TestR12WebsiteIsNamed: the page says where a website's answer goes, and the policy lets
// it go there alone.
func TestR12WebsiteIsNamed(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	_, consent := newBrowser(t).toConsent(authorizeURL(s.URL, portal()))
	if csp := consent.header.Get("Content-Security-Policy"); !strings.Contains(csp, "; form-action 'self' https://portal.example.test; ") {
		t.Errorf("Content-Security-Policy %q, want the website's origin in form-action", csp)
	}
	for _, want := range []string{"Example Portal", "The answer goes to portal.example.test and nowhere else."} {
		if !strings.Contains(consent.body, want) {
			t.Errorf("the page does not say %q: %s", want, consent.body)
		}
	}
}

// TestR15RegisteredNamesAreQuoted: the name that a program gave itself is shown as its own
// word, without what could change how the sentence reads.
func TestR15RegisteredNamesAreQuoted(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	registration := ask(t, http.MethodPost, s.URL+"/register", body("application/json",
		`{"redirect_uris":["`+redirectURI+`"],"client_name":"Example Bank","token_endpoint_auth_method":"none"}`))
	var client struct {
		ID string `json:"client_id"`
	}
	registration.json(t, &client)
	at := authorizeURL(s.URL, set("client_id", client.ID))
	for range 2 { // nothing is remembered
		_, consent := newBrowser(t).toConsent(at)
		if !strings.Contains(consent.body, "It calls itself “Example Bank”. This cannot be checked.") || strings.Contains(consent.body, "A website") {
			t.Errorf("the page does not say who asks: %s", consent.body)
		}
		if got := newBrowser(t).signIn(at).Get("code"); got == "" {
			t.Error("no code after consent")
		}
	}
	if told := newBrowser(t).asks(at + "&prompt=none"); told.Get("error") != oidc.CodeConsentRequired {
		t.Errorf("prompt=none: the client was told %v, want consent_required", told)
	}
}

// TestOpenIDCoreUILocalesChoosePage: pages come in the language that the client asked for,
// if there is one (https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest).
func TestOpenIDCoreUILocalesChoosePage(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for locales, want := range map[string]string{"de": "de", "fr de": "de", "fr": "en", "": "en"} {
		b := newBrowser(t)
		before := b.get(authorizeURL(s.URL, set("ui_locales", locales)))
		consent := b.get(upstreamLink(t, before))
		if got := before.header.Get("Content-Language") + consent.header.Get("Content-Language"); got != want+want {
			t.Errorf("ui_locales %q: pages in %s, want %s twice", locales, got, want)
		}
	}
}
