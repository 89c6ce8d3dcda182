package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/idptest"
	"signpost/internal/servertest"
	"signpost/oidc"
)

// The tests of the files attack*_test.go do what an attacker did in a review
// (docs/security): each fails when the mending that it is about is taken away.

const (
	imap     = "imap.example.test"
	calendar = "https://dav.example.test/calendars/"
)

// rows asks the server's database beside the running server; each row is one text.
func rows(t testing.TB, s *servertest.Server, query string) (list []string) {
	t.Helper()
	must(t, s.Service.Flush(t.Context()))
	found, err := s.Database(t).QueryContext(t.Context(), query)
	must(t, err)
	defer found.Close()
	for found.Next() {
		var text string
		must(t, found.Scan(&text))
		list = append(list, text)
	}
	must(t, found.Err())
	return list
}

// comesBackAs signs somebody in at an identity provider, brings the answer back,
// and reports whether that led to the consent page.
func comesBackAs(t testing.TB, s *servertest.Server, idp *idptest.Provider, name, subject, hint string) (p page, in bool) {
	t.Helper()
	idp.SignInAs(subject)
	b := newBrowser(t)
	p, told := b.comesBack(s.URL, name, b.atCallback(idp, authorizeURL(s.URL, set("login_hint", hint))))
	return p, told == nil && p.status == http.StatusOK && strings.HasSuffix(p.url.Path, "/consent")
}

// audiences returns the audience of a token, which may be one or several.
func audiences(t testing.TB, jwt string) (aud []string) {
	t.Helper()
	_, payload := claims(t, jwt)
	if one, ok := payload["aud"].(string); ok {
		return []string{one}
	}
	return words(payload["aud"])
}

// loginName is the name in a token.
func loginName(t testing.TB, jwt string) any {
	t.Helper()
	_, payload := claims(t, jwt)
	return payload["preferred_username"]
}

// usernames declares the template of the login name at the calendar.
func usernames(s *servertest.Server, template string) string {
	return strings.Replace(s.Declaration(), `title: Calendar,`, `title: Calendar, username: "`+template+`",`, 1)
}

// calendarUsername reports whether the template is served.
func calendarUsername(template string) func(*directory.Snapshot) bool {
	return func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return slices.ContainsFunc(r.Services, func(s directory.Service) bool { return s.ID == "calendar" && s.Username == template })
	}
}

// TestR1LoginNameIsNotAnAddress: who writes Bob's address into their own login
// name becomes Bob nowhere, whatever the services take as a login name.
func TestR1LoginNameIsNotAnAddress(t *testing.T) {
	t.Parallel()
	const bob = "bob@example.test"
	for name, c := range map[string]struct {
		template string
		mallory  idptest.Person
		in       bool // she gets in, as herself
	}{
		"unverified address":                         {"{address}", idptest.Person{Email: bob, Login: bob}, false},
		"no address":                                 {"{address}", idptest.Person{Login: bob}, false},
		"an address of her own":                      {"{address}", idptest.Person{Email: "mallory@example.test", EmailVerified: true, Login: bob}, true},
		"his name in capitals":                       {"{address}", idptest.Person{Email: "mallory@example.test", EmailVerified: true, Login: "BOB@Example.Test"}, true},
		"his bare name":                              {"{address}", idptest.Person{Email: "mallory@example.test", EmailVerified: true, Login: "bob"}, true},
		"her address and his name, local part alone": {"{local}", idptest.Person{Email: "mallory@example.test", EmailVerified: true, Login: bob}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t)
			if c.template != "{address}" {
				declare(t, s, usernames(s, c.template), calendarUsername(c.template))
			}
			c.mallory.Subject, c.mallory.Name = "m9", "Mallory"
			s.IDP.AddPerson(c.mallory)
			p, in := comesBackAs(t, s, s.IDP, "staff", "m9", "")
			if in != c.in {
				t.Fatalf("mallory with %+v: %d, signed in %v, want %v", c.mallory, p.status, in, c.in)
			}
			if in {
				isNotBob(t, s)
			} else {
				p.isPage(t, http.StatusForbidden)
			}
			s.IDP.SignInAs("b2")
			if got := loginName(t, signedIn(t, s.URL, nil).AccessToken); got != bob {
				t.Errorf("bob himself afterwards: login name %v, want %s", got, bob)
			}
		})
	}
}

// isNotBob signs in whoever is at the identity provider and looks for Bob's name in
// everything that they get.
func isNotBob(t testing.TB, s *servertest.Server) {
	t.Helper()
	broad := signedIn(t, s.URL, nil)
	if got := loginName(t, broad.AccessToken); got != "mallory@example.test" {
		t.Errorf("the broad token's login name is %v, want her own address", got)
	}
	if doc := configuration(t, s.URL, broad.AccessToken, ""); strings.Contains(strings.ToLower(doc.body), "bob@") {
		t.Errorf("her configuration has Bob's name: %s", doc.body)
	}
	for _, audience := range []string{imap, calendar} {
		narrow := token(t, s.URL, exchangeForm(broad.AccessToken, audience))
		if narrow.Status != http.StatusOK {
			continue
		}
		if got, _ := loginName(t, narrow.AccessToken).(string); strings.HasPrefix(strings.ToLower(got), "bob") {
			t.Errorf("her token for %s has the login name %q", audience, got)
		}
	}
}

// TestR1BroadTokenIsNotForOtherNames: a service that knows people by another name
// than the one in the broad token must not take that token.
func TestR1BroadTokenIsNotForOtherNames(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	if aud := audiences(t, signedIn(t, s.URL, nil).AccessToken); !slices.Contains(aud, calendar) {
		t.Fatalf("audience %v, want the calendar in it: else this test proves nothing", aud)
	}
	declare(t, s, usernames(s, "{subject}"), calendarUsername("{subject}"))
	broad := signedIn(t, s.URL, nil)
	if aud := audiences(t, broad.AccessToken); !slices.Equal(aud, []string{s.URL}) {
		t.Errorf("the broad token names alice@example.test and is for %v, want it for the issuer alone", aud)
	}
	narrow := token(t, s.URL, exchangeForm(broad.AccessToken, calendar))
	_, payload := claims(t, broad.AccessToken)
	if narrow.Status != http.StatusOK || loginName(t, narrow.AccessToken) != payload["sub"] {
		t.Errorf("exchange for the calendar: %d %s, want a token with the login name %v", narrow.Status, narrow.Error, payload["sub"])
	}
}

// TestAnsweredRequestBeginsNothingMore: the link to the identity provider is still
// in the browser's history when the person has answered; with somebody else at the
// identity provider it must not make a code for the program that asked then.
func TestAnsweredRequestBeginsNothingMore(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	link := upstreamLink(t, b.get(authorizeURL(s.URL, nil)))
	consent := b.get(link)
	b.post(consent.attributes(t, "form", "action")[0], url.Values{"ticket": {consent.url.Query().Get("ticket")}, "decision": {"allow"}})
	if b.answer == nil {
		t.Fatal("the first sign-in gave no code")
	}
	s.IDP.SignInAs("b2")
	b.get(link).isPage(t, http.StatusBadRequest)
}

// TestForeignBrowserLeavesTheSignIn: who learns a state and comes back with it in
// another browser is refused, and the sign-in is still its owner's.
func TestForeignBrowserLeavesTheSignIn(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	link := upstreamLink(t, b.get(authorizeURL(s.URL, nil)))
	toProvider := b.get(link).header.Get("Location")
	back := b.get(toProvider).header.Get("Location")
	newBrowser(t).get(back).isPage(t, http.StatusBadRequest)
	if p := b.get(back); p.status != http.StatusSeeOther || !strings.Contains(p.header.Get("Location"), "/consent?ticket=") {
		t.Errorf("the owner afterwards: %d to %s, want the consent page", p.status, p.header.Get("Location"))
	}
}

// TestR1BareLoginOfAnotherProvider: the same short name at two identity providers
// is two people, whoever comes first.
func TestR1BareLoginOfAnotherProvider(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]string{"bob first": {"bob", "eve"}, "eve first": {"eve", "bob"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t)
			declareTwoProviders(t, s)
			s.FarIDP.AddPerson(idptest.Person{Subject: "e5", Name: "Eve Partner", Email: "eve@partner.test", EmailVerified: true, Login: "bob"})
			s.FarIDP.SignInAs("e5")
			s.IDP.SignInAs("b2")
			for _, who := range order {
				address := map[string]string{"bob": "bob@example.test", "eve": "eve@partner.test"}[who]
				broad := signedIn(t, s.URL, set("login_hint", address))
				narrow := token(t, s.URL, exchangeForm(broad.AccessToken, imap))
				for kind, jwt := range map[string]string{"broad": broad.AccessToken, "narrow": narrow.AccessToken} {
					if got := loginName(t, jwt); got != address {
						t.Errorf("%s's %s token: login name %v, want %s", who, kind, got, address)
					}
				}
			}
			if got := rows(t, s, `SELECT name FROM account_names WHERE name = 'bob'`); len(got) != 0 {
				t.Errorf("the name %v is somebody's, where two providers may give it", got)
			}
		})
	}
}

// TestR2NobodyWithoutAnAddress: a person for whom nobody proved an address is
// told so, the owner can see it, and no account is made.
func TestR2NobodyWithoutAnAddress(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.IDP.AddPerson(idptest.Person{Subject: "m9", Name: "Mallory", Login: "mallory"})
	p, _ := comesBackAs(t, s, s.IDP, "staff", "m9", "")
	p.isPage(t, http.StatusForbidden)
	if !strings.Contains(p.body, "Your address was not confirmed") {
		t.Errorf("the page does not say why:\n%s", p.body)
	}
	want := []string{"sign-in-refused no-address refused " + p.header.Get("X-Request-Id")}
	got := rows(t, s, `SELECT kind || ' ' || rule || ' ' || outcome || ' ' || request_id FROM audit_events WHERE kind LIKE 'sign-in%'`)
	if !slices.Equal(got, want) {
		t.Errorf("audit %v, want %v", got, want)
	}
	if got := rows(t, s, `SELECT upstream_subject FROM accounts`); len(got) != 0 {
		t.Errorf("accounts %v, want none", got)
	}
}

// TestR1AddressGoesToTheNewProvider: when one identity provider took the place of
// another, its people take over their addresses, and what the old one's people had
// stays ended, even if that one comes back.
func TestR1AddressGoesToTheNewProvider(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	at := func(issuer string) func(*directory.Snapshot) bool {
		return func(now *directory.Snapshot) bool {
			r, _ := now.Realm(servertest.Tenant)
			return r.IdentityProviders[0].Issuer == issuer
		}
	}
	before := signedIn(t, s.URL, nil)
	s.IDP.SignInAs("b2")
	bob := signedIn(t, s.URL, nil)

	moved := strings.Replace(s.Declaration(), s.IDP.Issuer, s.FarIDP.Issuer, 1)
	moved = strings.Replace(moved, s.IDP.ClientSecret, s.FarIDP.ClientSecret, 1)
	declare(t, s, moved, at(s.FarIDP.Issuer))
	ended(t, s.URL, before, "its identity provider was replaced")
	s.FarIDP.AddPerson(idptest.Person{Subject: "new1", Name: "Alice Moved", Email: "alice@example.test", EmailVerified: true, Login: "alice"})
	s.FarIDP.SignInAs("new1")
	after := signedIn(t, s.URL, nil)
	alive(t, s.URL, after, "the move")
	if got := loginName(t, after.AccessToken); got != "alice@example.test" {
		t.Errorf("login name %v after the move, want her address", got)
	}
	_, old := claims(t, before.AccessToken)
	_, now := claims(t, after.AccessToken)
	if old["sub"] == now["sub"] {
		t.Errorf("subject %v before and after: another provider's account is another account", old["sub"])
	}
	living := rows(t, s, `SELECT account_id FROM grants WHERE ended_at IS NULL AND account_id = '`+old["sub"].(string)+`'`)
	reasons := rows(t, s, `SELECT ended_reason FROM grants WHERE account_id = '`+old["sub"].(string)+`'`)
	if len(living) != 0 || !slices.Equal(reasons, []string{"replaced"}) {
		t.Errorf("%d living grants of the old account, all ended for %v, want none, ended because it was replaced", len(living), reasons)
	}

	declare(t, s, s.Declaration(), at(s.IDP.Issuer))
	ended(t, s.URL, before, "another account took its address")
	alive(t, s.URL, bob, "his provider came back, and nobody took his address")
	ended(t, s.URL, after, "its identity provider was removed in turn")
}

// TestR17PromptLoginIsEnforced: the answer of an identity provider that let an old
// sign-in do, or does not say, is not the fresh sign-in that the client asked for.
func TestR17PromptLoginIsEnforced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prompt string // and what else is asked
		before func(s *servertest.Server)
		want   string
	}{
		"fresh":                        {"login", func(*servertest.Server) {}, ""},
		"old":                          {"login", ahead, oidc.CodeLoginRequired},
		"missing":                      {"login", noAuthTime, oidc.CodeLoginRequired},
		"missing, login and consent":   {"login consent", noAuthTime, oidc.CodeLoginRequired},
		"missing, with select_account": {"select_account login", noAuthTime, oidc.CodeLoginRequired},
		"old, within max_age":          {"login&max_age=3600", ahead, oidc.CodeLoginRequired},
		"old, not asked for":           {"select_account", ahead, ""},
		"missing, not asked for":       {"consent", noAuthTime, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t)
			c.before(s)
			b := newBrowser(t)
			_, told := b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorizeURL(s.URL, nil)+"&prompt="+strings.ReplaceAll(c.prompt, " ", "+")))
			if told.Get("error") != c.want || told.Has("code") {
				t.Errorf("prompt=%s: the client was told %v, want error %q", c.prompt, told, c.want)
			}
			if got := len(rows(t, s, `SELECT id FROM accounts`)); (got == 0) != (c.want != "") {
				t.Errorf("prompt=%s: %d accounts were made, refused with %q", c.prompt, got, c.want)
			}
		})
	}
}

// ahead sets our clock, so that what the provider calls now lies before the request.
func ahead(s *servertest.Server) { s.Clock.Advance(time.Minute) }

func noAuthTime(s *servertest.Server) {
	s.IDP.Set(func(f *idptest.Faults) { f.NoAuthTime = true })
}
