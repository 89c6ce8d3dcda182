package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/idptest"
	"signpost/internal/servertest"
	"signpost/oidc"
)

// TestR17PinnedToOnePerson: with an id_token_hint the answer is for that account or it
// is an error, and what the client had stays as it was.
func TestR17PinnedToOnePerson(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	alice := signedIn(t, s.URL, nil)
	pinned := authorizeURL(s.URL, set("id_token_hint", alice.IDToken))

	b := newBrowser(t)
	again := token(t, s.URL, codeForm(b.signIn(pinned).Get("code")))
	if _, id := claims(t, again.IDToken); id["sub"] != subject(t, alice) {
		t.Errorf("subject %v, want the one of the hint", id["sub"])
	}
	if got := s.IDP.LastRequest(); got.Has("login_hint") || got.Has("prompt") {
		t.Errorf("upstream got %v: the hint is not for it", got)
	}

	// Somebody else is asked to choose, once.
	s.IDP.SignInAs("b2")
	before := s.IDP.SignIns()
	b = newBrowser(t)
	told := b.asks(pinned)
	if told.Get("error") != oidc.CodeLoginRequired || told.Has("code") {
		t.Errorf("signed in as somebody else: the client was told %v, want login_required", told)
	}
	if got := s.IDP.SignIns() - before; got != 2 || s.IDP.LastRequest().Get("prompt") != "select_account" {
		t.Errorf("%d sign-ins, the last with prompt %q, want a second one with select_account", got, s.IDP.LastRequest().Get("prompt"))
	}
	if got := rows(t, s, `SELECT upstream_subject FROM accounts`); len(got) != 1 {
		t.Errorf("accounts of %v, want alice's alone", got)
	}
	if got := rows(t, s, `SELECT rule FROM audit_events WHERE kind = 'sign-in-refused'`); len(got) != 1 || got[0] != "another-person" {
		t.Errorf("refusals in the audit: %v, want one for another person", got)
	}
	alive(t, s.URL, alice, "somebody else came")

	// Who then chooses rightly goes on.
	s.IDP.SelectAs("a1")
	_, consent := newBrowser(t).toConsent(pinned)
	if !strings.Contains(consent.body, "alice@example.test") {
		t.Errorf("after the right choice: %s", consent.body)
	}
}

func subject(t testing.TB, a answer) any {
	t.Helper()
	_, id := claims(t, a.IDToken)
	return id["sub"]
}

// TestR17PinnedAgainstAnotherAccount: somebody else who has an account here as well is
// not taken for the one of the hint, and keeps what they had.
func TestR17PinnedAgainstAnotherAccount(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	hint := signedIn(t, s.URL, nil).IDToken
	s.IDP.SignInAs("b2")
	bob := signedIn(t, s.URL, nil)

	told := newBrowser(t).asks(authorizeURL(s.URL, set("id_token_hint", hint)))
	if told.Get("error") != oidc.CodeLoginRequired || told.Has("code") {
		t.Errorf("signed in to another account: the client was told %v, want login_required", told)
	}
	alive(t, s.URL, bob, "a refused sign-in")
}

// TestR17SecondTryIsTheLast: the link of the first try begins nothing more, and the second
// try is bound to the browser as the first is.
func TestR17SecondTryIsTheLast(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	hint := signedIn(t, s.URL, nil).IDToken
	s.IDP.SignInAs("b2")
	b := newBrowser(t)
	before := b.get(authorizeURL(s.URL, set("id_token_hint", hint)))
	back := s.IDP.Visit(t, b.chosen(before))
	second := ask(t, http.MethodGet, s.URL+"/callback/staff?"+back.Encode(), b.cookies)
	to, err := url.Parse(second.header.Get("Location"))
	must(t, err)
	if to.Query().Get("state") == back.Get("state") || to.Query().Get("nonce") == "" {
		t.Errorf("the second try leads to %v, want a state and a nonce of its own", to)
	}
	b.get(upstreamLink(t, before)).isPage(t, http.StatusBadRequest)
	answered := s.IDP.Visit(t, to.String())
	p, told := newBrowser(t).comesBack(s.URL, "staff", answered)
	if p.isPage(t, http.StatusBadRequest); told != nil {
		t.Errorf("in another browser the client was told %v", told)
	}
	if _, told = b.comesBack(s.URL, "staff", answered); told.Get("error") != oidc.CodeLoginRequired {
		t.Errorf("the second try as somebody else: the client was told %v, want login_required", told)
	}
}

// TestR17OldHints: an ID token that has expired still says who it was.
func TestR17OldHints(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	hint := signedIn(t, s.URL, nil).IDToken
	s.Clock.Advance(90 * 24 * time.Hour)
	if before := newBrowser(t).get(authorizeURL(s.URL, set("id_token_hint", hint))); before.status != http.StatusOK {
		t.Errorf("a hint of three months ago: %d, want the page before the identity provider", before.status)
	}
}

// TestR17UnusableHints: what is not an ID token of ours for this client is refused, not ignored.
func TestR17UnusableHints(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	alice := signedIn(t, s.URL, nil)
	far := signedIn(t, s.OtherURL(), set("scope", "openid "+mailScope))
	portals := token(t, s.URL, portalCode(newBrowser(t).signIn(authorizeURL(s.URL, portal()))))
	head, rest, _ := strings.Cut(alice.IDToken, ".")
	_, foreign, _ := strings.Cut(portals.IDToken, ".")
	for name, hint := range map[string]string{
		"no token":             "alice",
		"an access token":      alice.AccessToken,
		"a refresh token":      alice.RefreshToken,
		"of another client":    portals.IDToken,
		"of another tenant":    far.IDToken,
		"without a signature":  alice.IDToken[:strings.LastIndexByte(alice.IDToken, '.')+1],
		"with another payload": head + "." + foreign,
		"with a blank":         head + ". " + rest,
		"too long":             alice.IDToken + strings.Repeat("A", 5000),
	} {
		told := newBrowser(t).asks(authorizeURL(s.URL, set("id_token_hint", hint)))
		if told.Get("error") != oidc.CodeInvalidRequest || told.Get("iss") != s.URL {
			t.Errorf("a hint that is %s: the client was told %v, want invalid_request", name, told)
		}
	}
	if told := newBrowser(t).asks(authorizeURL(s.URL, set("id_token_hint", alice.IDToken, alice.IDToken))); told.Get("error") != oidc.CodeInvalidRequest {
		t.Errorf("two hints: the client was told %v, want invalid_request", told)
	}
}

// TestR17HintChoosesTheProvider: only the account's own identity provider can prove
// that it is the same person.
func TestR17HintChoosesTheProvider(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	hint := signedIn(t, s.URL, nil).IDToken
	declareTwoProviders(t, s)
	for _, login := range []string{"", "carol@partner.test"} {
		p := newBrowser(t).get(authorizeURL(s.URL, func(q url.Values) {
			q.Set("id_token_hint", hint)
			q.Set("login_hint", login)
		}))
		if !strings.Contains(p.body, "/sign-in/staff?") || strings.Contains(p.body, "/sign-in/partners?") {
			t.Errorf("login_hint %q: want staff to choose from and not partners:\n%s", login, p.body)
		}
	}
	// When it is declared no more, nobody can.
	moved := strings.ReplaceAll(s.Declaration(), s.IDP.Issuer, s.FarIDP.Issuer)
	declare(t, s, moved, func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return r.IdentityProviders[0].Issuer == s.FarIDP.Issuer
	})
	told := newBrowser(t).asks(authorizeURL(s.URL, set("id_token_hint", hint)))
	if told.Get("error") != oidc.CodeLoginRequired {
		t.Errorf("after its provider was removed the client was told %v, want login_required", told)
	}
}

// TestR17ContextIsHandedOn: acr and amr are the identity provider's word, and its alone.
func TestR17ContextIsHandedOn(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	with := func(acr string, amr any) map[string]any {
		s.IDP.AddPerson(idptest.Person{Subject: "a1", Name: "Alice Example", Email: "alice@example.test", EmailVerified: true, ACR: acr, AMR: amr})
		_, id := claims(t, signedIn(t, s.URL, func(q url.Values) {
			q.Set("acr_values", "urn:example:gold urn:example:silver")
			q.Set("ui_locales", "fr de")
		}).IDToken)
		return id
	}
	id := with("urn:example:silver", []string{"pwd", "otp"})
	if amr, _ := id["amr"].([]any); id["acr"] != "urn:example:silver" || len(amr) != 2 || amr[0] != "pwd" || amr[1] != "otp" {
		t.Errorf("acr %v and amr %v, want those of the identity provider", id["acr"], id["amr"])
	}
	if last := s.IDP.LastRequest(); last.Get("acr_values") != "urn:example:gold urn:example:silver" || last.Get("ui_locales") != "fr de" {
		t.Errorf("upstream got %v, want acr_values and ui_locales as they were asked", last)
	}
	if id := with("", nil); id["acr"] != nil || id["amr"] != nil {
		t.Errorf("acr %v and amr %v were invented", id["acr"], id["amr"])
	}
}
