package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signpost/internal/servertest"
	"signpost/oidc"
)

// push sends a form to the endpoint for pushed requests.
func push(t testing.TB, issuer string, form url.Values, edits ...edit) (page, string) {
	t.Helper()
	p := ask(t, http.MethodPost, issuer+"/par", append([]edit{formBody(form)}, edits...)...)
	var answer struct {
		RequestURI string `json:"request_uri"`
	}
	if p.status == http.StatusCreated {
		p.json(t, &answer)
	}
	return p, answer.RequestURI
}

// pushedURL is where the browser goes with a pushed request.
func pushedURL(issuer, clientID, requestURI string) string {
	return issuer + "/authorize?" + url.Values{"client_id": {clientID}, "request_uri": {requestURI}}.Encode()
}

// TestRFC9126PushedRequest: the endpoint answers 201 with a reference (RFC 9126, section
// 2.2), and the reference stands for all that was pushed and nothing else (section 4).
func TestRFC9126PushedRequest(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p, uri := push(t, s.URL, authorizeForm(nil))
	var answer object
	p.json(t, &answer)
	if p.status != http.StatusCreated || len(answer) != 2 || answer["expires_in"] != float64(300) ||
		!strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") || len(uri) < 34+43 {
		t.Fatalf("got %d %s, want 201 with request_uri and expires_in", p.status, p.body)
	}
	if p.header.Get("Cache-Control") != "no-store" || p.header.Get("Content-Type") != "application/json" || p.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers %v, want JSON that is not stored and that scripts may read", p.header)
	}
	changed := pushedURL(s.URL, "open", uri) + "&" + url.Values{
		"redirect_uri": {"https://evil.test/cb"}, "state": {"changed"}, "nonce": {"changed"}, "scope": {mailScope},
		"code_challenge": {challengeOf("another")}, "response_type": {"token"}, "prompt": {"none"},
	}.Encode()
	told := newBrowser(t).signIn(changed)
	if told.Get("state") != "s1" || told.Get("iss") != s.URL {
		t.Fatalf("the client was told %v, want what was pushed", told)
	}
	a := token(t, s.URL, codeForm(told.Get("code")))
	if _, id := claims(t, a.IDToken); a.Status != http.StatusOK || a.Scope != allScopes || id["nonce"] != "n1" {
		t.Errorf("token %d with scope %q and nonce %v, want what was pushed", a.Status, a.Scope, id["nonce"])
	}
}

// TestRFC9126BelongsToOneClient: "The client_id MUST be the same" as in the pushed request.
func TestRFC9126BelongsToOneClient(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	_, uri := push(t, s.URL, authorizeForm(portal()))
	for name, at := range map[string]string{
		"another client":        pushedURL(s.URL, "open", uri) + "&redirect_uri=" + url.QueryEscape(redirectURI),
		"no client":             s.URL + "/authorize?request_uri=" + url.QueryEscape(uri),
		"two clients":           pushedURL(s.URL, "portal", uri) + "&client_id=open",
		"another tenant":        pushedURL(s.OtherURL(), "portal", uri),
		"an unknown reference":  pushedURL(s.URL, "portal", uri[:len(uri)-1]),
		"another form of it":    pushedURL(s.URL, "portal", uri+"?"),
		"a reference of others": pushedURL(s.URL, "portal", "https://evil.test/request"),
		"two references":        pushedURL(s.URL, "portal", uri) + "&request_uri=" + url.QueryEscape(uri),
	} {
		b := newBrowser(t)
		b.get(at).isPage(t, http.StatusBadRequest)
		if b.answer != nil {
			t.Errorf("%s: the browser was sent to %v", name, b.answer)
		}
	}
	if p := newBrowser(t).get(pushedURL(s.URL, "portal", uri)); p.status != http.StatusOK {
		t.Errorf("its own client: %d %s, want the page", p.status, p.body)
	}
}

// TestRFC9126AnsweredOnce: the page may be loaded again until the person has answered
// (RFC 9126, section 7.3).
func TestRFC9126AnsweredOnce(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	_, uri := push(t, s.URL, authorizeForm(nil))
	at := pushedURL(s.URL, "open", uri)
	b := newBrowser(t)
	for range 2 {
		if p := b.get(at); p.status != http.StatusOK {
			t.Fatalf("loaded before the answer: %d %s", p.status, p.body)
		}
	}
	b.signIn(at)
	p := b.get(at)
	p.isPage(t, http.StatusBadRequest)
	if !strings.Contains(p.body, "This sign-in has ended") {
		t.Errorf("after the answer the page does not say that it is over: %s", p.body)
	}
}

// TestRFC9126Refusals: everything that would be refused at the authorization endpoint is
// refused here, to the client (RFC 9126, section 2.3).
func TestRFC9126Refusals(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	desk := func(q url.Values) { q.Set("client_id", "desk") }
	for name, c := range map[string]struct {
		edit   func(url.Values)
		header edit
		status int
		code   string
	}{
		"request_uri":           {set("request_uri", "urn:ietf:params:oauth:request_uri:x"), nil, 400, oidc.CodeInvalidRequest},
		"request":               {set("request", "eyJ"), nil, 400, oidc.CodeRequestNotSupported},
		"foreign redirect_uri":  {set("redirect_uri", "https://evil.test/"), nil, 400, oidc.CodeInvalidRequest},
		"without redirect_uri":  {without("redirect_uri"), nil, 400, oidc.CodeInvalidRequest},
		"without PKCE":          {without("code_challenge"), nil, 400, oidc.CodeInvalidRequest},
		"without response_type": {without("response_type"), nil, 400, oidc.CodeInvalidRequest},
		"implicit":              {set("response_type", "token"), nil, 400, oidc.CodeUnsupportedResponseType},
		"unknown scope":         {set("scope", "urn:example:unknown"), nil, 400, oidc.CodeInvalidScope},
		"foreign resource":      {set("resource", "https://evil.test/"), nil, 400, oidc.CodeInvalidTarget},
		"repeated state":        {set("state", "a", "b"), nil, 400, oidc.CodeInvalidRequest},
		"prompt=none of open":   {set("prompt", "none"), nil, 400, oidc.CodeConsentRequired},
		"a hint of nobody":      {set("id_token_hint", "x"), nil, 400, oidc.CodeInvalidRequest},
		"unknown client":        {set("client_id", "nobody"), nil, 401, oidc.CodeInvalidClient},
		"without client":        {without("client_id"), nil, 400, oidc.CodeInvalidRequest},
		"without credentials":   {desk, nil, 401, oidc.CodeInvalidClient},
		"wrong credentials":     {desk, basic("desk", "a guess"), 401, oidc.CodeInvalidClient},
		"others' credentials":   {set("client_id", "open"), basic("desk", deskSecret), 401, oidc.CodeInvalidClient},
		"a proof that is none":  {func(url.Values) {}, header("DPoP", "x"), 400, oidc.CodeInvalidDPoPProof},
		"not a form":            {func(url.Values) {}, body("application/json", "{}"), 400, oidc.CodeInvalidRequest},
		"too large":             {set("x", strings.Repeat("x", 20_000)), nil, 413, oidc.CodeInvalidRequest},
	} {
		var edits []edit
		if c.header != nil {
			edits = append(edits, c.header)
		}
		p, _ := push(t, s.URL, authorizeForm(c.edit), edits...)
		var refused answer
		p.json(t, &refused)
		if p.status != c.status || refused.Error != c.code || p.header.Get("Location") != "" {
			t.Errorf("%s: %d %s (%s), want %d %s", name, p.status, refused.Error, refused.Description, c.status, c.code)
		}
	}
	// Not even one that is good (RFC 9126, section 2.1).
	_, good := push(t, s.URL, authorizeForm(nil))
	if p, uri := push(t, s.URL, authorizeForm(set("request_uri", good))); p.status != http.StatusBadRequest || uri != "" {
		t.Errorf("a reference that was pushed: %d %s, want 400", p.status, p.body)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		if p := ask(t, method, s.URL+"/par"); p.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d, want 405", method, p.status)
		}
	}
	if p := ask(t, http.MethodOptions, s.URL+"/par"); p.status != http.StatusNoContent || !strings.Contains(p.header.Get("Access-Control-Allow-Headers"), "DPoP") {
		t.Errorf("preflight: %d %v, want scripts to be let in", p.status, p.header)
	}
}

// TestRFC9126ClientAuthentication: a client with credentials shows them as at the token
// endpoint, and need not repeat who it is.
func TestRFC9126ClientAuthentication(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declarePortals(t, s)
	for name, c := range map[string]struct {
		edit func(url.Values)
		with []edit
	}{
		"in the header": {func(q url.Values) { q.Del("client_id") }, []edit{basic("desk", deskSecret)}},
		"and named":     {func(q url.Values) { q.Set("client_id", "desk") }, []edit{basic("desk", deskSecret)}},
	} {
		p, uri := push(t, s.URL, authorizeForm(c.edit), c.with...)
		if p.status != http.StatusCreated {
			t.Errorf("%s: %d %s, want 201", name, p.status, p.body)
			continue
		}
		if _, consent := newBrowser(t).toConsent(pushedURL(s.URL, "desk", uri)); !strings.Contains(consent.body, "Desk") {
			t.Errorf("%s: the page does not name the client: %s", name, consent.body)
		}
	}
}

// TestRFC9449PushedRequestIsBound: a proof with the pushed request binds the code to its
// key, as dpop_jkt does (RFC 9449, section 10.1).
func TestRFC9449PushedRequestIsBound(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	me, other := newProver(t, s), newProver(t, s)
	me.learn(s.URL)
	other.learn(s.URL)
	proof := func(p *prover) edit { return header("DPoP", p.proof(http.MethodPost, s.URL+"/par", "")) }
	p, _ := push(t, s.URL, authorizeForm(set("dpop_jkt", other.thumbprint())), proof(me))
	if !strings.Contains(p.body, oidc.CodeInvalidDPoPProof) || p.status != http.StatusBadRequest || p.header.Get("DPoP-Nonce") == "" {
		t.Errorf("a proof of one key and dpop_jkt of another: %d %s, want invalid_dpop_proof", p.status, p.body)
	}
	for name, uri := range map[string]func() string{
		"by a proof": func() string { _, uri := push(t, s.URL, authorizeForm(nil), proof(me)); return uri },
		"by both": func() string {
			_, uri := push(t, s.URL, authorizeForm(set("dpop_jkt", me.thumbprint())), proof(me))
			return uri
		},
		"by dpop_jkt": func() string { _, uri := push(t, s.URL, authorizeForm(set("dpop_jkt", me.thumbprint()))); return uri },
	} {
		redeem := func() url.Values { return codeForm(newBrowser(t).signIn(pushedURL(s.URL, "open", uri())).Get("code")) }
		if a := other.token(s.URL, redeem()); a.Status != http.StatusBadRequest {
			t.Errorf("%s: redeemed with another key: %d", name, a.Status)
		}
		if a := token(t, s.URL, redeem()); a.Status != http.StatusBadRequest {
			t.Errorf("%s: redeemed without a key: %d", name, a.Status)
		}
		if a := me.token(s.URL, redeem()); a.Status != http.StatusOK || a.TokenType != oidc.DPoP {
			t.Errorf("%s: redeemed with the key: %d %s %s", name, a.Status, a.Error, a.Description)
		}
	}
}
