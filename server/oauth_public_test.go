package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/seal"
	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/server"
)

// The MUSTs of draft-ietf-mailmaint-oauth-public for authorization servers that no other test
// proves; docs/standards.md lists them all.

const contactsScope = "urn:ietf:params:oauth:scope:contacts"

// twoAlone are tenants at the base and by path, as they are served over https.
const twoAlone = `tenants:
  - {name: example, issuer: base, title: Example, domains: [example.test]}
  - {name: other, issuer: path, title: Other, domains: [other.test]}
`

// TestOAuthPublicIssuerIdentifier: an https URL without query, fragment and user information, and with a
// path that has no dot segments, needless escapes or slash at its end.
func TestOAuthPublicIssuerIdentifier(t *testing.T) {
	t.Parallel()
	a := newAlone(t, https, twoAlone, nil)
	for _, want := range []string{https, https + "/t/other"} {
		var m struct {
			Issuer string `json:"issuer"`
		}
		a.ask(http.MethodGet, want+"/.well-known/openid-configuration").json(t, &m)
		u, err := url.Parse(m.Issuer)
		must(t, err)
		if m.Issuer != want || u.Scheme != "https" || u.User != nil || strings.ContainsAny(m.Issuer, "?#%") || strings.HasSuffix(m.Issuer, "/") || u.JoinPath(".").Path != u.Path {
			t.Errorf("issuer %q, want %q", m.Issuer, want)
		}
	}
	for _, base := range []string{
		"http://id.example.test", "https://me@id.example.test", "https://id.example.test?", "https://id.example.test?a=b", "https://id.example.test#",
		"https://id.example.test/a/../b", "https://id.example.test/%61", "https://id.example.test/a/", "id.example.test", "ftp://id.example.test",
	} {
		if _, err := directory.Compile(base, nil, 1); err == nil {
			t.Errorf("%s is taken as the address of issuers", base)
		}
	}
}

// TestOAuthPublicMetadata: every member that it MUST have, at both places where clients look.
func TestOAuthPublicMetadata(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for issuer := range issuers(s) {
		for _, at := range wellKnowns(s, issuer) {
			m := jsonAt(t, at)
			if m["issuer"] != issuer {
				t.Errorf("%s: issuer %v, want %s", at, m["issuer"], issuer)
			}
			for _, endpoint := range []string{"registration_endpoint", "authorization_endpoint", "token_endpoint", "revocation_endpoint"} {
				if value, _ := m[endpoint].(string); !strings.HasPrefix(value, issuer+"/") {
					t.Errorf("%s: %s is %v, want one of the issuer", at, endpoint, m[endpoint])
				}
			}
			for member, includes := range map[string][]string{
				"scopes_supported":                           {mailScope, "offline_access"},
				"response_types_supported":                   {"code"},
				"grant_types_supported":                      {"authorization_code", "refresh_token"},
				"token_endpoint_auth_methods_supported":      {"none"},
				"revocation_endpoint_auth_methods_supported": {"none"},
				"code_challenge_methods_supported":           {"S256"},
				"dpop_signing_alg_values_supported":          {"ES256"},
			} {
				list, _ := m[member].([]any)
				for _, want := range includes {
					if !slices.Contains(list, any(want)) {
						t.Errorf("%s: %s is %v, want %s in it", at, member, m[member], want)
					}
				}
			}
			if m["authorization_response_iss_parameter_supported"] != true {
				t.Errorf("%s: authorization_response_iss_parameter_supported is %v, want true", at, m["authorization_response_iss_parameter_supported"])
			}
		}
	}
}

// TestOAuthPublicScopesOpenEveryService: each of the three scopes opens every service of its kind that
// the organisation declared, without a word about scopes in the declaration, and no other.
func TestOAuthPublicScopesOpenEveryService(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	opens := map[string][]string{
		mailScope:     {"imap.example.test", "pop.example.test", "submission.example.test", "https://jmap.example.test/session"},
		calendarScope: {"https://dav.example.test/calendars/"},
		contactsScope: {"https://dav.example.test/contacts/"},
	}
	declaration := strings.Replace(s.Declaration(), "      - {id: files,", `      - {id: pop, protocol: pop3, title: POP, endpoints: [{host: pop.example.test, port: 995, security: tls}]}
      - {id: jmap, protocol: jmap, title: JMAP, endpoints: [{url: "https://jmap.example.test/session"}]}
      - {id: contacts, protocol: carddav, title: Contacts, endpoints: [{url: "https://dav.example.test/contacts/"}]}
      - {id: files,`, 1)
	declare(t, s, declaration, func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return len(r.Services) == 7
	})
	for scope, opened := range opens {
		in := signedIn(t, s.URL, set("scope", "openid "+scope))
		for _, audiences := range opens {
			for _, audience := range audiences {
				a := token(t, s.URL, exchangeForm(in.AccessToken, audience))
				if got, want := a.Status == http.StatusOK, slices.Contains(opened, audience); got != want || got && a.Scope != scope {
					t.Errorf("%s at %s: %d %s with scope %q, want it opened %v", scope, audience, a.Status, a.Error, a.Scope, want)
				}
			}
		}
	}
}

// TestOAuthPublicResourcesNameTheIssuer: every resource with an address has metadata, in which
// the issuer stands, and a request without a token to one of ours is answered with where they are.
func TestOAuthPublicResourcesNameTheIssuer(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	names := func(at string, edits ...edit) {
		t.Helper()
		if got := jsonAt(t, at, edits...)["authorization_servers"]; fmt.Sprint(got) != fmt.Sprint([]any{s.URL}) {
			t.Errorf("%s: authorization_servers %v, want %s", at, got, s.URL)
		}
	}
	described := 0
	for _, resource := range words(jsonAt(t, s.URL+"/.well-known/openid-configuration")["protected_resources"]) {
		if u, err := url.Parse(resource); err == nil && u.Host != "" {
			described++
			names(s.URL+"/.well-known/oauth-protected-resource"+u.Path, host(u.Host))
		}
	}
	if described != 3 {
		t.Errorf("%d resources with an address, want the configuration, calendar and files", described)
	}
	p := ask(t, http.MethodGet, s.URL+"/configuration")
	_, at, _ := strings.Cut(p.header.Get("WWW-Authenticate"), `resource_metadata="`)
	if at, _, found := strings.Cut(at, `"`); p.status == http.StatusUnauthorized && found {
		names(at)
	} else {
		t.Errorf("configuration: %d with challenge %q, want 401 with resource_metadata", p.status, p.header.Get("WWW-Authenticate"))
	}
}

// registeredHere registers as the draft says, with more members after the others.
func registeredHere(t testing.TB, issuer, more string) (id string) {
	t.Helper()
	return registered(t, issuer+"/register", `{"redirect_uris":["http://127.0.0.1/cb","http://[::1]/cb","com.example.mail:/cb"],"token_endpoint_auth_method":"none",
		"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"scope":"`+allScopes+`","client_name":"Example Mail"`+more+`}`)
}

// of makes a form one of another client.
func of(id string, form url.Values) url.Values {
	form.Set("client_id", id)
	return form
}

// TestOAuthPublicBoundClientNeedsAProof: who registered dpop_bound_access_tokens gets no tokens without.
func TestOAuthPublicBoundClientNeedsAProof(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p := newProver(t, s)
	id := registeredHere(t, s.URL, `,"dpop_bound_access_tokens":true`)
	form := of(id, codeForm(newCode(t, s.URL, set("client_id", id))))
	if a := token(t, s.URL, form); a.Error != oidc.CodeInvalidDPoPProof || a.AccessToken != "" {
		t.Errorf("code without a proof: %d %s, want invalid_dpop_proof", a.Status, a.Error)
	}
	in := p.token(s.URL, form)
	if in.Status != http.StatusOK || in.TokenType != oidc.DPoP {
		t.Fatalf("code with a proof: %d %s %s, want a bound token", in.Status, in.Error, in.TokenType)
	}
	if a := token(t, s.URL, of(id, refreshForm(in.RefreshToken))); a.Error != oidc.CodeInvalidDPoPProof {
		t.Errorf("refresh without a proof: %d %s, want invalid_dpop_proof", a.Status, a.Error)
	}
}

// TestOAuthPublicLoopbackPort: the port of a loopback redirect URI is the client's to choose at each sign-in,
// and everything else of the URI is as it was registered.
func TestOAuthPublicLoopbackPort(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	id := registeredHere(t, s.URL, "")
	mine := func(uri string) func(url.Values) { return together(set("client_id", id), set("redirect_uri", uri)) }
	for uri, taken := range map[string]bool{
		"http://127.0.0.1/cb": true, "http://127.0.0.1:1/cb": true, "http://127.0.0.1:65535/cb": true, "http://[::1]:49152/cb": true, "com.example.mail:/cb": true,
		"http://127.0.0.1:49152/": false, "http://127.0.0.1:49152/cb/": false, "http://localhost:49152/cb": false, "com.example.mail:/CB": false,
	} {
		want := http.StatusBadRequest
		if taken {
			want = http.StatusOK
		}
		ask(t, http.MethodGet, authorizeURL(s.URL, mine(uri))).isPage(t, want)
	}
	form := of(id, codeForm(newCode(t, s.URL, mine(redirectURI)))) // at port 49152
	if a := token(t, s.URL, form); a.Status != http.StatusOK {
		t.Errorf("redeem at the port that was chosen: %d %s", a.Status, a.Error)
	}
}

// TestOAuthPublicClientIDForAnHour: a client id may be used for an hour after it was given out, and longer.
func TestOAuthPublicClientIDForAnHour(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, wait := range []time.Duration{time.Hour, 30 * 24 * time.Hour} {
		s.Clock.Advance(-wait) // the identity provider goes by the clock on the wall
		id := registeredHere(t, s.URL, "")
		s.Clock.Advance(wait)
		form := of(id, codeForm(newCode(t, s.URL, set("client_id", id))))
		if a := token(t, s.URL, form); a.Status != http.StatusOK {
			t.Errorf("sign-in %v later: %d %s", wait, a.Status, a.Error)
		}
	}
}

// TestOAuthPublicClientIDLivesAsItsRefreshToken: also where the key that made the id is gone, which ends
// the ids that nobody signed in with.
func TestOAuthPublicClientIDLivesAsItsRefreshToken(t *testing.T) {
	t.Parallel()
	var parts *clients.Clients
	a := newAlone(t, https, declared, func(d *server.Deps) { parts = d.Issuer.Clients })
	register := func(more string) string {
		var answer struct {
			ClientID string `json:"client_id"`
		}
		a.ask(http.MethodPost, https+"/register", body("application/json", `{"redirect_uris":["http://127.0.0.1/cb"]`+more+`}`)).json(t, &answer)
		return answer.ClientID
	}
	used, unused := register(""), register(`,"client_name":"Never signed in"`)
	var in answer
	a.ask(http.MethodPost, https+"/token", formBody(of(used, codeForm(a.code(https, set("client_id", used)))))).json(t, &in)

	another := make([]byte, seal.KeySize)
	another[0] = 1
	box, err := seal.New(another)
	must(t, err)
	parts.Sealer = box
	if status, code := a.token(https, of(used, refreshForm(in.RefreshToken))); status != http.StatusOK {
		t.Errorf("refresh: %d %s, want 200: the id lives as long as its refresh token", status, code)
	}
	if status, code := a.token(https, of(unused, refreshForm("x"))); code != oidc.CodeInvalidClient {
		t.Errorf("an id without a grant: %d %s, want invalid_client: else this test proves nothing", status, code)
	}
}

// TestOAuthPublicAccessTokensLiveAnHour, whatever a client of the draft does to get one.
func TestOAuthPublicAccessTokensLiveAnHour(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p := newProver(t, s)
	first := signedIn(t, s.URL, nil)
	next := token(t, s.URL, refreshForm(first.RefreshToken))
	narrowed := func(form url.Values) answer {
		form.Set("resource", "submission.example.test") // exchanged tokens for it live five minutes
		return token(t, s.URL, form)
	}
	for name, a := range map[string]answer{
		"code": first, "refresh": next, "code for one resource": narrowed(codeForm(newCode(t, s.URL, nil))), "refresh for one resource": narrowed(refreshForm(next.RefreshToken)),
		"bound to a key": p.signedIn(s.URL, nil), "less scope": signedIn(t, s.URL, set("scope", mailScope)),
	} {
		if a.Status != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.Status, a.Error)
			continue
		}
		_, payload := claims(t, a.AccessToken)
		if lives := payload["exp"].(float64) - payload["iat"].(float64); a.ExpiresIn < 3600 || lives < 3600 {
			t.Errorf("%s: expires_in %d, and the token lives %v s; want an hour", name, a.ExpiresIn, lives)
		}
	}
	s.Clock.Advance(time.Hour - 5*time.Second)
	alive(t, s.URL, first, "almost an hour")
}
