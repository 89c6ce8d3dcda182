package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/server"
)

// Who asks in these tests.
const (
	mailServer = "mail-server" // for IMAP and submission
	davServer  = "dav-server"  // for the calendar
	secretMail = "mail-server-secret-that-a-machine-made"
	secretDav  = "dav-server-secret-that-a-machine-made"
)

// withPrograms adds resource servers and a client of its own to the tenant example.
func withPrograms(declaration string) string {
	return inExample(declaration, `    clients:
      fixed:
        - {id: shop, name: Shop, redirect_uris: ["http://127.0.0.1:49152/cb"], post_logout_redirect_uris: ["https://shop.example.test/bye", "https://shop.example.test/bye?from=signpost"]}
    resource_servers:
      - {name: mail-server, audiences: [imap.example.test], secret: `+secretMail+`}
      - {name: dav-server, audiences: ["https://dav.example.test/calendars/"], secret: `+secretDav+`}
`)
}

// inExample puts lines into the tenant example, in the place of the clients that it has.
func inExample(declaration, lines string) string {
	declaration = strings.Replace(declaration, "    clients: {device: \"on\"}\n", "", 1)
	return strings.Replace(declaration, "    title: Example Organisation\n", "    title: Example Organisation\n"+lines, 1)
}

// startPrograms runs a server that knows them.
func startPrograms(t testing.TB) *servertest.Server {
	t.Helper()
	s := servertest.Start(t)
	declare(t, s, withPrograms(s.Declaration()), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return len(r.ResourceServers) == 2
	})
	return s
}

func basic(name, secret string) edit {
	return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(name)+":"+url.QueryEscape(secret))))
}

var (
	asMail = basic(mailServer, secretMail)
	asDav  = basic(davServer, secretDav)
)

// introspected asks an issuer about a token.
func introspected(t testing.TB, at, token string, edits ...edit) page {
	t.Helper()
	return ask(t, http.MethodPost, at+"/introspect", append([]edit{formBody(url.Values{"token": {token}})}, edits...)...)
}

// isInactive checks for the one answer about all that is not good.
func (p page) isInactive(t testing.TB, what string) {
	t.Helper()
	if p.status != http.StatusOK || p.body != `{"active":false}` || p.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %d %s %s, want 200 and inactive alone", what, p.status, p.header.Get("Content-Type"), p.body)
	}
}

func (p page) isActive(t testing.TB, what string) object {
	t.Helper()
	var o object
	p.json(t, &o)
	if p.status != http.StatusOK || o["active"] != true {
		t.Errorf("%s: %d %s, want it active", what, p.status, p.body)
	}
	return o
}

// TestRFC7662Section2_2ActiveTokens: every member, and of the token's audiences and scopes only
// those of who asks (R31).
func TestRFC7662Section2_2ActiveTokens(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedIn(t, s.URL, nil)
	imap := token(t, s.URL, exchangeForm(in.AccessToken, "imap.example.test"))
	calendar := token(t, s.URL, exchangeForm(in.AccessToken, "https://dav.example.test/calendars/"))
	for name, c := range map[string]struct {
		token      string
		as         edit
		aud, scope string
	}{
		"for Dovecot":    {imap.AccessToken, asMail, "imap.example.test", mailScope},
		"narrow":         {calendar.AccessToken, asDav, "https://dav.example.test/calendars/", calendarScope},
		"broad, for DAV": {in.AccessToken, asDav, "https://dav.example.test/calendars/", calendarScope},
	} {
		_, inside := claims(t, c.token)
		p := introspected(t, s.URL, c.token, c.as)
		got := p.isActive(t, name)
		want := object{
			"active": true, "iss": s.URL, "sub": inside["sub"], "aud": c.aud, "scope": c.scope, "client_id": "open",
			"username": "alice@example.test", "exp": inside["exp"], "iat": inside["iat"], "jti": inside["jti"], "token_type": "Bearer",
		}
		if len(got) != len(want) {
			t.Errorf("%s: %s, want the members %v and no others", name, p.body, want)
		}
		for member, value := range want {
			if got[member] != value {
				t.Errorf("%s: %s is %v, want %v", name, member, got[member], value)
			}
		}
		if p.header.Get("Cache-Control") != "no-store" || p.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers %v, want no-store and no other origin", name, p.header)
		}
	}
}

// TestRFC7662Section2_2InactiveTellsNothing: the same bytes, whatever is wrong.
func TestRFC7662Section2_2InactiveTellsNothing(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedIn(t, s.URL, nil)
	far := signedIn(t, s.OtherURL(), set("scope", "openid "+mailScope))
	imap := token(t, s.URL, exchangeForm(in.AccessToken, "imap.example.test")).AccessToken
	farImap := token(t, s.OtherURL(), exchangeForm(far.AccessToken, "imap.other.test")).AccessToken
	signed := introspected(t, s.URL, imap, asMail, header("Accept", "application/token-introspection+jwt")).body
	for name, presented := range map[string]string{
		"garbage": "x", "three dots": "...", "very long": strings.Repeat("x", 12<<10), "refresh token": in.RefreshToken, "ID token": in.IDToken,
		"broad, not for mail": in.AccessToken, "another tenant's": farImap, "signature cut": imap[:len(imap)-2], "signed answer": signed, "line ends": imap + "\r\n",
	} {
		introspected(t, s.URL, presented, asMail).isInactive(t, name)
	}
	introspected(t, s.URL, imap, asDav).isInactive(t, "for another server")
	introspected(t, s.URL, imap, asMail, formBody(url.Values{"token": {imap}, "token_type_hint": {"refresh_token"}})).isActive(t, "a wrong hint")
	s.Clock.Advance(time.Hour + time.Second)
	introspected(t, s.URL, imap, asMail).isInactive(t, "expired")
}

// TestRFC7662Section2_1NeedsCredentials of a resource server; a client's are none.
func TestRFC7662Section2_1NeedsCredentials(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedIn(t, s.URL, nil)
	imap := token(t, s.URL, exchangeForm(in.AccessToken, "imap.example.test")).AccessToken
	form := func(nameValues ...string) edit {
		f := url.Values{"token": {imap}}
		for i := 0; i < len(nameValues); i += 2 {
			f.Add(nameValues[i], nameValues[i+1])
		}
		return formBody(f)
	}
	for name, edits := range map[string][]edit{
		"none": nil, "wrong secret": {basic(mailServer, secretDav)}, "no secret": {basic(mailServer, "")}, "nobody": {basic("nobody", secretMail)},
		"a client": {form("client_id", "open")}, "a fixed client": {form("client_id", "shop")}, "its name alone": {form("client_id", mailServer)},
		"wrong secret in the form": {form("client_id", mailServer, "client_secret", "x")}, "the token itself": {header("Authorization", "Bearer "+imap)},
		"two secrets": {asMail, form("client_id", mailServer, "client_secret", secretMail)}, "two names": {asMail, form("client_id", davServer)},
	} {
		p := introspected(t, s.URL, imap, edits...)
		tokenError(t, name, p, http.StatusUnauthorized, oidc.CodeInvalidClient)
		if p.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate (RFC 6749, section 5.2)", name)
		}
	}
	tokenError(t, "another tenant's server", introspected(t, s.OtherURL(), imap, asMail), http.StatusUnauthorized, oidc.CodeInvalidClient)
	for name, edits := range map[string][]edit{
		"Basic": {asMail}, "form": {form("client_id", mailServer, "client_secret", secretMail)},
		"as Dovecot does": {asMail, form("client_id", "", "client_secret", "")},
	} {
		introspected(t, s.URL, imap, edits...).isActive(t, name)
	}
	for name, edits := range map[string][]edit{
		"no token": {asMail, formBody(url.Values{})}, "empty token": {asMail, formBody(url.Values{"token": {""}})},
		"two tokens": {asMail, formBody(url.Values{"token": {imap, imap}})}, "JSON": {asMail, body("application/json", `{"token":"x"}`)},
	} {
		tokenError(t, name, introspected(t, s.URL, imap, edits...), http.StatusBadRequest, oidc.CodeInvalidRequest)
	}
	if p := ask(t, http.MethodGet, s.URL+"/introspect?token="+imap, asMail); p.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d, want 405: tokens do not belong into addresses", p.status)
	}
}

// TestIntrospectionIsNotLimited for who has credentials; who has wrong ones is told to wait,
// and does not shut out others behind the same address.
func TestIntrospectionIsNotLimited(t *testing.T) {
	t.Parallel()
	a := newAlone(t, https, withPrograms(declaredWithCalendar), func(d *server.Deps) { d.RequestsPerMinute = 2 })
	from := func(as edit) page {
		return a.ask(http.MethodPost, https+"/introspect", formBody(url.Values{"token": {"x"}}), as)
	}
	for n, want := range []int{401, 401, 429, 429} {
		if p := from(basic(mailServer, "x")); p.status != want || (want == 429) != (p.header.Get("Retry-After") != "") {
			t.Errorf("wrong credentials, request %d: %d, Retry-After %q, want %d", n+1, p.status, p.header.Get("Retry-After"), want)
		}
	}
	for range 5 {
		from(asMail).isInactive(t, "right credentials after wrong ones")
	}
}

// declaredWithCalendar is declared with what withPrograms speaks of.
var declaredWithCalendar = strings.Replace(declared, "    services:\n", `    services:
      - {id: calendar, protocol: caldav, title: Calendar, endpoints: [{url: "https://dav.example.test/calendars/"}]}
`, 1)

// TestRFC9701SignedAnswers: who asks for a signed answer gets one that is no token.
func TestRFC9701SignedAnswers(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedIn(t, s.URL, nil)
	imap := token(t, s.URL, exchangeForm(in.AccessToken, "imap.example.test")).AccessToken
	const signed = "application/token-introspection+jwt"
	for name, presented := range map[string]string{"active": imap, "inactive": "x"} {
		plain := introspected(t, s.URL, presented, asMail)
		p := introspected(t, s.URL, presented, asMail, header("Accept", signed))
		if p.status != http.StatusOK || p.header.Get("Content-Type") != signed || p.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d %v, want 200 %s", name, p.status, p.header, signed)
		}
		jws, err := jose.ParseSignedCompact(p.body, []jose.SignatureAlgorithm{jose.ES256})
		must(t, err)
		h := jws.Signatures[0].Header
		keys := keySet(t, s.URL)
		found := keys.Key(h.KeyID)
		if len(found) != 1 || h.ExtraHeaders[jose.HeaderType] != "token-introspection+jwt" {
			t.Fatalf("%s: header %+v, want a published key and the type of RFC 9701, section 5", name, h)
		}
		payload, err := jws.Verify(found[0])
		must(t, err)
		var got struct {
			Issuer   string `json:"iss"`
			Audience string `json:"aud"`
			IssuedAt int64  `json:"iat"`
			Answer   object `json:"token_introspection"`
		}
		must(t, json.Unmarshal(payload, &got))
		var top, want object
		must(t, json.Unmarshal(payload, &top))
		plain.json(t, &want)
		if got.Issuer != s.URL || got.Audience != mailServer || got.IssuedAt == 0 || len(top) != 4 {
			t.Errorf("%s: %s, want iss, aud, iat and token_introspection alone", name, payload)
		}
		if wantJSON, gotJSON := mustJSON(t, want), mustJSON(t, got.Answer); wantJSON != gotJSON {
			t.Errorf("%s: answer %s, unsigned %s", name, gotJSON, wantJSON)
		}
	}
	for accept, want := range map[string]string{
		"application/json": "application/json", "*/*": "application/json", "application/*": "application/json", signed + ";q=0": "application/json",
		"application/json, " + signed + ";q=0.5": signed, "Application/Token-Introspection+JWT": signed, ",": "application/json",
	} {
		if got := introspected(t, s.URL, imap, asMail, header("Accept", accept)).header.Get("Content-Type"); got != want {
			t.Errorf("Accept %q: %s, want %s", accept, got, want)
		}
	}
	tokenError(t, "refused", introspected(t, s.URL, imap, basic(mailServer, "x"), header("Accept", signed)), http.StatusUnauthorized, oidc.CodeInvalidClient)
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

// TestR27EndedIsInactiveAtOnce at every endpoint, in the next request.
func TestR27EndedIsInactiveAtOnce(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in, other := signedIn(t, s.URL, nil), signedIn(t, s.URL, nil)
	imap := token(t, s.URL, exchangeForm(in.AccessToken, "imap.example.test")).AccessToken
	introspected(t, s.URL, imap, asMail).isActive(t, "before")
	introspected(t, s.URL, in.AccessToken, asDav).isActive(t, "before")
	isRevoked(t, revoked(t, s.URL, url.Values{"client_id": {"open"}, "token": {in.RefreshToken}}))
	introspected(t, s.URL, imap, asMail).isInactive(t, "narrow token of an ended grant")
	introspected(t, s.URL, in.AccessToken, asDav).isInactive(t, "broad token of an ended grant")
	if p := ask(t, http.MethodGet, s.URL+"/userinfo", header("Authorization", "Bearer "+in.AccessToken)); p.status != http.StatusUnauthorized {
		t.Errorf("userinfo for an ended grant: %d, want 401", p.status)
	}
	ended(t, s.URL, in, "revocation")
	introspected(t, s.URL, other.AccessToken, asDav).isActive(t, "another sign-in of the person")
}

// TestR26NobodyCanTellIs503: a resource server is never told that a token is good when
// nobody can know.
func TestR26NobodyCanTellIs503(t *testing.T) {
	t.Parallel()
	var i *issuer.Issuer
	a := newAlone(t, https, withPrograms(declaredWithCalendar), func(d *server.Deps) { i = d.Issuer })
	var in, imap answer
	a.ask(http.MethodPost, https+"/token", formBody(codeForm(a.code(https)))).json(t, &in)
	a.ask(http.MethodPost, https+"/token", formBody(exchangeForm(in.AccessToken, "imap.example.test"))).json(t, &imap)
	asked := func() page {
		return a.ask(http.MethodPost, https+"/introspect", formBody(url.Values{"token": {imap.AccessToken}}), asMail)
	}
	asked().isActive(t, "before")
	away := &askedStore{}
	i.Store = away
	p := asked()
	tokenError(t, "without a database", p, http.StatusServiceUnavailable, oidc.CodeTemporarilyUnavailable)
	if strings.Contains(p.body, "active") || !slices.Equal(away.methods(), []string{"Grant"}) {
		t.Errorf("without a database: %s after asking for %v, want no word of active", p.body, away.methods())
	}
}

// TestClientSwitchedOffIsInactive: the kill switch reaches tokens that were made before.
func TestClientSwitchedOffIsInactive(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedIn(t, s.URL, nil)
	introspected(t, s.URL, in.AccessToken, asDav).isActive(t, "before")
	off := strings.Replace(withPrograms(s.Declaration()), "    clients:\n", "    clients:\n      open: false\n", 1)
	declare(t, s, off, func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return r.Clients.OpenOff
	})
	introspected(t, s.URL, in.AccessToken, asDav).isInactive(t, "token of a client that is switched off")
}

// TestRFC9449Section6_2BoundTokens: the server that asks learns to which key, and what to do with it
// is said by token_type. A bound token for a service that looks at no key is for nobody else.
func TestRFC9449Section6_2BoundTokens(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	accepts := strings.Replace(withPrograms(s.Declaration()), `scopes: ["urn:ietf:params:oauth:scope:calendars"]`, `scopes: ["urn:ietf:params:oauth:scope:calendars"], dpop: accepts`, 1)
	declare(t, s, accepts, func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		calendar, _ := r.Service("https://dav.example.test/calendars/")
		return calendar.DPoP == directory.DPoPAccepts
	})
	p := newProver(t, s)
	in := p.signedIn(s.URL, nil)
	bound := introspected(t, s.URL, in.AccessToken, asDav).isActive(t, "bound broad token")
	if cnf, _ := bound["cnf"].(object); cnf["jkt"] != p.thumbprint() || len(cnf) != 1 || bound["token_type"] != oidc.DPoP {
		t.Errorf("bound broad token: %v, want DPoP and the key %s", bound, p.thumbprint())
	}
	unbound := p.token(s.URL, exchangeForm(in.AccessToken, "imap.example.test"))
	bearer := introspected(t, s.URL, unbound.AccessToken, asMail).isActive(t, "bearer token of a bound sign-in (R11)")
	if bearer["cnf"] != nil || bearer["token_type"] != oidc.Bearer {
		t.Errorf("bearer token of a bound sign-in: %v, want Bearer and no key", bearer)
	}
}
