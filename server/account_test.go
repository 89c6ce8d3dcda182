package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"signpost/internal/servertest"
	"signpost/oidc/issuer"
	"signpost/server"
)

// The cookies of a session at the person's own page, by tenant.
const (
	sessionCookie    = "signpost-example.account"
	farSessionCookie = "signpost-other.account"
)

// toAccount signs in to the person's own page, and ends there.
func (b *browser) toAccount(issuer string) page {
	b.t.Helper()
	p := b.get(upstreamLink(b.t, b.get(issuer+"/account")))
	if !isAccount(p) || p.url.RawQuery != "" {
		b.t.Fatalf("signed in: %d at %v, want the account page and nothing in its address\n%s", p.status, p.url, p.body)
	}
	return p
}

// isAccount reports whether a page is the one of who is signed in.
func isAccount(p page) bool {
	return p.status == http.StatusOK && strings.Contains(p.body, `value="sign-out"`)
}

// asksIn reports whether a page is the way in.
func asksIn(p page) bool {
	return p.status == http.StatusOK && strings.Contains(p.body, "/sign-in/") && !strings.Contains(p.body, `name="token"`)
}

// tokenOf is the secret in the page's forms.
func tokenOf(t testing.TB, p page) string {
	t.Helper()
	values := p.attributes(t, "input", "value")
	if len(values) == 0 || len(values[0]) != 43 {
		t.Fatalf("the page's forms hold %q, want 256 bits", values)
	}
	return values[0]
}

// grantsOn lists the grants that a page can end.
func grantsOn(t testing.TB, p page) (ids []string) {
	t.Helper()
	for _, value := range p.attributes(t, "button", "value") {
		if len(value) == 11 {
			ids = append(ids, value)
		}
	}
	return ids
}

// headings of the programs on a page.
func headings(t testing.TB, p page) (list []string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(p.body))
	must(t, err)
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "bdi" && n.Parent.Data == "h3" {
			list = append(list, n.FirstChild.Data)
		}
	}
	return list
}

// secretOf is the session's cookie in a browser.
func (b *browser) secretOf(issuer, name string) string {
	b.t.Helper()
	u, err := url.Parse(issuer)
	must(b.t, err)
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// ends presses a button of the page: field is "grant" or "decision".
func (b *browser) ends(issuer string, at page, field, value string) page {
	b.t.Helper()
	return b.post(issuer+"/account", url.Values{"token": {tokenOf(b.t, at)}, field: {value}})
}

// TestR27EndedByThePerson: at our endpoints, and for introspection, from the answer on. What was not
// meant lives on.
func TestR27EndedByThePerson(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	first, second, shop := signedIn(t, s.URL, nil), signedIn(t, s.URL, nil), signedInShop(t, s)
	narrow := token(t, s.URL, exchangeForm(first.AccessToken, "imap.example.test"))
	introspected(t, s.URL, narrow.AccessToken, asMail).isActive(t, "before")
	for _, in := range []answer{first, second, shop} {
		alive(t, s.URL, in, "sign-in")
	}
	b := newBrowser(t)
	p := b.toAccount(s.URL)
	want := []string{grantOf(t, shop), grantOf(t, second), grantOf(t, first)}
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(grantsOn(t, p))); !slices.Equal(got, want) {
		t.Errorf("grants %q, want %q", got, want)
	}
	for _, want := range []string{
		"Alice Example", "alice@example.test", "signed in with Example staff", "A program that did not identify itself",
		"A program that says it is Shop", "Mail", time.Now().UTC().Format("2 January 2006"),
	} {
		if !strings.Contains(p.body, want) {
			t.Errorf("the page does not say %q:\n%s", want, p.body)
		}
	}

	p = b.ends(s.URL, p, "grant", grantOf(t, first))
	ended(t, s.URL, first, "the person ended it")
	introspected(t, s.URL, narrow.AccessToken, asMail).isInactive(t, "after the person ended it")
	if !isAccount(p) || !strings.Contains(p.body, "Access has ended: A program that did not identify itself.") || len(grantsOn(t, p)) != 2 || p.url.RawQuery != "" {
		t.Errorf("after it was ended: %d at %v\n%s", p.status, p.url, p.body)
	}
	if again := b.get(s.URL + "/account"); strings.Contains(again.body, "Access has ended") {
		t.Error("the page says a second time what was ended")
	}
	for _, in := range []answer{second, shop} {
		alive(t, s.URL, in, "the end of another")
	}

	p = b.ends(s.URL, p, "decision", "end-all")
	ended(t, s.URL, second, "the person ended all")
	if got := configuration(t, s.URL, shop.AccessToken, ""); got.status != http.StatusUnauthorized {
		t.Errorf("the shop's token after the end of all: %d, want 401", got.status)
	}
	if !strings.Contains(p.body, "The access of all programs has ended.") || !strings.Contains(p.body, "No program has access") {
		t.Errorf("after the end of all:\n%s", p.body)
	}
	if p = b.ends(s.URL, p, "decision", "end-all"); !strings.Contains(p.body, "There was nothing to end.") {
		t.Errorf("after the end of nothing:\n%s", p.body)
	}
	events := rows(t, s, `SELECT rule || ' ' || outcome || ' ' || client_id || ' ' || grant_id FROM audit_events WHERE kind = 'grant-ended' ORDER BY id`)
	if want := []string{"person allowed open " + grantOf(t, first), "person allowed  "}; !slices.Equal(events, want) {
		t.Errorf("audit %q, want %q", events, want)
	}
	if reasons := rows(t, s, `SELECT DISTINCT ended_reason FROM grants`); !slices.Equal(reasons, []string{"person"}) {
		t.Errorf("reasons %q, want person", reasons)
	}
}

// TestR26PersonsEndIsKnownAtOnce in the process that did it, before anybody tells it.
func TestR26PersonsEndIsKnownAtOnce(t *testing.T) {
	t.Parallel()
	for name, choice := range map[string]url.Values{"one": {"grant": {"AAAAAAAAAAA"}}, "all": {"decision": {"end-all"}}} {
		var i *issuer.Issuer
		a := newAlone(t, https, declared, func(d *server.Deps) {
			i = d.Issuer
			i.Known = issuer.NewKnown(i.Store, nil, 5*time.Minute, time.Now) // no feed: nobody tells it
		})
		a.toAccount()
		alice, err := i.Store.AccountOf(t.Context(), "example", "https://login.example.test", "a1")
		must(t, err)
		must(t, i.Store.CreateGrant(t.Context(), "example", grantFor(alice, "open"), nil))
		if _, g, err := i.Known.Holder(t.Context(), "example", "AAAAAAAAAAA"); err != nil || !g.EndedAt.IsZero() {
			t.Fatalf("%s: before, %+v, %v, want it alive", name, g, err)
		}
		choice.Set("token", tokenOf(t, a.ask(http.MethodGet, https+"/account")))
		a.ask(http.MethodPost, https+"/account", formBody(choice))
		if _, g, err := i.Known.Holder(t.Context(), "example", "AAAAAAAAAAA"); err != nil || g.EndedAt.IsZero() {
			t.Errorf("%s: after, %+v, %v, want it ended", name, g, err)
		}
	}
}

// TestR12EndingForgetsConsent, whoever ends it but the program itself: it has to ask again.
func TestR12EndingForgetsConsent(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	other := portal(set("client_id", "second"), set("redirect_uri", secondRedirect))
	redeem := func(b *browser, edit func(url.Values), client, redirect string) string {
		t.Helper()
		form := codeForm(b.signIn(authorizeURL(s.URL, edit)).Get("code"))
		form.Set("client_id", client)
		form.Set("redirect_uri", redirect)
		return grantOf(t, token(t, s.URL, form))
	}
	remembered := func(edit func(url.Values)) bool { return newBrowser(t).asks(authorizeURL(s.URL, edit)) != nil }
	for how, end := range map[string]func(grant string){
		"by the person":             func(grant string) { b := newBrowser(t); b.ends(s.URL, b.toAccount(s.URL), "grant", grant) },
		"by the administrator, one": func(grant string) { must(t, s.EndGrant(t, servertest.Tenant, grant)) },
		"by the administrator": func(string) {
			_, err := s.EndGrants(t, servertest.Tenant, "alice@example.test", "portal")
			must(t, err)
		},
	} {
		b := newBrowser(t)
		grant := redeem(b, portal(), "portal", portalRedirect)
		if !remembered(other) {
			redeem(b, other, "second", secondRedirect)
		}
		if !remembered(portal()) || !remembered(other) {
			t.Fatalf("%s: consent was not remembered before", how)
		}
		end(grant)
		if remembered(portal()) {
			t.Errorf("ended %s: the program is let in again without asking", how)
		}
		if !remembered(other) {
			t.Errorf("ended %s: another program has to ask again", how)
		}
	}
	// All at once, what is remembered without a grant as well.
	b := newBrowser(t)
	redeem(b, portal(), "portal", portalRedirect)
	b.ends(s.URL, b.toAccount(s.URL), "decision", "end-all")
	if remembered(portal()) || remembered(other) {
		t.Error("after the end of all a program is let in again without asking")
	}
	// A program that gives its token back keeps the consent.
	in := token(t, s.URL, func() url.Values {
		form := codeForm(b.signIn(authorizeURL(s.URL, portal(set("scope", "openid offline_access "+mailScope)))).Get("code"))
		form.Set("client_id", "portal")
		form.Set("redirect_uri", portalRedirect)
		return form
	}())
	given := giveBack(in.RefreshToken)
	given.Set("client_id", "portal")
	isRevoked(t, revoked(t, s.URL, given))
	if !remembered(portal()) {
		t.Error("a program that gave its token back has to ask again")
	}
}

// TestAccountEndsOnlyTheOwn: another person's and another tenant's are like none.
func TestAccountEndsOnlyTheOwn(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	alice, far := signedIn(t, s.URL, nil), signedIn(t, s.OtherURL(), set("scope", "openid offline_access "+mailScope))
	s.IDP.SignInAs("b2")
	bob := signedIn(t, s.URL, nil)
	b := newBrowser(t)
	p := b.toAccount(s.URL)
	if got := grantsOn(t, p); !slices.Equal(got, []string{grantOf(t, bob)}) || strings.Contains(p.body, "alice@example.test") {
		t.Errorf("bob's page lists %q, want his alone:\n%s", got, p.body)
	}
	var bodies []string
	for name, id := range map[string]string{"alice's": grantOf(t, alice), "another tenant's": grantOf(t, far), "unknown": "AAAAAAAAAAA", "empty": "", "SQL": "' OR '1'='1"} {
		q := b.ends(s.URL, p, "grant", id)
		if !isAccount(q) || !strings.Contains(q.body, "There was nothing to end.") {
			t.Errorf("%s: %d\n%s", name, q.status, q.body)
		}
		bodies = append(bodies, q.body)
	}
	if len(slices.Compact(bodies)) != 1 {
		t.Error("the answer tells whether a grant of somebody else is there")
	}
	b.ends(s.URL, p, "decision", "end-all")
	alive(t, s.URL, alice, "bob ended all of his")
	if q := ask(t, http.MethodGet, s.OtherURL()+"/configuration", header("Authorization", "Bearer "+far.AccessToken)); q.status != http.StatusOK {
		t.Errorf("carol's token after bob ended all of his: %d, want 200", q.status)
	}
	ended(t, s.URL, bob, "he ended all")
}

// TestAccountSignInBrokenOff leads back to the way in, and to no client.
func TestAccountSignInBrokenOff(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, code := range []string{"access_denied", "login_required", "temporarily_unavailable", "server_error"} {
		s.IDP.Deny(code)
		b := newBrowser(t)
		p := b.get(upstreamLink(t, b.get(s.URL+"/account")))
		if !asksIn(p) || p.url.String() != s.URL+"/account?result=failed" || !strings.Contains(p.body, "You were not signed in.") || b.answer != nil {
			t.Errorf("%s: %d at %v, client %v\n%s", code, p.status, p.url, b.answer, p.body)
		}
		if b.secretOf(s.URL, sessionCookie) != "" {
			t.Errorf("%s: the browser has a session", code)
		}
	}
	s.IDP.Deny("")
	b := newBrowser(t)
	way := b.get(s.URL + "/account")
	_, ticket, _ := strings.Cut(upstreamLink(t, way), "?ticket=")
	if p := b.get(s.URL + "/authorize/cancel?ticket=" + ticket); !asksIn(p) {
		t.Errorf("cancelled by hand: %d at %v", p.status, p.url)
	}
	if p := newBrowser(t).get(upstreamLink(t, way)); p.status != http.StatusBadRequest {
		t.Errorf("the link in another browser: %d, want 400", p.status)
	}
}

// TestAccountPageIsPrivate: not kept by anybody, not framed, no client's or stranger's word in it.
func TestAccountPageIsPrivate(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	signedIn(t, s.URL, nil)
	b := newBrowser(t)
	way := b.get(s.URL + "/account")
	for name, p := range map[string]page{"way in": way, "page": b.toAccount(s.URL)} {
		const csp = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "Content-Security-Policy": csp, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		} {
			if got := p.header.Get(header); got != want {
				t.Errorf("%s: %s = %q, want %q", name, header, got, want)
			}
		}
	}
	for _, want := range []string{"The Signpost of Example Organisation itself", "Example staff"} {
		if !strings.Contains(way.body, want) {
			t.Errorf("the way in does not say %q:\n%s", want, way.body)
		}
	}
	if strings.Contains(way.body, "/authorize/cancel") || strings.Contains(way.body, "You were not signed in.") {
		t.Errorf("the way in:\n%s", way.body)
	}
	if secret := b.secretOf(s.URL, sessionCookie); secret == "" || strings.Contains(s.Log.String(), secret) || strings.Contains(b.get(s.URL+"/account").body, secret) {
		t.Error("the session's secret is in the log or in the page")
	}
	if got := rows(t, s, `SELECT kind || ' ' || client_id FROM audit_events WHERE kind IN ('consent', 'sign-in') ORDER BY id DESC LIMIT 1`); !slices.Equal(got, []string{"sign-in "}) {
		t.Errorf("audit of the sign-in: %q, want no client", got)
	}
}

// toAccount signs alice in to her own page and returns the answer to the identity provider's.
func (a *alone) toAccount() page {
	a.t.Helper()
	to, err := url.Parse(a.ask(http.MethodGet, upstreamLink(a.t, a.ask(http.MethodGet, https+"/account"))).header.Get("Location"))
	must(a.t, err)
	return a.ask(http.MethodGet, https+"/callback/staff?code=x&state="+to.Query().Get("state"))
}
