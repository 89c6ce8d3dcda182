package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"signpost/configdoc"
	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/server"
)

// bundled asks for the configuration with tokens.
func bundled(t testing.TB, issuer, accessToken string, form url.Values, edits ...edit) page {
	t.Helper()
	edits = append([]edit{header("Authorization", "Bearer "+accessToken)}, edits...)
	if form != nil {
		edits = append(edits, formBody(form))
	}
	return ask(t, http.MethodPost, issuer+"/configuration", edits...)
}

// services reads a bundle that must be there.
func (p page) services(t testing.TB) map[string]configdoc.Service {
	t.Helper()
	d, err := configdoc.Parse([]byte(p.body))
	if p.status != http.StatusOK || err != nil {
		t.Fatalf("bundle: %d, %v\n%s", p.status, err, p.body)
	}
	byID := map[string]configdoc.Service{}
	for _, s := range d.Services() {
		byID[s.ID] = s
	}
	return byID
}

// answered is what is said of a service: "token", an error code, or nothing.
func answered(s configdoc.Service) string {
	switch {
	case s.Token != nil:
		return "token"
	case s.Refusal != nil:
		return s.Refusal.Error
	}
	return ""
}

// TestBundle: one request, and each service of the configuration has the token that an exchange
// would have given.
func TestBundle(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for issuer := range issuers(s) {
		broad := signedIn(t, issuer, nil)
		plain := ask(t, http.MethodGet, issuer+"/configuration", header("Authorization", "Bearer "+broad.AccessToken))
		p := bundled(t, issuer, broad.AccessToken, nil)
		for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "ETag": "", "Access-Control-Allow-Origin": "*"} {
			if got := p.header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if p.header.Get("DPoP-Nonce") == "" {
			t.Error("no nonce for the next proof (RFC 9449, section 8.2)")
		}
		without, with := plain.services(t), p.services(t)
		if len(with) == 0 || len(with) != len(without) {
			t.Fatalf("%s: %d services with tokens, %d without", issuer, len(with), len(without))
		}
		for id, service := range with {
			exchanged := token(t, issuer, exchangeForm(broad.AccessToken, service.Audience))
			got := service.Token
			if got == nil || got.TokenType != oidc.Bearer || got.IssuedTokenType != oidc.TokenTypeAccessToken || got.Scope != exchanged.Scope || got.Source != "" {
				t.Fatalf("%s: %+v %+v, want a token as by exchange: %+v", id, got, service.Refusal, exchanged)
			}
			if got.ExpiresIn > exchanged.ExpiresIn+1 || got.ExpiresIn < exchanged.ExpiresIn-5 {
				t.Errorf("%s: lives %d s, exchanged %d s", id, got.ExpiresIn, exchanged.ExpiresIn)
			}
			_, payload := claims(t, got.AccessToken)
			_, other := claims(t, exchanged.AccessToken)
			for _, name := range []string{"iss", "sub", "aud", "scope", "preferred_username", "grant", "client_id"} {
				if payload[name] != other[name] {
					t.Errorf("%s: %s is %v, by exchange %v", id, name, payload[name], other[name])
				}
			}
			service.Token = nil
			if before := without[id]; before.Username != service.Username || before.Scope != service.Scope || before.Audience != service.Audience {
				t.Errorf("%s: %+v, without tokens %+v", id, service, before)
			}
		}
		if strings.Contains(plain.body, "access_token") {
			t.Errorf("GET has tokens: %s", plain.body)
		}
	}
}

// TestBundleOfSome: who names services gets tokens for these alone.
func TestBundleOfSome(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := signedIn(t, s.URL, nil).AccessToken
	for _, c := range []struct {
		form url.Values
		want map[string]string
	}{
		{url.Values{}, map[string]string{"imap": "token", "submission": "token", "calendar": "token", "files": "token"}},
		{url.Values{"service": {""}}, map[string]string{"imap": "token", "submission": "token", "calendar": "token", "files": "token"}},
		{url.Values{"service": {"files"}}, map[string]string{"imap": "", "submission": "", "calendar": "", "files": "token"}},
		{url.Values{"service": {"calendar", "imap", "imap"}, "x": {"y"}}, map[string]string{"imap": "token", "submission": "", "calendar": "token", "files": ""}},
		{url.Values{"client_id": {"open"}, "service": {"imap"}}, map[string]string{"imap": "token", "submission": "", "calendar": "", "files": ""}},
	} {
		services := bundled(t, s.URL, broad, c.form).services(t)
		for id, want := range c.want {
			if got := answered(services[id]); got != want {
				t.Errorf("%v: %s has %q, want %q", c.form, id, got, want)
			}
		}
		if len(services) != len(c.want) {
			t.Errorf("%v: %d services, want all %d", c.form, len(services), len(c.want))
		}
	}
}

// TestBundleNamesRefusals: what the policy refuses of one service stands there, and the others
// have their tokens (R24).
func TestBundleNamesRefusals(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declare(t, s, strings.Replace(s.Declaration(), `algorithm: RS256`, `algorithm: RS256, dpop: requires`, 1), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return slices.ContainsFunc(r.Services, func(s directory.Service) bool { return s.DPoP == directory.DPoPRequires })
	})
	services := bundled(t, s.URL, signedIn(t, s.URL, nil).AccessToken, nil).services(t)
	files := services["files"]
	if answered(files) != oidc.CodeInvalidDPoPProof || files.Refusal.ErrorDescription == "" || answered(services["imap"]) != "token" {
		t.Errorf("files: %+v, imap: %+v; want a refusal and a token", files.Refusal, services["imap"])
	}
	// Resources that were named at the sign-in hold here too.
	some := signedIn(t, s.URL, func(q url.Values) { q.Set("resource", "imap.example.test") })
	services = bundled(t, s.URL, some.AccessToken, nil).services(t)
	if answered(services["imap"]) != "token" || answered(services["calendar"]) != oidc.CodeInvalidTarget {
		t.Errorf("granted for imap alone: imap %q, calendar %q", answered(services["imap"]), answered(services["calendar"]))
	}
	const query = `SELECT service || ' ' || outcome FROM audit_events WHERE kind = 'token' AND rule LIKE 'exchange/%' ORDER BY id`
	got := rows(t, s, query)
	slices.Sort(got)
	want := []string{"https://dav.example.test/calendars/ allowed", "https://files.example.test/dav/ refused", "imap.example.test allowed", "submission.example.test allowed",
		"https://dav.example.test/calendars/ refused", "https://files.example.test/dav/ refused", "imap.example.test allowed", "submission.example.test refused"}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the record has %v, want each service of each bundle once: %v", got, want)
	}
}

// TestBundleRefusedAsAWhole: what is wrong with the request is not a matter of one service, and nothing
// is made.
func TestBundleRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := signedIn(t, s.URL, nil)
	narrow := token(t, s.URL, exchangeForm(broad.AccessToken, "imap.example.test")).AccessToken
	byResource := codeForm(newCode(t, s.URL, nil))
	byResource.Set("resource", "https://files.example.test/dav/")
	for name, c := range map[string]struct {
		token string
		form  url.Values
		edits []edit
		code  string
		at    int
	}{
		"unknown service":             {broad.AccessToken, url.Values{"service": {"imap", "elsewhere"}}, nil, oidc.CodeInvalidRequest, 400},
		"an audience instead":         {broad.AccessToken, url.Values{"service": {"imap.example.test"}}, nil, oidc.CodeInvalidRequest, 400},
		"somebody else's service":     {signedIn(t, s.URL, set("scope", "openid "+mailScope)).AccessToken, url.Values{"service": {"files"}}, nil, oidc.CodeInvalidRequest, 400},
		"a parameter twice":           {broad.AccessToken, url.Values{"client_id": {"open", "open"}}, nil, oidc.CodeInvalidRequest, 400},
		"JSON":                        {broad.AccessToken, nil, []edit{body("application/json", `{"service":"imap"}`)}, oidc.CodeInvalidRequest, 400},
		"malformed form":              {broad.AccessToken, nil, []edit{body("application/x-www-form-urlencoded", "service=%zz")}, oidc.CodeInvalidRequest, 400},
		"another client":              {broad.AccessToken, url.Values{"client_id": {"thunderbird"}}, nil, oidc.CodeInvalidRequest, 400},
		"unknown client":              {broad.AccessToken, url.Values{"client_id": {"nobody"}}, nil, oidc.CodeInvalidClient, 401},
		"a secret that is not needed": {broad.AccessToken, url.Values{"client_secret": {"x"}}, nil, oidc.CodeInvalidClient, 401},
		"narrow token":                {narrow, nil, nil, oidc.CodeInvalidToken, 401},
		"narrow by resource":          {token(t, s.URL, byResource).AccessToken, nil, nil, oidc.CodeInvalidToken, 401},
		"refresh token":               {broad.RefreshToken, nil, nil, oidc.CodeInvalidToken, 401},
		"ID token":                    {broad.IDToken, nil, nil, oidc.CodeInvalidToken, 401},
		"another tenant's token":      {signedIn(t, s.OtherURL(), nil).AccessToken, nil, nil, oidc.CodeInvalidToken, 401},
		"a token in the form":         {"", url.Values{"access_token": {broad.AccessToken}}, nil, oidc.CodeInvalidToken, 401},
		"no openid":                   {signedIn(t, s.URL, set("scope", "offline_access "+mailScope)).AccessToken, nil, nil, oidc.CodeInsufficientScope, 403},
	} {
		p := bundled(t, s.URL, c.token, c.form, c.edits...)
		tokenError(t, name, p, c.at, c.code)
		if strings.Contains(p.body, "elsewhere") || strings.Contains(p.body, "alice") {
			t.Errorf("%s: the answer repeats what was sent, or names somebody: %s", name, p.body)
		}
		if c.code == oidc.CodeInvalidToken && p.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no challenge (RFC 6750, section 3)", name)
		}
	}
	large := strings.Repeat("service=imap&", 2000)
	if p := bundled(t, s.URL, broad.AccessToken, nil, body("application/x-www-form-urlencoded", large)); p.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large form: %d, want 413", p.status)
	}
	if got := rows(t, s, `SELECT rule FROM audit_events WHERE rule LIKE 'exchange/%' AND outcome = 'allowed'`); len(got) != 1 {
		t.Errorf("allowed exchanges: %v, want the one for the narrow token", got)
	}
	refused := []string{"exchange/broad", "exchange/broad", "exchange/client", "exchange/client", "exchange/client", "exchange/scope"}
	if got := rows(t, s, `SELECT rule FROM audit_events WHERE rule LIKE 'exchange/%' AND outcome = 'refused' ORDER BY rule`); !slices.Equal(got, refused) {
		t.Errorf("refused exchanges: %v, want those of genuine tokens: %v", got, refused)
	}
}

// TestBundleNeedsTheClientsCredentials: who has credentials shows them, as at the token endpoint (RFC
// 6749, section 3.2.1). The header Authorization has the token, so they stand in the form.
func TestBundleNeedsTheClientsCredentials(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const secret = "a-client-secret-that-a-machine-made"
	declare(t, s, withClients(s.Declaration(), `        - {id: webmail, name: Webmail, redirect_uris: ["`+redirectURI+`"], authentication: client_secret_post, secret: "`+secret+`"}
`), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		_, known := r.FixedClient("webmail")
		return known
	})
	form := codeForm(newCode(t, s.URL, set("client_id", "webmail")))
	form.Set("client_id", "webmail")
	form.Set("client_secret", secret)
	broad := token(t, s.URL, form)
	if broad.Status != http.StatusOK {
		t.Fatalf("redeem: %d %s", broad.Status, broad.Error)
	}
	for name, f := range map[string]url.Values{
		"nothing":      nil,
		"no secret":    {"client_id": {"webmail"}},
		"wrong secret": {"client_id": {"webmail"}, "client_secret": {"x"}},
		"other client": {"client_id": {"open"}, "client_secret": {secret}},
	} {
		tokenError(t, name, bundled(t, s.URL, broad.AccessToken, f), http.StatusUnauthorized, oidc.CodeInvalidClient)
	}
	for name, f := range map[string]url.Values{
		"both":   {"client_id": {"webmail"}, "client_secret": {secret}},
		"secret": {"client_secret": {secret}},
	} {
		if got := answered(bundled(t, s.URL, broad.AccessToken, f).services(t)["imap"]); got != "token" {
			t.Errorf("%s: imap has %q, want a token", name, got)
		}
	}
}

// TestR11BundleOfBoundTokens: a proof of POST with the hash of the token; what comes is bound where the service
// looks at keys.
func TestR11BundleOfBoundTokens(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declare(t, s, strings.NewReplacer(
		`scopes: ["urn:ietf:params:oauth:scope:calendars"]`, `scopes: ["urn:ietf:params:oauth:scope:calendars"], dpop: accepts`,
		`algorithm: RS256`, `algorithm: RS256, dpop: requires`,
	).Replace(s.Declaration()), dpopDeclared)
	p, thief := newProver(t, s), newProver(t, s)
	bound := p.signedIn(s.URL, nil).AccessToken
	bearer := signedIn(t, s.URL, nil).AccessToken
	thief.nonce = p.nonce
	here := s.URL + "/configuration"
	send := func(scheme, token string, proofs ...string) page {
		edits := []edit{header("Authorization", scheme+" "+token)}
		for _, proof := range proofs {
			edits = append(edits, header("DPoP", proof))
		}
		return ask(t, http.MethodPost, here, edits...)
	}
	for name, c := range map[string]struct {
		scheme, proof, code string
	}{
		"as bearer token":         {"Bearer", p.proof("POST", here, bound), oidc.CodeInvalidToken},
		"proof of GET":            {"DPoP", p.proof("GET", here, bound), oidc.CodeInvalidDPoPProof},
		"proof without the token": {"DPoP", p.proof("POST", here, ""), oidc.CodeInvalidDPoPProof},
		"proof for the token URL": {"DPoP", p.proof("POST", s.URL+"/token", bound), oidc.CodeInvalidDPoPProof},
		"another key":             {"DPoP", thief.proof("POST", here, bound), oidc.CodeInvalidToken},
	} {
		refused := send(c.scheme, bound, c.proof)
		tokenError(t, name, refused, http.StatusUnauthorized, c.code)
		if got := challengeFor(refused, c.scheme); !strings.Contains(got, `error="`+c.code+`"`) {
			t.Errorf("%s: challenge %q, want error %s", name, got, c.code)
		}
	}
	tokenError(t, "no proof", send("DPoP", bound), http.StatusUnauthorized, oidc.CodeInvalidDPoPProof)
	for name, services := range map[string]map[string]configdoc.Service{
		"bound token":               send("DPoP", bound, p.proof("POST", here, bound)).services(t),
		"bearer token with a proof": send("Bearer", bearer, p.proof("POST", here, bearer)).services(t),
	} {
		for id, want := range map[string]string{"files": p.thumbprint(), "calendar": p.thumbprint(), "imap": ""} {
			got := services[id].Token
			if got == nil || (got.TokenType == oidc.DPoP) != (want != "") || boundTo(t, got.AccessToken) != want {
				t.Errorf("%s, %s: %+v %+v, want it bound to %q", name, id, got, services[id].Refusal, want)
			}
		}
	}
	tokenError(t, "bearer token with a proof for another", send("Bearer", bearer, p.proof("POST", here, bound)), http.StatusUnauthorized, oidc.CodeInvalidDPoPProof)
	if got := answered(send("Bearer", bearer).services(t)["files"]); got != oidc.CodeInvalidDPoPProof {
		t.Errorf("bearer token alone: files has %q, want invalid_dpop_proof", got)
	}
}

// TestBundleSharesTokens: services with one audience have one token, and the record has one event.
func TestBundleSharesTokens(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declare(t, s, strings.Replace(s.Declaration(), `in_broad: false, lifetime: 5m`, `in_broad: false, audience: imap.example.test`, 1), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		_, apart := r.Service("submission.example.test")
		return !apart
	})
	services := bundled(t, s.URL, signedIn(t, s.URL, nil).AccessToken, nil).services(t)
	byAudience := map[string]string{}
	for id, service := range services {
		if answered(service) != "token" {
			t.Fatalf("%s: %+v, want a token", id, service)
		}
		if first, shared := byAudience[service.Audience]; shared && first != service.Token.AccessToken {
			t.Errorf("%s: a second token for %s", id, service.Audience)
		}
		byAudience[service.Audience] = service.Token.AccessToken
	}
	if len(byAudience) == len(services) {
		t.Fatal("no two services share an audience: this test proves nothing")
	}
	if got := rows(t, s, `SELECT service FROM audit_events WHERE rule LIKE 'exchange/%'`); len(got) != len(byAudience) {
		t.Errorf("the record has %v, want one event for each of %d audiences", got, len(byAudience))
	}
}

// TestBundleIsLimited as the token endpoint is, and the configuration without tokens apart from both.
func TestBundleIsLimited(t *testing.T) {
	t.Parallel()
	a := newAlone(t, https, declared, func(d *server.Deps) { d.RequestsPerMinute = 2 })
	for n, limited := range []bool{false, false, true} {
		p := a.ask(http.MethodPost, https+"/configuration")
		if got := p.status == http.StatusTooManyRequests; got != limited || limited != (p.header.Get("Retry-After") != "") {
			t.Errorf("request %d: %d, Retry-After %q; want limited %v", n+1, p.status, p.header.Get("Retry-After"), limited)
		}
	}
	for n, want := range []int{http.StatusUnauthorized, http.StatusUnauthorized, http.StatusTooManyRequests} {
		if p := a.ask(http.MethodGet, https+"/configuration"); p.status != want || (want == http.StatusTooManyRequests) != (p.header.Get("Retry-After") != "") {
			t.Errorf("GET, request %d: %d, Retry-After %q; want %d", n+1, p.status, p.header.Get("Retry-After"), want)
		}
	}
	if p := a.ask(http.MethodPost, https+"/token", formBody(url.Values{})); p.status != http.StatusTooManyRequests {
		t.Errorf("token endpoint: %d, want 429: one limit for both", p.status)
	}
}
