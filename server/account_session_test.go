package server_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc/issuer"
	"signpost/server"
)

// TestR3AccountSessionIsOfOneTenant: tenants by path share an origin, and cookies come to all.
func TestR3AccountSessionIsOfOneTenant(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	b.toAccount(s.URL)
	if p := b.get(s.OtherURL() + "/account"); !asksIn(p) {
		t.Errorf("the other tenant's page: %d\n%s", p.status, p.body)
	}
	own := b.secretOf(s.URL, sessionCookie)
	for name, cookie := range map[string]string{
		"the secret in the other's cookie": farSessionCookie + "=" + own, "the cookie as it is": sessionCookie + "=" + own,
	} {
		if p := ask(t, http.MethodGet, s.OtherURL()+"/account", header("Cookie", cookie)); !asksIn(p) {
			t.Errorf("%s: %d\n%s", name, p.status, p.body)
		}
	}
	far := b.toAccount(s.OtherURL())
	if !strings.Contains(far.body, "carol@other.test") || strings.Contains(far.body, "alice@example.test") {
		t.Errorf("carol's page:\n%s", far.body)
	}
	if p := b.get(s.URL + "/account"); !isAccount(p) || !strings.Contains(p.body, "alice@example.test") {
		t.Errorf("alice's page, with carol signed in at the other tenant: %d\n%s", p.status, p.body)
	}
}

// TestAccountFormsAreOfThisSession: a form of another site, of no session, or of another session ends nothing.
func TestAccountFormsAreOfThisSession(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	in := signedIn(t, s.URL, nil)
	b, old, bob := newBrowser(t), newBrowser(t), newBrowser(t)
	former := tokenOf(t, old.toAccount(s.URL))
	s.IDP.SignInAs("b2")
	bobs := tokenOf(t, bob.toAccount(s.URL))
	s.IDP.SignInAs("a1")
	own := tokenOf(t, b.toAccount(s.URL))
	cookie := header("Cookie", sessionCookie+"="+b.secretOf(s.URL, sessionCookie))
	grant := url.Values{"token": {own}, "grant": {grantOf(t, in)}}
	with := func(name string, values ...string) edit {
		form := url.Values{}
		for key, v := range grant {
			form[key] = v
		}
		form[name] = values
		if len(values) == 0 {
			form.Del(name)
		}
		return formBody(form)
	}
	for name, c := range map[string]struct {
		status int
		edits  []edit
	}{
		"another site":                {403, []edit{cookie, header("Sec-Fetch-Site", "cross-site")}},
		"another host of this site":   {403, []edit{cookie, header("Sec-Fetch-Site", "same-site")}},
		"another origin":              {403, []edit{cookie, header("Origin", "https://evil.test")}},
		"no origin that can be named": {403, []edit{cookie, header("Origin", "null")}},
		"no token":                    {400, []edit{cookie, with("token")}},
		"an empty token":              {403, []edit{cookie, with("token", "")}},
		"two tokens":                  {400, []edit{cookie, with("token", own, own)}},
		"token of an older session":   {403, []edit{cookie, with("token", former)}},
		"token of another person":     {403, []edit{cookie, with("token", bobs)}},
		"two grants":                  {400, []edit{cookie, with("grant", grantOf(t, in), grantOf(t, in))}},
		"grant and decision":          {400, []edit{cookie, with("decision", "end-all")}},
		"neither":                     {400, []edit{cookie, with("grant")}},
		"a decision that is none":     {400, []edit{cookie, formBody(url.Values{"token": {own}, "decision": {"allow"}})}},
		"by query":                    {400, []edit{cookie, formBody(url.Values{"token": {own}}), func(r *http.Request) { r.URL.RawQuery = "grant=" + grantOf(t, in) }}},
		"as JSON":                     {400, []edit{cookie, body("application/json", `{}`)}},
		"no session":                  {303, nil},
		"a session that never was":    {303, []edit{header("Cookie", sessionCookie+"="+strings.Repeat("x", 47))}},
		"the other cookie's value":    {303, []edit{header("Cookie", sessionCookie+"="+b.secretOf(s.URL, "signpost-example"))}},
	} {
		p := ask(t, http.MethodPost, s.URL+"/account", append([]edit{formBody(grant)}, c.edits...)...)
		if p.status != c.status {
			t.Errorf("%s: %d, want %d\n%s", name, p.status, c.status, p.body)
		}
		alive(t, s.URL, in, name)
	}
	p := ask(t, http.MethodPost, s.URL+"/account", formBody(grant), cookie, header("Sec-Fetch-Site", "same-origin"))
	if p.status != http.StatusSeeOther || p.header.Get("Location") != s.URL+"/account" {
		t.Errorf("the person's own form: %d to %q", p.status, p.header.Get("Location"))
	}
	ended(t, s.URL, in, "the person's own form")
}

// TestAccountSessionIsNew at every sign-in: nobody can know it beforehand, and the one before ends.
func TestAccountSessionIsNew(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	u, err := url.Parse(s.URL)
	must(t, err)
	planted := "sps_" + strings.Repeat("x", 43)
	b.Jar.SetCookies(u, []*http.Cookie{{Name: sessionCookie, Value: planted, Path: "/"}})
	b.toAccount(s.URL)
	first := b.secretOf(s.URL, sessionCookie)
	if first == planted || len(first) != 47 {
		t.Errorf("secret %q after a sign-in with a planted cookie, want a new one", first)
	}
	opens := func(secret string) bool {
		return isAccount(ask(t, http.MethodGet, s.URL+"/account", header("Cookie", sessionCookie+"="+secret)))
	}
	if opens(planted) || !opens(first) {
		t.Errorf("the planted secret opens the page: %v, the new one: %v", opens(planted), opens(first))
	}
	// Signed in once more, with the page of the first session still open.
	s.IDP.SignInAs("b2")
	way := ask(t, http.MethodGet, s.URL+"/account", func(r *http.Request) {
		r.Header.Set("Cookie", "signpost-example="+b.secretOf(s.URL, "signpost-example"))
	})
	if p := b.get(upstreamLink(t, way)); !strings.Contains(p.body, "bob@example.test") {
		t.Errorf("signed in as somebody else: %d\n%s", p.status, p.body)
	}
	if second := b.secretOf(s.URL, sessionCookie); second == first || opens(first) || !opens(second) {
		t.Errorf("the first secret still opens the page, or the second (new: %v) does not", second != first)
	}
	// The link in the browser's history begins nothing more.
	if p := b.get(upstreamLink(t, way)); p.status != http.StatusBadRequest {
		t.Errorf("the used link to the identity provider: %d, want 400", p.status)
	}
}

// TestR1AccountWhoseAddressIsGone: its identity provider is still there, and speaks no more for its domain.
func TestR1AccountWhoseAddressIsGone(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	b.toAccount(s.URL)
	declare(t, s, strings.Replace(s.Declaration(), "domains: [example.test]", "domains: [moved.test]", 1), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return r.Domains[0].Name == "moved.test"
	})
	if q := b.get(s.URL + "/account"); !asksIn(q) {
		t.Errorf("without an address: %d, want the way in\n%s", q.status, q.body)
	}
}

// TestR28AccountSessionEnds by logout, and by the person's own button.
func TestR28AccountSessionEnds(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedInShop(t, s)
	b := newBrowser(t)
	for name, leave := range map[string]func(p page) page{
		"its own button": func(p page) page { return b.ends(s.URL, p, "decision", "sign-out") },
		"the question":   func(page) page { return b.post(s.URL+"/logout", url.Values{"decision": {"end"}}) },
		"a client":       func(page) page { return b.get(s.URL + "/logout?id_token_hint=" + in.IDToken) },
	} {
		p := b.toAccount(s.URL)
		secret := b.secretOf(s.URL, sessionCookie)
		left := leave(p)
		if left.status != http.StatusOK || !strings.Contains(left.body, "You are signed out in this browser") || b.secretOf(s.URL, sessionCookie) != "" {
			t.Errorf("%s: %d, cookie %q\n%s", name, left.status, b.secretOf(s.URL, sessionCookie), left.body)
		}
		if again := ask(t, http.MethodGet, s.URL+"/account", header("Cookie", sessionCookie+"="+secret)); !asksIn(again) {
			t.Errorf("%s: the secret still opens the page: %d", name, again.status)
		}
		alive(t, s.URL, signedInShop(t, s), name)
	}
	// A logout that asks first ends nothing.
	b.toAccount(s.URL)
	b.get(s.URL + "/logout")
	if p := b.get(s.URL + "/account"); !isAccount(p) {
		t.Errorf("after a logout without a hint: %d, want the session alive", p.status)
	}
}

// TestAccountSessionRunsOut: after 15 minutes without a request, and after an hour however busy.
func TestAccountSessionRunsOut(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	in := signedIn(t, s.URL, nil)
	busy, idle := newBrowser(t), newBrowser(t)
	p := busy.toAccount(s.URL)
	idle.toAccount(s.URL)
	s.Clock.Advance(14*time.Minute + 55*time.Second)
	if q := busy.get(s.URL + "/account"); !isAccount(q) {
		t.Errorf("after 14:55 minutes without use: %d, want the page", q.status)
	}
	s.Clock.Advance(5 * time.Second)
	if q := idle.get(s.URL + "/account"); !asksIn(q) {
		t.Errorf("after 15 minutes without use: %d, want the way in", q.status)
	}
	for range 3 { // up to 57 minutes
		s.Clock.Advance(14 * time.Minute)
		if q := busy.get(s.URL + "/account"); !isAccount(q) {
			t.Errorf("busy for less than an hour: %d, want the page", q.status)
		}
	}
	s.Clock.Advance(3 * time.Minute)
	if q := busy.get(s.URL + "/account"); !asksIn(q) {
		t.Errorf("busy for an hour: %d, want the way in", q.status)
	}
	if q := busy.ends(s.URL, p, "grant", grantOf(t, in)); !asksIn(q) {
		t.Errorf("its form after an hour: %d, want the way in", q.status)
	}
	if next := token(t, s.URL, refreshForm(in.RefreshToken)); next.Status != http.StatusOK {
		t.Errorf("refresh: %d %s, want nothing ended", next.Status, next.Error)
	}
}

// TestR1AccountWhoseProviderIsGone: nobody speaks for it any more, so nobody is signed in.
func TestR1AccountWhoseProviderIsGone(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	in := signedIn(t, s.URL, nil)
	b := newBrowser(t)
	p := b.toAccount(s.URL)
	moved := strings.Replace(s.Declaration(), s.IDP.Issuer, s.FarIDP.Issuer, 1)
	moved = strings.Replace(moved, s.IDP.ClientSecret, s.FarIDP.ClientSecret, 1)
	declare(t, s, moved, func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return r.IdentityProviders[0].Issuer == s.FarIDP.Issuer
	})
	if q := b.get(s.URL + "/account"); !asksIn(q) {
		t.Errorf("with another identity provider of the same name: %d, want the way in\n%s", q.status, q.body)
	}
	if q := b.ends(s.URL, p, "grant", grantOf(t, in)); !asksIn(q) {
		t.Errorf("its form: %d, want the way in\n%s", q.status, q.body)
	}
	if got := rows(t, s, `SELECT id FROM grants WHERE ended_at IS NULL`); !slices.Equal(got, []string{grantOf(t, in)}) {
		t.Errorf("living grants %q, want nothing ended", got)
	}
}

// TestAccountWithoutCache: nothing is ended, and nobody is told that it was.
func TestAccountWithoutCache(t *testing.T) {
	t.Parallel()
	var d *server.Deps
	a := newAlone(t, https, declared, func(deps *server.Deps) { d = deps })
	a.toAccount()
	d.Issuer.Cache = awayCache{d.Issuer.Cache}
	for path, method := range map[string]string{"/account": http.MethodGet, "/logout": http.MethodPost} {
		p := a.ask(method, https+path, formBody(url.Values{"decision": {"end"}}))
		p.isPage(t, http.StatusServiceUnavailable)
		if p.header.Get("Set-Cookie") != "" {
			t.Errorf("%s without the cache: cookie %q, want the session left as it is", path, p.header.Get("Set-Cookie"))
		}
	}
}

// awayCache is a cache that neither reads nor deletes.
type awayCache struct{ issuer.Cache }

func (awayCache) Get(context.Context, string) ([]byte, bool, error) { return nil, false, errAway }
func (awayCache) Delete(context.Context, string) error              { return errAway }

// TestR3AccountCookieOverHTTPS: the prefix keeps other hosts from setting it; no tenant's
// name makes it another's.
func TestR3AccountCookieOverHTTPS(t *testing.T) {
	t.Parallel()
	a := newAlone(t, https, declared, nil)
	p := a.toAccount()
	if p.status != http.StatusSeeOther || p.header.Get("Location") != https+"/account" {
		t.Fatalf("callback: %d to %q, want the account page", p.status, p.header.Get("Location"))
	}
	c, err := http.ParseSetCookie(p.header.Get("Set-Cookie"))
	must(t, err)
	if c.Name != "__Host-signpost-example.account" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 {
		t.Errorf("cookie %v, want a __Host- cookie of the tenant for this session", c)
	}
}
