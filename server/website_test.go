package server_test

import (
	"net/http"
	"net/url"
	"testing"

	"signpost/internal/servertest"
	"signpost/oidc"
)

// What the operator declares of a web site that has a secret.
const (
	secretSite    = `        - {id: webmail, name: Webmail, redirect_uris: ["` + webmailReply + `"], secret: ` + webmailSecret + `}` + "\n"
	webmailReply  = "https://webmail.example.test/cb"
	webmailSecret = "webmail-secret-that-a-machine-made"
)

// startWebmail runs a server that knows it.
func startWebmail(t testing.TB) (*servertest.Server, *program) {
	t.Helper()
	s := servertest.Start(t)
	applied(t, s, withPolicy(s, "", secretSite))
	shows := func(url.Values) []edit { return []edit{basic("webmail", webmailSecret)} }
	return s, &program{t: t, s: s, id: "webmail", redirect: webmailReply, shows: shows}
}

// TestR12ConfidentialWebsite signs in with its secret; its consent is remembered, also for
// requests without a page.
func TestR12ConfidentialWebsite(t *testing.T) {
	t.Parallel()
	s, p := startWebmail(t)
	b := newBrowser(t)
	if told := b.asks(p.asks(set("prompt", "none"))); told.Get("error") != oidc.CodeConsentRequired {
		t.Errorf("prompt=none before anything was allowed: %v, want consent_required", told)
	}
	code := p.code(b.signIn(p.asks()))
	for name, shows := range map[string]func(url.Values) []edit{
		"no secret":      nil,
		"another secret": func(url.Values) []edit { return []edit{basic("webmail", "a guess that is as long as a secret is")} },
		"another method": func(f url.Values) []edit { f.Set("client_secret", webmailSecret); return nil },
		"another's name": func(url.Values) []edit { return []edit{basic(mailServer, secretMail)} },
		"both methods": func(f url.Values) []edit {
			f.Set("client_secret", webmailSecret)
			return []edit{basic("webmail", webmailSecret)}
		},
	} {
		thief := *p
		thief.shows = shows
		tokenError(t, name, thief.sends("/token", code), http.StatusUnauthorized, oidc.CodeInvalidClient)
	}
	p.in = p.gets("code after others tried it", code)
	for name, edit := range map[string]func(url.Values){
		"again": func(url.Values) {}, "less": set("scope", mailScope), "prompt=none": set("prompt", "none"),
	} {
		told := b.asks(p.asks(edit))
		if told.Get("code") == "" || told.Get("iss") != s.URL {
			t.Errorf("%s: the client was told %v, want a code without a question", name, told)
			continue
		}
		p.gets(name, p.code(told))
	}
	if told := b.asks(p.asks(set("scope", allScopes), set("prompt", "none"))); told.Get("error") != oidc.CodeConsentRequired {
		t.Errorf("prompt=none for more: %v, want consent_required", told)
	}
	p.works("signed in")
}

// TestR12FixedClientSwitchedOff by taking it out of the declaration beside the running
// server; when it is back, so is what was allowed to it.
func TestR12FixedClientSwitchedOff(t *testing.T) {
	t.Parallel()
	s, p := startWebmail(t)
	shop := &program{t: t, s: s, id: "shop", redirect: redirectURI}
	p.signsIn()
	shop.signsIn()
	p.works("before")
	for name, declaration := range map[string]string{
		"taken out": withPrograms(s.Declaration()), "denied": withPolicy(s, "      deny: [{id: webmail}]\n", secretSite),
	} {
		applied(t, s, declaration)
		p.isUnknown(name)
		shop.works(name)
		applied(t, s, withPolicy(s, "", secretSite))
		p.works(name + " is over")
		if told := newBrowser(t).asks(p.asks(set("prompt", "none"))); told.Get("code") == "" {
			t.Errorf("%s is over: the client was told %v, want what was allowed remembered", name, told)
		}
	}
}
