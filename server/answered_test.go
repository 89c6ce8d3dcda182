package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signpost/internal/servertest"
	"signpost/oidc"
)

// TestRFC9700Section4_11_2FaultyRequestsOfURLClients: anybody can be a client with a URL for
// an id, so a link to us with a fault in it must not lead on to wherever they like. The
// person is asked; the answer itself is the client's as ever.
func TestRFC9700Section4_11_2FaultyRequestsOfURLClients(t *testing.T) {
	t.Parallel()
	s, _ := described(t)
	site := &program{t: t, s: s, id: siteID, redirect: siteReply}
	for name, fault := range map[string]func(url.Values){
		"response_type": set("response_type", "token"), "scope": set("scope", "nothing"), "no challenge": set("code_challenge", ""),
		"resource": set("resource", "https://elsewhere.test/"), "request": set("request", "x"),
	} {
		p := ask(t, http.MethodGet, site.asks(fault))
		p.isPage(t, http.StatusBadRequest)
		links := strings.Join(p.attributes(t, "a", "href"), " ")
		if !strings.Contains(links, siteReply+"?error=") || !strings.Contains(p.body, documentHost) {
			t.Errorf("%s: the page has the links %q, want one back to the client with its host", name, links)
		}
	}
	native := &program{t: t, s: s, id: nativeID, redirect: redirectURI}
	if p := ask(t, http.MethodGet, native.asks(set("scope", "nothing"))); p.status != http.StatusSeeOther {
		t.Errorf("a fault of a program on the device: %d, want it told to the program", p.status)
	}
}

// TestR12SilentURLClientsLearnNothing: a site that nobody allowed anything cannot tell a
// visitor who is signed in here from one who is not.
func TestR12SilentURLClientsLearnNothing(t *testing.T) {
	t.Parallel()
	s, _ := described(t)
	site := &program{t: t, s: s, id: siteID, redirect: siteReply}
	in := newBrowser(t).asks(site.asks(set("prompt", "none")))
	s.IDP.Deny(oidc.CodeLoginRequired)
	out := newBrowser(t).asks(site.asks(set("prompt", "none")))
	if in == nil || in.Get("error") != oidc.CodeLoginRequired || in.Encode() != out.Encode() {
		t.Errorf("signed in the site is told %v, otherwise %v, want login_required alike", in, out)
	}
}

// TestR12NoForgetsConsent: who says no once is asked the next time.
func TestR12NoForgetsConsent(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	b := newBrowser(t)
	b.signIn(authorizeURL(s.URL, portal()))
	if told := b.asks(authorizeURL(s.URL, portal(set("prompt", "none")))); told.Get("code") == "" {
		t.Fatalf("after a yes the client was told %v, want a code", told)
	}
	ticket, _ := b.toConsent(authorizeURL(s.URL, portal(set("prompt", "consent"))))
	b.post(s.URL+"/consent", url.Values{"ticket": {ticket}, "decision": {"deny"}})
	if told := b.asks(authorizeURL(s.URL, portal(set("prompt", "none")))); told.Get("error") != oidc.CodeConsentRequired {
		t.Errorf("after a no the client was told %v, want consent_required", told)
	}
}

// TestAnsweredRequestIsAnsweredOnce: another tab of the same request, whatever it was
// about to answer, comes too late.
func TestAnsweredRequestIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, first := range []string{"deny", "allow"} {
		_, uri := push(t, s.URL, authorizeForm(nil))
		pushed := s.URL + "/authorize?" + url.Values{"client_id": {"open"}, "request_uri": {uri}}.Encode()
		for name, link := range map[string]string{"request": authorizeURL(s.URL, nil), "pushed request": pushed} {
			b := newBrowser(t)
			tab := b.get(link)
			left := b.chosen(tab) // is left open at the identity provider
			ticket := consentTicket(t, b.get(upstreamLink(t, tab)))
			b.post(s.URL+"/consent", url.Values{"ticket": {ticket}, "decision": {first}})
			p := b.get(left)
			late := consentTicket(t, p)
			b.post(s.URL+"/consent", url.Values{"ticket": {late}, "decision": {"allow"}}).isPage(t, http.StatusBadRequest)
			if b.answer != nil {
				t.Errorf("%s after %s: the client was told %v a second time", name, first, b.answer)
			}
		}
	}
}

// consentTicket is the ticket in the form of a consent page.
func consentTicket(t testing.TB, p page) string {
	t.Helper()
	for _, name := range p.attributes(t, "input", "name") {
		if name == "ticket" {
			return p.attributes(t, "input", "value")[0]
		}
	}
	t.Fatalf("no consent page: %d %s", p.status, p.body)
	return ""
}

// TestR1ConsentOfARemovedProvider: what an identity provider said counts no more once the
// operator has removed it, on a consent page that is open too.
func TestR1ConsentOfARemovedProvider(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	ticket, _ := b.toConsent(authorizeURL(s.URL, nil))
	applied(t, s, strings.Replace(s.Declaration(), "{name: staff,", "{name: others,", 1))
	b.post(s.URL+"/consent", url.Values{"ticket": {ticket}, "decision": {"allow"}}).isPage(t, http.StatusNotFound)
	if b.answer != nil {
		t.Errorf("the client was told %v", b.answer)
	}
}
