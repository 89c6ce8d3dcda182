package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/server"
)

// What RFC 9700, section 2 asks of authorization servers and no other test proves;
// docs/standards.md lists it all.

// TestRFC9700Section2_1RedirectURIsAreExact: "authorization servers MUST utilize exact string matching except
// for port numbers in localhost redirection URIs of native apps".
func TestRFC9700Section2_1RedirectURIsAreExact(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	own := map[string]string{"portal": portalRedirect, registeredHere(t, s.URL, ""): "com.example.mail:/cb"}
	for id, uri := range own {
		sent := map[string]bool{
			uri: true, uri + "/": false, uri + "?": false, uri + "#": false, uri + "&x=1": false, uri + "%20": false, strings.ToUpper(uri[:1]) + uri[1:]: false, strings.Replace(uri, ":/", "://", 1): false,
			strings.Replace(uri, "/cb", "/./cb", 1): false, strings.Replace(uri, "/cb", "/%63b", 1): false, strings.Replace(uri, "/cb", ":443/cb", 1): false, strings.Replace(uri, "/cb", "", 1): false,
		}
		for _, others := range own {
			sent[others] = others == uri
		}
		for uri, taken := range sent {
			want := http.StatusBadRequest
			if taken {
				want = http.StatusOK
			}
			p := ask(t, http.MethodGet, authorizeURL(s.URL, together(set("client_id", id), set("redirect_uri", uri))))
			if p.status != want || p.header.Get("Location") != "" {
				t.Errorf("client %.10s with %q: %d to %q, want %d", id, uri, p.status, p.header.Get("Location"), want)
			}
		}
	}
}

// TestRFC9700Section2_1NoOpenRedirector: "authorization servers MUST NOT expose URLs that forward the user's
// browser to arbitrary URIs obtained from a query parameter". Every route is asked.
func TestRFC9700Section2_1NoOpenRedirector(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	ours, err := url.Parse(s.URL)
	must(t, err)
	names := []string{
		"redirect_uri", "post_logout_redirect_uri", "request_uri", "target_link_uri", "initiate_login_uri", "uri", "url", "next", "continue", "return", "return_to", "goto", "target", "dest",
		"redirect", "redirect_url", "rd", "iss", "state", "ticket", "result", "code", "id_token_hint", "login_hint", "user_code", "resource", "rel", "scope", "idp", "decision",
	}
	redirected := 0
	for _, evil := range []string{"https://evil.example/", "//evil.example/", `/\evil.example/`, "javascript:alert(1)"} {
		q := url.Values{"client_id": {"open"}}
		for _, name := range names {
			q.Set(name, evil)
		}
		for _, route := range server.Routes(s.Service.Handler) {
			method, path, _ := strings.Cut(route, " ")
			path = strings.NewReplacer(":tenant", "other", ":idp", "staff", ":name", "x", "/*resource", "/x").Replace(path)
			edits := []edit{}
			if method == http.MethodPost {
				edits = append(edits, formBody(q))
			}
			p := ask(t, method, s.URL+path+"?"+q.Encode(), edits...)
			at := p.header.Get("Location")
			if at != "" {
				redirected++
			}
			to, err := ours.Parse(at)
			if err != nil || to.Host != ours.Host || to.Scheme != ours.Scheme || strings.HasPrefix(at, "//") || strings.HasPrefix(at, `/\`) || p.header.Get("Refresh") != "" {
				t.Errorf("%s with %s: %d leads to %q", route, evil, p.status, at)
			}
			if strings.HasPrefix(p.header.Get("Content-Type"), "text/html") && slices.ContainsFunc(p.attributes(t, "a", "href"), func(href string) bool { return strings.HasPrefix(href, evil) }) {
				t.Errorf("%s with %s: the page links there", route, evil)
			}
		}
	}
	if redirected == 0 {
		t.Error("nothing redirected at all, so this test proves nothing")
	}
}

// TestRFC9700Section2_1RedirectsByGET: "an authorization server that redirects a request potentially containing user
// credentials MUST avoid forwarding these": with 303 every browser drops the form (RFC 9700, section 4.12).
func TestRFC9700Section2_1RedirectsByGET(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	first, _ := b.toConsent(authorizeURL(s.URL, nil))
	second, _ := b.toConsent(authorizeURL(s.URL, set("state", "s2")))
	hint := signedIn(t, s.URL, nil).IDToken
	for name, c := range map[string]struct {
		path string
		form url.Values
	}{
		"authorization request": {"/authorize", authorizeForm(nil)},
		"yes":                   {"/consent", url.Values{"ticket": {first}, "decision": {"allow"}}},
		"no":                    {"/consent", url.Values{"ticket": {second}, "decision": {"deny"}}},
		"logout":                {"/logout", url.Values{"id_token_hint": {hint}}},
	} {
		p := ask(t, http.MethodPost, s.URL+c.path, formBody(c.form), b.cookies)
		if p.status >= 300 && p.status != http.StatusSeeOther || p.header.Get("Location") == "" && name != "logout" {
			t.Errorf("%s: %d to %q, want 303", name, p.status, p.header.Get("Location"))
		}
	}
	if p := ask(t, http.MethodGet, s.URL+"/callback/staff?"+b.atCallback(s.IDP, authorizeURL(s.URL, nil)).Encode(), b.cookies); p.status != http.StatusSeeOther {
		t.Errorf("answer of the identity provider: %d, want 303", p.status)
	}
}

// TestRFC9700Section2_1_1EveryClientNeedsPKCE: "Public clients MUST use PKCE", and the others do too. So there is no code
// without a challenge, and "a token request containing a code_verifier parameter is accepted only if a code_challenge
// parameter was present in the authorization request".
func TestRFC9700Section2_1_1EveryClientNeedsPKCE(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	for id, as := range map[string]func(url.Values){
		"open": func(url.Values) {}, "portal": portal(), "desk": set("client_id", "desk"),
		"registered": set("client_id", registeredHere(t, s.URL, "")),
	} {
		for name, change := range map[string]func(url.Values){
			"nothing":     together(without("code_challenge"), without("code_challenge_method")),
			"no value":    set("code_challenge", ""),
			"method only": without("code_challenge"),
			"plain":       together(set("code_challenge", verifier), set("code_challenge_method", "plain")),
			"no method":   together(set("code_challenge", verifier), without("code_challenge_method")),
		} {
			form := authorizeForm(together(as, change))
			b := newBrowser(t)
			if b.get(s.URL + "/authorize?" + form.Encode()); b.answer == nil || b.answer.Query().Get("error") != oidc.CodeInvalidRequest {
				t.Errorf("%s, %s: answered %v, want invalid_request", id, name, b.answer)
			}
			if b.post(s.URL+"/authorize", form); b.answer == nil || b.answer.Query().Get("error") != oidc.CodeInvalidRequest {
				t.Errorf("%s, %s, by form: answered %v, want invalid_request", id, name, b.answer)
			}
			var edits []edit
			if id == "desk" {
				edits = append(edits, basic("desk", deskSecret))
			}
			if p, uri := push(t, s.URL, form, edits...); p.status != http.StatusBadRequest || uri != "" {
				t.Errorf("%s, %s, pushed: %d %s, want 400", id, name, p.status, p.body)
			}
		}
	}
}

// TestRFC9700Section2_1_1TransactionsAreTheirOwn: "the PKCE challenge or OpenID Connect nonce MUST be transaction-specific", for the
// identity provider's client that Signpost is. TestR3CallbackComparesEverything binds them to the browser.
func TestRFC9700Section2_1_1TransactionsAreTheirOwn(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	seen := map[string]bool{}
	b := newBrowser(t)
	before := b.get(authorizeURL(s.URL, nil))
	for name, to := range map[string]string{
		"first": b.chosen(before), "the same link again": b.chosen(before), "the same request again": b.chosen(b.get(authorizeURL(s.URL, nil))),
	} {
		u, err := url.Parse(to)
		must(t, err)
		for _, parameter := range []string{"state", "nonce", "code_challenge"} {
			value := u.Query().Get(parameter)
			if value == "" || seen[value] {
				t.Errorf("%s: %s is %q, which came before", name, parameter, value)
			}
			seen[value] = true
		}
		if got := u.Query().Get("code_challenge_method"); got != "S256" {
			t.Errorf("%s: code_challenge_method %q, want S256", name, got)
		}
	}
}

// TestRFC9700Section2_1_2NoTokenInTheAnswer: the authorization response has a code, the state and the issuer.
func TestRFC9700Section2_1_2NoTokenInTheAnswer(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	told := b.signIn(authorizeURL(s.URL, nil))
	if got := slices.Sorted(maps.Keys(told)); !slices.Equal(got, []string{"code", "iss", "state"}) || b.answer.Fragment != "" {
		t.Errorf("the client was told %v and %q, want code, iss and state", got, b.answer.Fragment)
	}
	for _, responseType := range []string{"token", "id_token", "code token", "code id_token", "id_token token", "none"} {
		if q := asked(t, s.URL, set("response_type", responseType)); q.Get("error") != oidc.CodeUnsupportedResponseType {
			t.Errorf("response_type=%s: %v, want unsupported_response_type", responseType, q)
		}
	}
}

// TestRFC9700Section2_2_2RefreshTokensBelongToTheirClient: "refresh tokens for confidential clients can only be used by the
// client for which they were issued". Those of others too, and whoever tries ends nothing.
func TestRFC9700Section2_2_2RefreshTokensBelongToTheirClient(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	desk := basic("desk", deskSecret)
	registered := registeredHere(t, s.URL, "")
	var in answer
	posted(t, s.URL, of("desk", codeForm(newCode(t, s.URL, set("client_id", "desk")))), desk).json(t, &in)
	tokenError(t, "without credentials", posted(t, s.URL, of("desk", refreshForm(in.RefreshToken))), http.StatusUnauthorized, oidc.CodeInvalidClient)
	for _, id := range []string{"open", "portal", registered} {
		tokenError(t, "as "+id, posted(t, s.URL, of(id, refreshForm(in.RefreshToken))), http.StatusBadRequest, oidc.CodeInvalidGrant)
	}
	if p := posted(t, s.URL, of("desk", refreshForm(in.RefreshToken)), desk); p.status != http.StatusOK {
		t.Errorf("as its own client: %d %s, want 200", p.status, p.body)
	}
	public := signedIn(t, s.URL, nil)
	tokenError(t, "of open, as another", posted(t, s.URL, of(registered, refreshForm(public.RefreshToken))), http.StatusBadRequest, oidc.CodeInvalidGrant)
	if a := token(t, s.URL, refreshForm(public.RefreshToken)); a.Status != http.StatusOK {
		t.Errorf("of open, as open afterwards: %d %s, want 200", a.Status, a.Error)
	}
}

// TestRFC9700Section2_3OwnResources: "every resource server is obliged to verify, for every request, whether the access token
// sent with that request was meant to be used for that particular resource server" and action.
func TestRFC9700Section2_3OwnResources(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	in := signedIn(t, s.URL, nil)
	at := map[string]string{"configuration": s.URL + "/configuration", "userinfo": s.URL + "/userinfo"}
	refused := map[string]string{"another tenant's": signedIn(t, s.OtherURL(), set("scope", "openid "+mailScope)).AccessToken}
	for _, audience := range []string{"imap.example.test", "https://dav.example.test/calendars/", "https://files.example.test/dav/"} {
		refused[audience] = token(t, s.URL, exchangeForm(in.AccessToken, audience)).AccessToken
	}
	shut := signedIn(t, s.URL, set("scope", mailScope)).AccessToken
	for name, resource := range at {
		for whose, presented := range refused {
			if p := ask(t, http.MethodGet, resource, header("Authorization", "Bearer "+presented)); presented == "" || p.status != http.StatusUnauthorized {
				t.Errorf("%s with a token for %s: %d, want 401", name, whose, p.status)
			}
		}
		tokenError(t, name+" without openid", ask(t, http.MethodGet, resource, header("Authorization", "Bearer "+shut)), http.StatusForbidden, "insufficient_scope")
		if p := ask(t, http.MethodGet, resource, header("Authorization", "Bearer "+in.AccessToken)); p.status != http.StatusOK {
			t.Errorf("%s with the token for it: %d, want 200", name, p.status)
		}
	}
}

// TestRFC9700Section2_4NoPasswords: "The resource owner password credentials grant MUST NOT be used."
func TestRFC9700Section2_4NoPasswords(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	for id, edits := range map[string][]edit{"open": nil, "desk": {basic("desk", deskSecret)}} {
		form := url.Values{"grant_type": {"password"}, "client_id": {id}, "username": {"alice@example.test"}, "password": {"secret"}, "scope": {mailScope}}
		tokenError(t, id, posted(t, s.URL, form, edits...), http.StatusBadRequest, oidc.CodeUnsupportedGrantType)
	}
	for issuer := range issuers(s) {
		if listed := words(jsonAt(t, issuer+"/.well-known/openid-configuration")["grant_types_supported"]); slices.Contains(listed, "password") || slices.Contains(listed, "implicit") {
			t.Errorf("%s advertises %v", issuer, listed)
		}
	}
}

// TestRFC9700Section2_6ClientsAreNoPeople: "authorization servers SHOULD NOT allow clients to influence their client_id or any claim
// that could cause confusion with a genuine resource owner", and no grant makes a client the subject of a token.
func TestRFC9700Section2_6ClientsAreNoPeople(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	_, alice := claims(t, signedIn(t, s.URL, nil).AccessToken)
	subject := fmt.Sprint(alice["sub"])
	more, err := json.Marshal(map[string]string{"client_id": subject, "sub": subject, "software_id": subject})
	must(t, err)
	id := registeredHere(t, s.URL, ","+strings.Trim(string(more), "{}"))
	if id == subject || !strings.HasPrefix(id, "reg_") {
		t.Errorf("the client chose its id: %s", id)
	}
	a := token(t, s.URL, of(id, codeForm(newCode(t, s.URL, set("client_id", id)))))
	if _, got := claims(t, a.AccessToken); got["sub"] != subject || got["client_id"] != id {
		t.Errorf("token about %v for %v, want about alice for %s", got["sub"], got["client_id"], id)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"desk"}, "scope": {mailScope}}
	tokenError(t, "client_credentials", posted(t, s.URL, form, basic("desk", deskSecret)), http.StatusBadRequest, oidc.CodeUnsupportedGrantType)
}

// TestRFC9700Section2_6NoAnswerInTheClear: "authorization servers MUST NOT allow redirect URIs that use the http scheme except for native
// clients that use Loopback Interface Redirection", whether registered, declared or sent.
func TestRFC9700Section2_6NoAnswerInTheClear(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for uri, taken := range map[string]bool{
		"http://127.0.0.1/cb": true, "http://[::1]/cb": true,
		"http://app.example.test/cb": false, "http://example.test:49152/cb": false, "http://127.0.0.2/cb": false, "http://127.0.0.1.example.test/cb": false, "http://0.0.0.0/cb": false, "http://localhost/cb": false,
	} {
		registers := ask(t, http.MethodPost, s.URL+"/register", body("application/json", `{"redirect_uris":["`+uri+`"]}`))
		if got := registers.status == http.StatusCreated; got != taken {
			t.Errorf("%s registers: %d, want it taken %v", uri, registers.status, taken)
		}
		declaration := withClients(s.Declaration(), `        - {id: app, name: App, redirect_uris: ["`+uri+`"]}`+"\n")
		_, err := directory.Parse("tenants.yaml", []byte(declaration), func(string) (string, bool) { return "", false }, os.ReadFile)
		if got := err == nil; got != taken {
			t.Errorf("%s declared: %v, want it taken %v", uri, err, taken)
		}
		sent := ask(t, http.MethodGet, authorizeURL(s.URL, set("redirect_uri", uri)))
		if got := sent.status == http.StatusOK; got != taken || sent.header.Get("Location") != "" {
			t.Errorf("%s sent by the open client: %d to %q, want it taken %v", uri, sent.status, sent.header.Get("Location"), taken)
		}
	}
}
