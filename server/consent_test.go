package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signpost/internal/idptest"
	"signpost/internal/servertest"
	"signpost/oidc"
)

func allow(ticket string) url.Values {
	return url.Values{"ticket": {ticket}, "decision": {"allow"}}
}

// TestR12ConsentPageEachTime: the open client's consent is never remembered, for
// any local program could ask in another's name (RFC 8252, section 8.6).
func TestR12ConsentPageEachTime(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	for n := range 3 {
		ticket, consent := b.toConsent(authorizeURL(s.URL, nil))
		if ticket == "" || !strings.Contains(consent.body, "Allow access to your account?") {
			t.Fatalf("sign-in %d: no consent page: %s", n+1, consent.body)
		}
		if b.post(s.URL+"/consent", allow(ticket)); b.answer.Query().Get("code") == "" {
			t.Fatalf("sign-in %d: no code: %v", n+1, b.answer)
		}
	}
	if p := b.get(authorizeURL(s.URL, set("prompt", "none"))); b.answer.Query().Get("error") != oidc.CodeConsentRequired {
		t.Errorf("prompt=none: %d %v, want consent_required", p.status, b.answer)
	}
}

// TestConsentPage says who signed in and what is asked, and nothing that is secret.
func TestConsentPage(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for redirect, want := range map[string]string{
		redirectURI:               "'self' http://127.0.0.1:49152",
		"http://127.0.0.1/cb":     "'self' http://127.0.0.1",
		"http://[::1]:49152/cb":   "'self' http:", // a source cannot be an IPv6 address
		"http://127.0.0.1:1/a;b'": "'self' http://127.0.0.1:1",
	} {
		b := newBrowser(t)
		ticket, p := b.toConsent(authorizeURL(s.URL, set("redirect_uri", redirect)))
		csp := "default-src 'none'; style-src 'self'; img-src 'self'; form-action " + want + "; frame-ancestors 'none'; base-uri 'none'"
		if got := p.header.Get("Content-Security-Policy"); got != csp {
			t.Errorf("redirect %s: Content-Security-Policy %q, want %q", redirect, got, csp)
		}
		if got := p.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control %q, want no-store", got)
		}
		for _, want := range []string{"Alice Example", "alice@example.test", "Example staff", "Example Organisation", ticket} {
			if !strings.Contains(p.body, want) {
				t.Errorf("the page does not say %q", want)
			}
		}
		for _, secret := range []string{s.IDP.ClientSecret, "spc_", "bob@", "<script", "style="} {
			if strings.Contains(p.body, secret) {
				t.Errorf("the page holds %q", secret)
			}
		}
		// Loading it again changes nothing.
		again := b.get(p.url.String())
		again.isPage(t, http.StatusOK)
	}
	if got := s.IDP.SignIns(); got != 4 {
		t.Errorf("%d sign-ins at the identity provider, want 4", got)
	}
}

// TestConsentNamesWhatIsOpened: a sentence for each scope, and only for those asked.
func TestConsentNamesWhatIsOpened(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	permissions := func(scope string) int {
		_, p := newBrowser(t).toConsent(authorizeURL(s.URL, set("scope", scope)))
		_, list, _ := strings.Cut(p.body, `<ul class="permissions"`)
		list, _, _ = strings.Cut(list, "</ul>")
		return strings.Count(list, "<li>")
	}
	one, three := permissions(mailScope), permissions(mailScope+" "+calendarScope+" "+filesScope)
	if one != 1 || three != 3 {
		t.Errorf("%d permissions for one scope and %d for three", one, three)
	}
	_, short := newBrowser(t).toConsent(authorizeURL(s.URL, set("scope", "openid "+mailScope)))
	_, long := newBrowser(t).toConsent(authorizeURL(s.URL, nil))
	if strings.Contains(short.body, "As long as the program keeps its access") || !strings.Contains(long.body, "As long as the program keeps its access") {
		t.Error("want the page to say how long it lasts, by offline_access")
	}
}

// TestConsentIsTheirsAlone: nobody else can say yes, and nobody twice.
func TestConsentIsTheirsAlone(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	type answered struct {
		page
		client *url.URL
	}
	send := func(b *browser, at string, form url.Values, edits ...edit) answered {
		p := ask(t, http.MethodPost, at, append([]edit{b.cookies, formBody(form)}, edits...)...)
		to, err := url.Parse(p.header.Get("Location"))
		must(t, err)
		return answered{p, to}
	}
	for name, c := range map[string]struct {
		send   func(b *browser, ticket string) answered
		status int
		usable bool // the right browser can still answer
	}{
		"no ticket": {func(b *browser, _ string) answered {
			return send(b, s.URL+"/consent", url.Values{"decision": {"allow"}})
		}, 400, true},
		"empty ticket": {func(b *browser, _ string) answered { return send(b, s.URL+"/consent", allow("")) }, 400, true},
		"another ticket": {func(b *browser, _ string) answered {
			return send(b, s.URL+"/consent", allow(strings.Repeat("x", 43)))
		}, 400, true},
		"two tickets": {func(b *browser, ticket string) answered {
			return send(b, s.URL+"/consent", url.Values{"ticket": {ticket, ticket}, "decision": {"allow"}})
		}, 400, true},
		"no decision": {func(b *browser, ticket string) answered {
			return send(b, s.URL+"/consent", url.Values{"ticket": {ticket}})
		}, 400, true},
		"two decisions": {func(b *browser, ticket string) answered {
			return send(b, s.URL+"/consent", url.Values{"ticket": {ticket}, "decision": {"deny", "allow"}})
		}, 400, true},
		"in the query": {func(b *browser, ticket string) answered {
			return send(b, s.URL+"/consent?"+allow(ticket).Encode(), nil)
		}, 400, true},
		"in a browser without cookie": {func(_ *browser, ticket string) answered {
			return send(newBrowser(t), s.URL+"/consent", allow(ticket))
		}, 400, true},
		"in another browser": {func(_ *browser, ticket string) answered {
			other := newBrowser(t)
			other.get(authorizeURL(s.URL, nil))
			return send(other, s.URL+"/consent", allow(ticket))
		}, 400, true},
		"at another tenant": {func(b *browser, ticket string) answered {
			b.get(authorizeURL(s.OtherURL(), nil))
			return send(b, s.OtherURL()+"/consent", allow(ticket))
		}, 400, true},
		"from another site": {func(b *browser, ticket string) answered {
			return send(b, s.URL+"/consent", allow(ticket), header("Sec-Fetch-Site", "cross-site"))
		}, 403, true},
		"from the same site": {func(b *browser, ticket string) answered {
			return send(b, s.URL+"/consent", allow(ticket), header("Sec-Fetch-Site", "same-site"))
		}, 403, true},
		"from another origin": {func(b *browser, ticket string) answered {
			return send(b, s.URL+"/consent", allow(ticket), header("Origin", "https://evil.example"))
		}, 403, true},
		"from no origin": {func(b *browser, ticket string) answered {
			return send(b, s.URL+"/consent", allow(ticket), header("Origin", "null"))
		}, 403, true},
		"as JSON": {func(b *browser, ticket string) answered {
			return send(b, s.URL+"/consent", nil, body("application/json", `{"ticket":"`+ticket+`","decision":"allow"}`))
		}, 400, true},
		"after it was answered": {func(b *browser, ticket string) answered {
			send(b, s.URL+"/consent", allow(ticket))
			return send(b, s.URL+"/consent", allow(ticket))
		}, 400, false},
		"after it was refused": {func(b *browser, ticket string) answered {
			send(b, s.URL+"/consent", url.Values{"ticket": {ticket}, "decision": {"deny"}})
			return send(b, s.URL+"/consent", allow(ticket))
		}, 400, false},
	} {
		b := newBrowser(t)
		ticket, _ := b.toConsent(authorizeURL(s.URL, nil))
		a := c.send(b, ticket)
		a.isPage(t, c.status)
		if strings.Contains(a.body, ticket) {
			t.Errorf("%s: the page holds the ticket", name)
		}
		a = send(b, s.URL+"/consent", allow(ticket), header("Sec-Fetch-Site", "same-origin"), header("Origin", s.URL))
		if got := a.client.Query().Get("code") != ""; got != c.usable {
			t.Errorf("%s: the right browser can answer afterwards: %v, want %v (%d)", name, got, c.usable, a.status)
		}
	}
}

func TestDeny(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, decision := range []string{"deny", "", "maybe", "ALLOW"} {
		b := newBrowser(t)
		ticket, _ := b.toConsent(authorizeURL(s.URL, nil))
		b.post(s.URL+"/consent", url.Values{"ticket": {ticket}, "decision": {decision}})
		q := b.answer.Query()
		if q.Get("error") != oidc.CodeAccessDenied || q.Has("code") || q.Get("state") != "s1" || q.Get("iss") != s.URL {
			t.Errorf("decision %q: the client was told %v, want access_denied", decision, q)
		}
	}
}

// TestR1SecondClaimantIsRefused: an address or login name belongs to one account,
// and who comes second neither gets in nor changes anything.
func TestR1SecondClaimantIsRefused(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	first := signedIn(t, s.URL, nil)
	for name, person := range map[string]idptest.Person{
		"same address":            {Subject: "x1", Name: "Mallory", Email: "alice@example.test", EmailVerified: true, Login: "mallory"},
		"address in another case": {Subject: "x2", Name: "Mallory", Email: "Alice@Example.Test", EmailVerified: true, Login: "mallory2"},
	} {
		s.IDP.AddPerson(person)
		s.IDP.SignInAs(person.Subject)
		b := newBrowser(t)
		p, told := b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorizeURL(s.URL, nil)))
		if told != nil {
			t.Errorf("%s: the client was told %v, want a page", name, told)
			continue
		}
		p.isPage(t, http.StatusForbidden)
		if strings.Contains(strings.ToLower(p.body), "alice@") {
			t.Errorf("%s: the page names the address", name)
		}
	}
	// A login name that nobody proved is nobody's: it keeps nobody out.
	s.IDP.AddPerson(idptest.Person{Subject: "x3", Name: "Another Alice", Email: "alice2@example.test", EmailVerified: true, Login: "alice"})
	s.IDP.SignInAs("x3")
	signedIn(t, s.URL, nil)
	s.IDP.SignInAs("a1")
	_, before := claims(t, first.AccessToken)
	_, after := claims(t, signedIn(t, s.URL, nil).AccessToken)
	if before["sub"] != after["sub"] {
		t.Errorf("alice was %v and is %v", before["sub"], after["sub"])
	}
	if p := configuration(t, s.URL, first.AccessToken, ""); strings.Contains(p.body, "Mallory") || !strings.Contains(p.body, "Alice Example") {
		t.Errorf("alice's configuration: %s", p.body)
	}
}

// TestUnverifiedAddressOpensNothing: an address that the identity provider does
// not vouch for, or may not speak for, is not the person's (R2).
func TestUnverifiedAddressOpensNothing(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for name, person := range map[string]idptest.Person{
		"not verified":   {Subject: "x1", Name: "Mallory", Email: "bob@example.test", EmailVerified: false, Login: "mallory"},
		"foreign domain": {Subject: "x2", Name: "Mallory", Email: "bob@other.test", EmailVerified: true, Login: "mallory2"},
		"no address":     {Subject: "x3", Name: "Mallory", Login: "bob"},
	} {
		s.IDP.AddPerson(person)
		s.IDP.SignInAs(person.Subject)
		b := newBrowser(t)
		p, told := b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorizeURL(s.URL, nil)))
		if told != nil {
			t.Errorf("%s: the client was told %v, want a page", name, told)
			continue
		}
		p.isPage(t, http.StatusForbidden)
	}
	s.IDP.SignInAs("b2")
	if p := configuration(t, s.URL, signedIn(t, s.URL, nil).AccessToken, ""); !strings.Contains(p.body, "bob@example.test") {
		t.Errorf("bob himself: %s", p.body)
	}
}
