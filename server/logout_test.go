package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"signpost/internal/servertest"
)

// shopBye is where the client "shop" wants to have people after a logout.
const shopBye = "https://shop.example.test/bye"

// signedInShop signs in with the client "shop".
func signedInShop(t testing.TB, s *servertest.Server) answer {
	t.Helper()
	form := codeForm(newCode(t, s.URL, set("client_id", "shop")))
	form.Set("client_id", "shop")
	in := token(t, s.URL, form)
	if in.IDToken == "" {
		t.Fatalf("no ID token for shop: %d %s %s", in.Status, in.Error, in.Description)
	}
	return in
}

// leave sends a logout request by both methods and returns the answers.
func leave(t testing.TB, issuer string, q url.Values, edits ...edit) map[string]page {
	t.Helper()
	return map[string]page{
		"GET":  ask(t, http.MethodGet, issuer+"/logout?"+q.Encode(), edits...),
		"POST": ask(t, http.MethodPost, issuer+"/logout", append([]edit{formBody(q), header("Sec-Fetch-Site", "cross-site")}, edits...)...),
	}
}

// endsSession reports whether an answer takes the browser's cookie away.
func (p page) endsSession() bool {
	set := p.header.Get("Set-Cookie")
	return strings.HasPrefix(set, "signpost-example=;") && strings.Contains(set, "Max-Age=0") && strings.Contains(set, "Path=/")
}

// asks checks for the page with the question, and that nothing has ended.
func (p page) asks(t testing.TB, name string) {
	t.Helper()
	p.isPage(t, http.StatusOK)
	if p.endsSession() || p.header.Get("Set-Cookie") != "" || len(p.attributes(t, "form", "action")) != 1 {
		t.Errorf("%s: cookie %q, forms %v, want a question and nothing ended", name, p.header.Get("Set-Cookie"), p.attributes(t, "form", "action"))
	}
}

// TestR28LogoutWithoutHintAsks, and never goes where a stranger says.
func TestR28LogoutWithoutHintAsks(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedInShop(t, s)
	far := signedIn(t, s.OtherURL(), set("scope", "openid "+mailScope))
	for name, hint := range map[string]string{
		"no hint": "", "nonsense": "x", "access token": in.AccessToken, "another tenant's": far.IDToken, "forged": in.IDToken[:len(in.IDToken)-4] + "AAAA",
	} {
		for method, p := range leave(t, s.URL, url.Values{
			"id_token_hint": {hint}, "client_id": {"shop"}, "post_logout_redirect_uri": {shopBye}, "state": {"s1"},
		}) {
			p.asks(t, name+" by "+method)
		}
	}
}

// TestR28LogoutWithHint ends the browser's session and goes back to the client that proved
// itself (OpenID Connect RP-Initiated Logout 1.0, section 2 and section 3).
func TestR28LogoutWithHint(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedInShop(t, s)
	check := func(when string) {
		for name, c := range map[string]struct {
			q  url.Values
			to string
		}{
			"no redirect":    {url.Values{}, ""},
			"empty redirect": {url.Values{"post_logout_redirect_uri": {""}}, ""},
			"redirect":       {url.Values{"post_logout_redirect_uri": {shopBye}}, shopBye},
			"state":          {url.Values{"post_logout_redirect_uri": {shopBye}, "state": {"a b&c=d"}, "client_id": {"shop"}}, shopBye + "?state=a+b%26c%3Dd"},
			"query kept":     {url.Values{"post_logout_redirect_uri": {shopBye + "?from=signpost"}, "state": {"1"}}, shopBye + "?from=signpost&state=1"},
			"state alone":    {url.Values{"state": {"1"}, "logout_hint": {"alice"}}, ""},
		} {
			c.q.Set("id_token_hint", in.IDToken)
			for method, p := range leave(t, s.URL, c.q) {
				want := http.StatusSeeOther
				if c.to == "" {
					want = http.StatusOK
				}
				if p.status != want || p.header.Get("Location") != c.to || !p.endsSession() {
					t.Errorf("%s, %s by %s: %d to %q, ended %v, want %d to %q and the session ended",
						when, name, method, p.status, p.header.Get("Location"), p.endsSession(), want, c.to)
				}
			}
		}
	}
	check("fresh hint")
	s.Clock.Advance(48 * time.Hour)
	check("expired hint")
}

// TestR28LogoutNeverLeadsAnywhereUnproven: the URI is exactly one of the client's, or nothing happens
// (OpenID Connect RP-Initiated Logout 1.0, section 3).
func TestR28LogoutNeverLeadsAnywhereUnproven(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in, open := signedInShop(t, s), signedIn(t, s.URL, nil)
	for name, q := range map[string]url.Values{
		"another place":    {"post_logout_redirect_uri": {"https://evil.test/"}},
		"longer path":      {"post_logout_redirect_uri": {shopBye + "/"}},
		"another query":    {"post_logout_redirect_uri": {shopBye + "?x"}},
		"another case":     {"post_logout_redirect_uri": {strings.ToUpper(shopBye)}},
		"sign-in redirect": {"post_logout_redirect_uri": {redirectURI}},
		"a client's other": {"post_logout_redirect_uri": {shopBye}, "id_token_hint": {open.IDToken}},
		"another client":   {"post_logout_redirect_uri": {shopBye}, "client_id": {"open"}},
		"repeated":         {"post_logout_redirect_uri": {shopBye, "https://evil.test/"}},
		"two hints":        {"id_token_hint": {in.IDToken, in.IDToken}, "post_logout_redirect_uri": {shopBye}},
		"line end":         {"post_logout_redirect_uri": {shopBye}, "state": {"a\r\nSet-Cookie: x"}},
	} {
		if !q.Has("id_token_hint") {
			q.Set("id_token_hint", in.IDToken)
		}
		for method, p := range leave(t, s.URL, q) {
			p.isPage(t, http.StatusBadRequest)
			if p.header.Get("Set-Cookie") != "" {
				t.Errorf("%s by %s: cookie %q, want nothing ended", name, method, p.header.Get("Set-Cookie"))
			}
		}
	}
}

// TestR28LogoutEndsTheBrowserOnly: what was begun in it cannot be gone on with; programs
// stay signed in.
func TestR28LogoutEndsTheBrowserOnly(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedIn(t, s.URL, nil)
	b := newBrowser(t)
	ticket, _ := b.toConsent(authorizeURL(s.URL, nil))
	question := b.get(s.URL + "/logout")
	question.asks(t, "logout")
	for _, word := range []string{"Programs that you allowed stay signed in", "identity provider"} {
		if !strings.Contains(question.body, word) {
			t.Errorf("the question does not say %q:\n%s", word, question.body)
		}
	}
	action := question.attributes(t, "form", "action")[0]
	done := b.post(action, url.Values{"decision": {"end"}})
	done.isPage(t, http.StatusOK)
	if !done.endsSession() || len(done.attributes(t, "form", "action")) != 0 || !strings.Contains(done.body, "stay signed in") {
		t.Errorf("after the answer: cookie %q, %s", done.header.Get("Set-Cookie"), done.body)
	}
	if p := b.get(s.URL + "/consent?ticket=" + ticket); p.status != http.StatusBadRequest {
		t.Errorf("consent that was begun before: %d, want 400", p.status)
	}
	alive(t, s.URL, in, "a logout")
	if next := token(t, s.URL, refreshForm(in.RefreshToken)); next.Status != http.StatusOK {
		t.Errorf("refresh after a logout: %d %s", next.Status, next.Error)
	}
}

// TestR28LogoutAnswerIsThePersons: no other site can give it.
func TestR28LogoutAnswerIsThePersons(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	cookie := header("Cookie", "signpost-example="+strings.Repeat("x", 43))
	end := formBody(url.Values{"decision": {"end"}})
	for name, edits := range map[string][]edit{
		"another site":            {header("Sec-Fetch-Site", "cross-site"), cookie},
		"another origin":          {header("Origin", "https://evil.test"), cookie},
		"an old browser's, Lax":   {},
		"a word that means no":    {cookie, formBody(url.Values{"decision": {"no"}})},
		"with somebody's ID hint": {header("Sec-Fetch-Site", "same-site"), cookie, formBody(url.Values{"decision": {"end"}, "id_token_hint": {"x"}})},
	} {
		p := ask(t, http.MethodPost, s.URL+"/logout", append([]edit{end}, edits...)...)
		if p.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d, cookie %q, want nothing ended", name, p.status, p.header.Get("Set-Cookie"))
		}
	}
	if p := ask(t, http.MethodPost, s.URL+"/logout", end, cookie, header("Sec-Fetch-Site", "same-origin")); !p.endsSession() {
		t.Errorf("the person's own answer: %d, cookie %q, want the session ended", p.status, p.header.Get("Set-Cookie"))
	}
}
