package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
)

// The tests in the files incident*_test.go are named after what happened to others.
// docs/security/incidents.md is the table of them.

// everyAudience are the services of the tenant example.
var everyAudience = []string{imap, "submission.example.test", calendar, "https://files.example.test/dav/"}

// notExchanged checks that a request to the token endpoint gave no token, with one of the codes.
func notExchanged(t testing.TB, what string, a answer, codes ...string) {
	t.Helper()
	if a.Status < 400 || a.Status >= 500 || a.AccessToken != "" || a.RefreshToken != "" || a.IDToken != "" || !slices.Contains(codes, a.Error) {
		t.Errorf("%s: %d %q %q with a token %v, want no token and one of %v", what, a.Status, a.Error, a.Description, a.AccessToken != "", codes)
	}
}

// TestIncidentZITADELCVE202656668: a low-privileged token was exchanged by another client for
// scopes that its owner never had: the requested scope was compared with what the client
// might have, and not with the subject token, and for some subject token types with nothing.
// Here: for every kind of token, every type it is called and every client.
// Source: https://github.com/golang/vulndb/issues/6474
func TestIncidentZITADELCVE202656668(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declare(t, s, withPolicy(s, "", `        - {id: portal, name: Portal, redirect_uris: ["http://127.0.0.1:49152/cb"], authentication: client_secret_post, secret: a-secret-of-the-portal-made-by-a-machine}
`), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		_, found := r.FixedClient("portal")
		return found
	})
	low := signedIn(t, s.URL, set("scope", "openid offline_access "+mailScope))
	narrow := token(t, s.URL, exchangeForm(low.AccessToken, imap))
	subjects := map[string]string{"broad": low.AccessToken, "narrow": narrow.AccessToken, "ID token": low.IDToken, "refresh token": low.RefreshToken}
	kinds := []string{oidc.TokenTypeAccessToken, oidc.TokenTypeJWT, oidc.TokenTypeIDToken, oidc.TokenTypeRefreshToken, "urn:ietf:params:oauth:token-type:saml2"}
	clients := map[string]url.Values{
		"its own": {"client_id": {"open"}}, "a built-in one": {"client_id": {"thunderbird"}}, "a fixed one": {"client_id": {"shop"}},
		"one with a secret": {"client_id": {"portal"}, "client_secret": {"a-secret-of-the-portal-made-by-a-machine"}},
		"a registered one":  {"client_id": {registered(t, s.URL+"/register", `{"redirect_uris":["`+redirectURI+`"]}`)}},
	}
	asks := map[string]url.Values{
		"more scope":                     {"scope": {filesScope}, "audience": {"https://files.example.test/dav/"}},
		"more scope at its own service":  {"scope": {mailScope + " " + filesScope}, "audience": {imap}},
		"a service outside its scope":    {"audience": {calendar}},
		"everything and no target":       {"scope": {allScopes}},
		"its own scope, another service": {"scope": {mailScope}, "audience": {calendar}},
	}
	for what, subject := range subjects {
		for _, kind := range kinds {
			for who, client := range clients {
				for wish, ask := range asks {
					form := url.Values{"grant_type": {oidc.GrantTypeTokenExchange}, "subject_token": {subject}, "subject_token_type": {kind}}
					for name, values := range client {
						form[name] = values
					}
					for name, values := range ask {
						form[name] = values
					}
					codes := []string{oidc.CodeInvalidRequest}
					if what == "broad" && kind == oidc.TokenTypeAccessToken && who == "its own" {
						codes = []string{oidc.CodeInvalidScope, oidc.CodeInvalidTarget}
					}
					notExchanged(t, fmt.Sprintf("%s as %s by %s for %s", what, kind, who, wish), token(t, s.URL, form), codes...)
				}
			}
		}
	}
	if a := token(t, s.URL, exchangeForm(low.AccessToken, imap)); a.Status != http.StatusOK {
		t.Errorf("within its scope, by its own client: %d %s, want a token: else this test proves nothing", a.Status, a.Error)
	}
}

// TestIncidentZITADEL12319: the mending of the CVE above compared every subject token's scope,
// also where a type of token has none, and broke what was documented. Here each type has
// its own answer, which docs/profiles/token-exchange.md gives, whatever scope the request asks for.
// Source: https://github.com/zitadel/zitadel/issues/12319
func TestIncidentZITADEL12319(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	in := signedIn(t, s.URL, nil)
	far := signedIn(t, s.OtherURL(), nil)
	for kind, c := range map[string]struct {
		subject string
		taken   bool
	}{
		oidc.TokenTypeAccessToken:                       {in.AccessToken, true},
		oidc.TokenTypeJWT:                               {in.AccessToken, false},
		oidc.TokenTypeIDToken:                           {in.IDToken, false},
		oidc.TokenTypeRefreshToken:                      {in.RefreshToken, false},
		oidc.TokenTypeAppPassword:                       {in.AccessToken, false},
		"urn:ietf:params:oauth:token-type:saml1":        {in.AccessToken, false},
		"urn:ietf:params:oauth:token-type:saml2":        {in.AccessToken, false},
		"urn:zitadel:params:oauth:token-type:user_id":   {far.AccessToken, false},
		" " + oidc.TokenTypeAccessToken:                 {in.AccessToken, false},
		strings.ToUpper(oidc.TokenTypeAccessToken):      {in.AccessToken, false},
		"access_token":                                  {in.AccessToken, false},
		oidc.TokenTypeAccessToken + " " + "id_token":    {in.AccessToken, false},
		oidc.TokenTypeAccessToken + "\x00":              {in.AccessToken, false},
		"urn:ietf:params:oauth:token-type:access-token": {in.AccessToken, false},
	} {
		for _, scope := range []string{"", mailScope} { // the request says none, or one that is granted
			form := exchangeForm(c.subject, imap)
			form.Set("subject_token_type", kind)
			if scope != "" {
				form.Set("scope", scope)
			}
			a := token(t, s.URL, form)
			if !c.taken {
				notExchanged(t, fmt.Sprintf("%q with scope %q", kind, scope), a, oidc.CodeInvalidRequest)
				continue
			}
			if a.Status != http.StatusOK || a.Scope != mailScope {
				t.Errorf("%q with scope %q: %d %s, scope %q, want the scope of the service", kind, scope, a.Status, a.Error, a.Scope)
			}
		}
	}
}

// TestIncidentKeycloakCVE20269704: a missing or emptied subject_token was filled in silently with
// another one. Here nothing that a request leaves out is guessed: not from a session, a header, the
// query or a second parameter of the name.
// Source: https://www.cve.org/CVERecord?id=CVE-2026-9704
func TestIncidentKeycloakCVE20269704(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	in := token(t, s.URL, codeForm(b.signIn(authorizeURL(s.URL, nil)).Get("code")))
	good := exchangeForm(in.AccessToken, imap)
	if a := token(t, s.URL, good); a.Status != http.StatusOK {
		t.Fatalf("the whole request: %d %s", a.Status, a.Error)
	}
	for name := range good {
		codes := []string{oidc.CodeInvalidRequest}
		switch name {
		case "audience":
			codes = []string{oidc.CodeInvalidTarget}
		case "grant_type":
			codes = append(codes, oidc.CodeUnsupportedGrantType)
		case "client_id":
			codes = append(codes, oidc.CodeInvalidClient)
		}
		for what, values := range map[string][]string{
			"missing": nil, "empty": {""}, "a space": {" "}, "null": {"null"}, "twice": {good.Get(name), good.Get(name)}, "two different": {good.Get(name), "x"},
		} {
			form := exchangeForm(in.AccessToken, imap)
			form[name] = values
			want := codes
			if name == "subject_token" || len(values) > 1 && name != "audience" {
				want = []string{oidc.CodeInvalidRequest}
			}
			query := s.URL + "/token?" + url.Values{name: {good.Get(name)}}.Encode()
			for where, p := range map[string]page{
				"alone":                     posted(t, s.URL, form),
				"with the browser's cookie": posted(t, s.URL, form, b.cookies),
				"with it in the header":     posted(t, s.URL, form, header("Authorization", "Bearer "+in.AccessToken)),
				"with it in the query":      ask(t, http.MethodPost, query, formBody(form)),
			} {
				if where == "with it in the header" { // which is no way to authenticate a client either
					want = append(slices.Clone(want), oidc.CodeInvalidClient)
				}
				var a answer
				p.json(t, &a)
				a.Status = p.status
				notExchanged(t, fmt.Sprintf("%s %s, %s", name, what, where), a, want...)
			}
		}
	}
}

// TestIncidentStalwart01615: a credential that was narrowed in scope could make itself an API key
// and so regain every right of its owner. Here nothing that is narrow makes anything, ends
// anything, or stands for a client.
// Source: https://github.com/stalwartlabs/stalwart/blob/main/CHANGELOG.md (0.16.15)
func TestIncidentStalwart01615(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedIn(t, s.URL, nil)
	byCode := codeForm(newCode(t, s.URL, nil))
	byCode.Set("resource", calendar)
	byRefresh := refreshForm(signedIn(t, s.URL, nil).RefreshToken)
	byRefresh.Set("resource", "https://files.example.test/dav/")
	for name, narrow := range map[string]answer{
		"for Dovecot": token(t, s.URL, exchangeForm(in.AccessToken, imap)), "exchanged": token(t, s.URL, exchangeForm(in.AccessToken, calendar)),
		"by code": token(t, s.URL, byCode), "by refresh": token(t, s.URL, byRefresh),
	} {
		if narrow.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, narrow.Status, narrow.Error)
		}
		v := narrow.AccessToken
		for _, target := range append(everyAudience, s.URL, s.URL+"/configuration", "open") {
			for _, wanted := range []string{"", oidc.TokenTypeAccessToken, oidc.TokenTypeRefreshToken, oidc.TokenTypeAppPassword} {
				form := exchangeForm(v, target)
				if wanted != "" {
					form.Set("requested_token_type", wanted)
				}
				notExchanged(t, name+" for "+target+" as "+wanted, token(t, s.URL, form), oidc.CodeInvalidRequest)
			}
		}
		for what, form := range map[string]url.Values{
			"code": codeForm(v), "refresh token": refreshForm(v), "device code": (&waiting{DeviceCode: v}).form(),
		} {
			notExchanged(t, name+" as "+what, token(t, s.URL, form), oidc.CodeInvalidGrant, oidc.CodeUnauthorizedClient)
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, path := range []string{"/configuration", "/userinfo"} {
				if p := ask(t, method, s.URL+path, header("Authorization", "Bearer "+v)); p.status != http.StatusUnauthorized && p.status != http.StatusMethodNotAllowed {
					t.Errorf("%s: %s %s: %d, want 401", name, method, path, p.status)
				}
			}
		}
		if p := ask(t, http.MethodGet, s.URL+"/account", header("Authorization", "Bearer "+v)); strings.Contains(p.body, "alice") {
			t.Errorf("%s opens the account page: %d", name, p.status)
		}
		tokenError(t, name+" introspects", introspected(t, s.URL, v, header("Authorization", "Bearer "+v)), http.StatusUnauthorized, oidc.CodeInvalidClient)
		revoked(t, s.URL, giveBack(v)) // whatever that says
	}
	alive(t, s.URL, in, "its narrow tokens were given back")
}

// TestIncidentStalwart0160: the key set at the public address had the symmetric key by which
// tokens were signed. Here a key set has public keys of pairs and nothing else, and no published
// document has more.
// Source: https://github.com/stalwartlabs/stalwart/blob/main/CHANGELOG.md (0.16.0)
func TestIncidentStalwart0160(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for issuer := range issuers(s) {
		p := ask(t, http.MethodGet, issuer+"/jwks")
		var set struct {
			Keys []map[string]any `json:"keys"`
		}
		p.json(t, &set)
		if len(set.Keys) == 0 {
			t.Fatalf("%s publishes no keys: %s", issuer, p.body)
		}
		for _, key := range set.Keys {
			want := []string{"alg", "crv", "kid", "kty", "use", "x", "y"}
			if key["kty"] == "RSA" {
				want = []string{"alg", "e", "kid", "kty", "n", "use"}
			}
			if got := membersOf(key); !slices.Equal(got, want) {
				t.Errorf("%s: key %v of kind %v has the members %v, want %v and none that is private", issuer, key["kid"], key["kty"], got, want)
			}
		}
		for _, k := range keySet(t, issuer).Keys {
			if _, symmetric := k.Key.([]byte); symmetric || !k.IsPublic() || strings.HasPrefix(k.Algorithm, "HS") {
				t.Errorf("%s: key %s of algorithm %s is not the public part of a pair", issuer, k.KeyID, k.Algorithm)
			}
		}
		metadata := ask(t, http.MethodGet, issuer+"/.well-known/openid-configuration")
		for _, place := range []page{p, metadata, ask(t, http.MethodGet, issuer+"/scopes")} {
			for _, sign := range []string{`"oct"`, `"k":`, `"d":`, `"p":`, `"q":`, `"dp":`, `"HS256"`, `"HS384"`, `"HS512"`, `"none"]`, "PRIVATE KEY"} {
				if strings.Contains(place.body, sign) && (sign != `"none"]` || !strings.Contains(place.body, "auth_methods")) {
					t.Errorf("%v has %s in it:\n%s", place.url, sign, place.body)
				}
			}
		}
	}
}

// membersOf are the names in an object, sorted.
func membersOf(o map[string]any) (names []string) {
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestIncidentNextcloud856: a server took tokens that were for another audience, because it looked at
// their end alone. Here a server that asks what a token is worth is told that it is worth nothing
// unless it is for that server, however good it is elsewhere.
// Source: https://github.com/nextcloud/user_oidc/issues/856
func TestIncidentNextcloud856(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedIn(t, s.URL, nil)
	for audience, good := range map[string]edit{imap: asMail, calendar: asDav, "submission.example.test": nil, "https://files.example.test/dav/": nil} {
		narrow := token(t, s.URL, exchangeForm(in.AccessToken, audience)).AccessToken
		for name, as := range map[string]edit{mailServer: asMail, davServer: asDav} {
			p := introspected(t, s.URL, narrow, as)
			if (audience == imap && name == mailServer) || (audience == calendar && name == davServer) {
				p.isActive(t, "token for "+audience+" at "+name)
				continue
			}
			p.isInactive(t, "token for "+audience+" at "+name)
		}
		if good != nil {
			introspected(t, s.URL, narrow, good).isActive(t, "token for "+audience+", where it belongs, afterwards")
		}
	}
	// One that is for several tells each only of itself.
	p := introspected(t, s.URL, in.AccessToken, asDav)
	if got := p.isActive(t, "broad"); got["aud"] != calendar || strings.Contains(p.body, s.URL+`"`) && got["iss"] != s.URL || strings.Contains(p.body, mailScope) {
		t.Errorf("the calendar is told of the broad token %s, want its own audience and scope alone", p.body)
	}
	introspected(t, s.URL, in.AccessToken, asMail).isInactive(t, "broad, which is not for the mail server")
}

// TestIncidentMytoken010: several refreshes at once with one refresh token, as programs with several
// connections make them, lost the sign-in: each rotated the token and the others' answers
// were reuse. Here one makes the successor, and all others get the same.
// Source: https://github.com/oidc-mytoken/server/blob/master/CHANGELOG.md (0.10)
func TestIncidentMytoken010(t *testing.T) {
	t.Parallel()
	const parallel = 8 // fewer than the repetitions that one token is allowed
	s := servertest.Start(t)
	in := signedIn(t, s.URL, nil)
	for round := range 3 {
		answers := make([]answer, parallel)
		var wait sync.WaitGroup
		for i := range answers {
			wait.Go(func() { answers[i] = token(t, s.URL, refreshForm(in.RefreshToken)) })
		}
		wait.Wait()
		for i, a := range answers {
			if a.Status != http.StatusOK || a.RefreshToken != answers[0].RefreshToken || a.RefreshToken == in.RefreshToken {
				t.Fatalf("round %d: answer %d is %d %s, the same successor %v; want the same new one for all", round, i, a.Status, a.Error, a.RefreshToken == answers[0].RefreshToken)
			}
			alive(t, s.URL, a, "parallel refreshes")
		}
		in = answers[parallel-1]
	}
	if living := rows(t, s, `SELECT ended_reason FROM grants WHERE ended_at IS NOT NULL`); len(living) != 0 {
		t.Errorf("sign-ins ended for %q, want none ended", living)
	}
}
