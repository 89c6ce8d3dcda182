package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/internal/idptest"
	"signpost/internal/servertest"
	"signpost/oidc"
)

// TestR12RememberedConsent: a web site is not asked about twice; anything more than was
// allowed, and anybody else, is.
func TestR12RememberedConsent(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	b := newBrowser(t)
	if told := b.signIn(authorizeURL(s.URL, portal())); told.Get("code") == "" || told.Get("from") != "signpost" || told.Get("iss") != s.URL {
		t.Fatalf("the first time the client was told %v, want a code beside what its redirect URI says", told)
	}
	for name, c := range map[string]struct {
		edit  func(url.Values)
		asked bool
	}{
		"the same":             {portal(), false},
		"less":                 {portal(set("scope", mailScope)), false},
		"more":                 {portal(set("scope", "openid "+mailScope+" "+calendarScope)), true},
		"for longer":           {portal(set("scope", "openid offline_access "+mailScope)), true},
		"prompt=consent":       {portal(set("prompt", "consent")), true},
		"prompt=login consent": {portal(set("prompt", "login consent")), true},
		"prompt=login":         {portal(set("prompt", "login")), false},
		"on the device":        {portal(set("redirect_uri", redirectURI)), true},
		"another client":       {portal(set("client_id", "second"), set("redirect_uri", secondRedirect)), true},
		"the open client":      {set("scope", "openid "+mailScope), true},
	} {
		told := b.asks(authorizeURL(s.URL, c.edit))
		if (told == nil) != c.asked || !c.asked && told.Get("code") == "" {
			t.Errorf("%s: the client was told %v, want the person asked: %v", name, told, c.asked)
		}
	}
	s.IDP.SignInAs("b2")
	if told := newBrowser(t).asks(authorizeURL(s.URL, portal())); told != nil {
		t.Errorf("another person: the client was told %v without asking them", told)
	}
	s.IDP.SignInAs("a1")
	want := []string{"remembered", "remembered", "remembered"}
	if got := rows(t, s, `SELECT rule FROM audit_events WHERE kind = 'consent' AND rule <> ''`); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("consents in the audit by rule: %v, want %v", got, want)
	}
}

// TestR12ConsentGrows: what is allowed later is remembered with what was before, and
// a no is not.
func TestR12ConsentGrows(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	b := newBrowser(t)
	mail, calendar := portal(set("scope", mailScope)), portal(set("scope", calendarScope))
	both := portal(set("scope", mailScope+" "+calendarScope))
	ticket, _ := b.toConsent(authorizeURL(s.URL, mail))
	b.post(s.URL+"/consent", url.Values{"ticket": {ticket}, "decision": {"deny"}})
	if told := b.asks(authorizeURL(s.URL, mail)); told != nil {
		t.Fatalf("after a no the client was told %v", told)
	}
	b.signIn(authorizeURL(s.URL, mail))
	b.signIn(authorizeURL(s.URL, calendar))
	for _, edit := range []func(url.Values){mail, calendar, both} {
		if told := b.asks(authorizeURL(s.URL, edit)); told.Get("code") == "" {
			t.Errorf("after both were allowed, the client was told %v, want a code", told)
		}
	}
}

// TestOpenIDCorePromptNone: "The Authorization Server MUST NOT display any authentication
// or consent user interface pages"
// (https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest).
func TestOpenIDCorePromptNone(t *testing.T) {
	t.Parallel()
	fault := func(change func(*idptest.Faults)) func(*servertest.Server) {
		return func(s *servertest.Server) { s.IDP.Set(change) }
	}
	nothing := func(*servertest.Server) {}
	none := set("prompt", "none")
	for name, c := range map[string]struct {
		before func(s *servertest.Server)
		edit   func(url.Values)
		want   string
	}{
		"allowed before":           {nothing, portal(none), ""},
		"with max_age":             {nothing, portal(none, set("max_age", "60")), ""},
		"more than allowed":        {nothing, portal(none, set("scope", mailScope+" "+filesScope)), oidc.CodeConsentRequired},
		"another client":           {nothing, portal(none, set("client_id", "second"), set("redirect_uri", secondRedirect)), oidc.CodeConsentRequired},
		"on the device":            {nothing, portal(none, set("redirect_uri", redirectURI)), oidc.CodeConsentRequired},
		"with credentials":         {nothing, portal(none, set("client_id", "desk"), set("redirect_uri", redirectURI)), oidc.CodeConsentRequired},
		"the open client":          {nothing, none, oidc.CodeConsentRequired},
		"with consent":             {nothing, portal(set("prompt", "none consent")), oidc.CodeInvalidRequest},
		"not signed in":            {func(s *servertest.Server) { s.IDP.Deny("login_required") }, portal(none), oidc.CodeLoginRequired},
		"interaction there":        {func(s *servertest.Server) { s.IDP.Deny("interaction_required") }, portal(none), oidc.CodeLoginRequired},
		"a choice there":           {func(s *servertest.Server) { s.IDP.Deny("account_selection_required") }, portal(none), oidc.CodeLoginRequired},
		"somebody new":             {func(s *servertest.Server) { s.IDP.SignInAs("b2") }, portal(none), oidc.CodeConsentRequired},
		"provider does not answer": {fault(func(f *idptest.Faults) { f.FailAt = idptest.PathToken }), portal(none), oidc.CodeTemporarilyUnavailable},
		"answer that is wrong":     {fault(func(f *idptest.Faults) { f.WrongNonce = true }), portal(none), oidc.CodeServerError},
		"no address any more":      {fault(func(f *idptest.Faults) { f.EmailNotVerified = true }), portal(none), oidc.CodeAccessDenied},
		"sign-in too old":          {fault(func(f *idptest.Faults) { f.NoAuthTime = true }), portal(none, set("max_age", "60")), oidc.CodeLoginRequired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t)
			declarePortals(t, s)
			b := newBrowser(t)
			b.signIn(authorizeURL(s.URL, portal()))
			c.before(s)
			b.get(authorizeURL(s.URL, c.edit))
			if b.answer == nil {
				t.Fatal("a page was shown, want an answer to the client")
			}
			told := b.answer.Query()
			if told.Get("error") != c.want || told.Has("code") != (c.want == "") || told.Get("iss") != s.URL || told.Get("state") != "s1" {
				t.Errorf("the client was told %v, want error %q", told, c.want)
			}
			if got := rows(t, s, `SELECT upstream_subject FROM accounts`); len(got) != 1 {
				t.Errorf("accounts of %v, want alice's alone: nobody was asked", got)
			}
		})
	}
}

// TestOpenIDCorePromptNoneChoosesNothing: where more than one identity provider may sign the
// person in, the request has to say which.
func TestOpenIDCorePromptNoneChoosesNothing(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	b := newBrowser(t)
	first := b.signIn(authorizeURL(s.URL, portal()))
	hint := token(t, s.URL, portalCode(first)).IDToken
	fixed := `        - {id: portal, name: Example Portal, redirect_uris: ["` + portalRedirect + `"]}` + "\n"
	declaration := withClients(twoProviders(s), fixed)
	declare(t, s, declaration, func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return len(r.IdentityProviders) == 2
	})
	for name, c := range map[string]struct {
		edit func(url.Values)
		want string
	}{
		"no word":       {func(url.Values) {}, oidc.CodeInteractionRequired},
		"login_hint":    {set("login_hint", "alice@example.test"), ""},
		"id_token_hint": {set("id_token_hint", hint), ""},
	} {
		b.get(authorizeURL(s.URL, portal(set("prompt", "none"), c.edit)))
		if b.answer == nil || b.answer.Query().Get("error") != c.want {
			t.Errorf("%s: the client was told %v, want error %q", name, b.answer, c.want)
		}
	}
	if got := s.IDP.LastRequest().Get("prompt"); got != "none" {
		t.Errorf("upstream prompt %q, want none", got)
	}
}

// portalCode redeems a code of the web site.
func portalCode(told url.Values) url.Values {
	form := codeForm(told.Get("code"))
	form.Set("client_id", "portal")
	form.Set("redirect_uri", portalRedirect)
	return form
}

// TestR12SwitchedOffMeanwhile: a client that is switched off while the person reads the
// page gets nothing, remembered or not.
func TestR12SwitchedOffMeanwhile(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	b := newBrowser(t)
	b.signIn(authorizeURL(s.URL, portal()))
	ticket, consent := b.toConsent(authorizeURL(s.URL, portal(set("prompt", "consent"))))
	waiting := b.atCallback(s.IDP, authorizeURL(s.URL, portal()))
	s.Apply(t, s.Declaration())
	eventually(t, "the client is gone", func() bool {
		r, _ := s.Service.Answers.Current().Realm(servertest.Tenant)
		_, known := r.FixedClient("portal")
		return !known
	})
	b.get(consent.url.String()).isPage(t, http.StatusBadRequest)
	b.post(s.URL+"/consent", allow(ticket)).isPage(t, http.StatusBadRequest)
	p, told := b.comesBack(s.URL, "staff", waiting)
	if p.isPage(t, http.StatusBadRequest); told != nil {
		t.Errorf("the client was told %v after it was switched off", told)
	}
}
