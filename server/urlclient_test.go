package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"signpost/internal/servertest"
	"signpost/oidc"
)

// Clients that describe themselves, in documents at documentHost.
const (
	siteID    = "https://" + documentHost + "/site.json"
	twinID    = "https://" + documentHost + "/twin.json"
	nativeID  = "https://" + documentHost + "/native.json"
	keyedID   = "https://" + documentHost + "/keyed.json"
	siteReply = "https://" + documentHost + "/cb"
)

// described starts a server that can read the documents of four clients, of which one
// has the key that is returned.
func described(t testing.TB) (*servertest.Server, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	document := func(id, redirect, more string) string {
		return `{"client_id":"` + id + `","client_name":"Trusty Bank","redirect_uris":["` + redirect + `"]` + more + `}`
	}
	s := servertest.Start(t, documents(t, map[string]string{
		"/site.json":   document(siteID, siteReply, ""),
		"/twin.json":   document(twinID, siteReply, ""),
		"/native.json": document(nativeID, redirectURI, ""),
		"/keyed.json":  document(keyedID, redirectURI, `,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://`+documentHost+`/keys.json"`),
		"/keys.json":   mustJSON(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}}),
	}))
	applied(t, s, withPrograms(s.Declaration()))
	return s, key
}

// signs lets a program show an assertion by a key.
func (p *program) signs(key *ecdsa.PrivateKey) *program {
	p.shows = func(form url.Values) []edit {
		maps.Copy(form, assertion(p.t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, p.id, p.s.URL))
		return nil
	}
	return p
}

// says checks the page before the person and returns its ticket.
func (b *browser) says(authorize, want string) (ticket string) {
	b.t.Helper()
	ticket, consent := b.toConsent(authorize)
	if !strings.Contains(consent.body, want) || strings.Contains(consent.body, "Trusty Bank") {
		b.t.Errorf("the page does not say %q, or names the client as it calls itself:\n%s", want, consent.body)
	}
	return ticket
}

// TestR15SignInAtItsOrigin: the host is proved, because the answer goes there; so the consent
// is remembered, for this client and for no other of the host (R12).
func TestR15SignInAtItsOrigin(t *testing.T) {
	t.Parallel()
	s, _ := described(t)
	p, b := &program{t: t, s: s, id: siteID, redirect: siteReply}, newBrowser(t)
	if b.get(p.asks(set("prompt", "none"))); b.answer.Query().Get("error") != oidc.CodeLoginRequired {
		t.Errorf("prompt=none before anything was allowed: %v, want login_required, as for who is not signed in", b.answer)
	}
	b.post(s.URL+"/consent", allow(b.says(p.asks(), "The answer goes to example.com and nowhere else.")))
	if b.answer == nil || !strings.HasPrefix(b.answer.String(), siteReply+"?") {
		t.Fatalf("the browser was sent to %v, want %s", b.answer, siteReply)
	}
	p.in = p.gets("code", p.code(b.answer.Query()))
	for name, edit := range map[string]func(url.Values){"again": func(url.Values) {}, "prompt=none": set("prompt", "none")} {
		told := b.asks(p.asks(edit))
		if told.Get("code") == "" {
			t.Errorf("%s: the client was told %v, want a code without a question", name, told)
			continue
		}
		p.gets(name, p.code(told))
	}
	twin := &program{t: t, s: s, id: twinID, redirect: siteReply}
	if told := b.asks(twin.asks()); told != nil {
		t.Errorf("another client of the host was told %v without a question", told)
	}
	for _, foreign := range []string{redirectURI, "https://" + documentHost + "/other", "https://evil.test/cb"} {
		ask(t, http.MethodGet, p.asks(set("redirect_uri", foreign))).isPage(t, http.StatusBadRequest)
	}
	p.works("signed in")
}

// TestR15SignInOnTheDevice: any program there can say that it is this one, so the page says
// that nobody can check it, each time.
func TestR15SignInOnTheDevice(t *testing.T) {
	t.Parallel()
	s, _ := described(t)
	p, b := &program{t: t, s: s, id: nativeID, redirect: redirectURI}, newBrowser(t)
	for range 2 {
		b.post(s.URL+"/consent", allow(b.says(p.asks(), "It says that it is example.com, but nobody can check that.")))
		p.in = p.gets("code", p.code(b.answer.Query()))
	}
	if told := b.asks(p.asks(set("prompt", "none"))); told.Get("error") != oidc.CodeConsentRequired {
		t.Errorf("prompt=none: the client was told %v, want consent_required", told)
	}
	p.works("signed in")
}

// TestR15SignInWithAKeyOfItsOwn: the host is proved on the device too, if the request came with
// the key of the document; and only who has that gets anything.
func TestR15SignInWithAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	s, key := described(t)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p, b := (&program{t: t, s: s, id: keyedID, redirect: redirectURI}).signs(key), newBrowser(t)
	b.says(p.asks(), "It says that it is example.com, but nobody can check that.")
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	p.sends("/par", authorizeForm(func(q url.Values) { q.Set("redirect_uri", redirectURI); q.Set("scope", programScope) })).json(t, &pushed)
	link := s.URL + "/authorize?" + url.Values{"client_id": {keyedID}, "request_uri": {pushed.RequestURI}}.Encode()
	b.post(s.URL+"/consent", allow(b.says(link, "It has shown that it speaks for example.com.")))
	code := p.code(b.answer.Query())
	for name, thief := range map[string]*program{
		"without a key": {t: t, s: s, id: keyedID}, "with another key": (&program{t: t, s: s, id: keyedID}).signs(other),
	} {
		tokenError(t, name, thief.sends("/token", code), http.StatusUnauthorized, oidc.CodeInvalidClient)
	}
	p.in = p.gets("code after others tried it", code)
	form := refreshForm(p.in.RefreshToken)
	form.Set("client_id", keyedID)
	p.shows(form)
	first := posted(t, s.URL, form)
	tokenError(t, "an assertion that was used", posted(t, s.URL, form), http.StatusUnauthorized, oidc.CodeInvalidClient)
	if first.json(t, &p.in); first.status != http.StatusOK {
		t.Errorf("refresh: %d %s", first.status, first.body)
	}
	if told := b.asks(p.asks()); told != nil {
		t.Errorf("on the device the client was told %v without a question (R12)", told)
	}
	p.works("signed in")
}

// TestR15KillSwitchByHost, and of all such clients, while their tokens exist.
func TestR15KillSwitchByHost(t *testing.T) {
	t.Parallel()
	s, key := described(t)
	site := &program{t: t, s: s, id: siteID, redirect: siteReply}
	keyed := (&program{t: t, s: s, id: keyedID, redirect: redirectURI}).signs(key)
	fixed := &program{t: t, s: s, id: "shop", redirect: redirectURI}
	site.signsIn()
	keyed.signsIn()
	fixed.signsIn()
	for name, policy := range map[string]string{
		"host":               "      deny: [{host: example.com}]\n",
		"all":                "      url_ids: false\n",
		"allowed is another": "      allow: [{host: example.net}]\n",
	} {
		applied(t, s, withPolicy(s, policy, ""))
		site.isUnknown(name)
		keyed.isUnknown(name)
		fixed.works(name)
		applied(t, s, withPrograms(s.Declaration()))
		site.works(name + " is over")
		keyed.works(name + " is over")
	}
	applied(t, s, withPolicy(s, "      deny: [{host: www.example.com}, {host: example.net}]\n", ""))
	site.works("other hosts are switched off")
}

// TestR28URLClientsEndNothingUnasked: anybody can be such a client, and keep the ID token of
// whoever signed in there once.
func TestR28URLClientsEndNothingUnasked(t *testing.T) {
	t.Parallel()
	s, _ := described(t)
	p := &program{t: t, s: s, id: siteID, redirect: siteReply}
	p.signsIn()
	link := s.URL + "/logout?" + url.Values{"id_token_hint": {p.in.IDToken}, "post_logout_redirect_uri": {siteReply}}.Encode()
	ask(t, http.MethodGet, link).asks(t, "logout")
}
