package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"signpost/internal/servertest"
	"signpost/oidc"
)

// posted sends a form to the token endpoint.
func posted(t testing.TB, issuer string, form url.Values, edits ...edit) page {
	t.Helper()
	return ask(t, http.MethodPost, issuer+"/token", append([]edit{formBody(form)}, edits...)...)
}

// newCode signs in and returns a code.
func newCode(t testing.TB, issuer string, edit func(url.Values)) string {
	t.Helper()
	return newBrowser(t).signIn(authorizeURL(issuer, edit)).Get("code")
}

// ended checks that a token and what came with it open nothing any more.
func ended(t testing.TB, issuer string, a answer, why string) {
	t.Helper()
	if p := configuration(t, issuer, a.AccessToken, ""); p.status != http.StatusUnauthorized {
		t.Errorf("after %s the configuration answers its token with %d, want 401", why, p.status)
	}
	if got := token(t, issuer, exchangeForm(a.AccessToken, "imap.example.test")); got.Error != oidc.CodeInvalidRequest {
		t.Errorf("after %s its token is exchanged: %d %s", why, got.Status, got.Error)
	}
	if got := token(t, issuer, refreshForm(a.RefreshToken)); got.Error != oidc.CodeInvalidGrant {
		t.Errorf("after %s its refresh token gives %d %s, want invalid_grant", why, got.Status, got.Error)
	}
}

// alive checks that a grant still works.
func alive(t testing.TB, issuer string, a answer, after string) {
	t.Helper()
	if p := configuration(t, issuer, a.AccessToken, ""); p.status != http.StatusOK {
		t.Errorf("after %s the configuration answers %d, want 200", after, p.status)
	}
}

// TestRFC6749Section5_2TokenRequests: malformed, missing and repeated parameters of
// every grant type, none of which uses anything up.
func TestRFC6749Section5_2TokenRequests(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	first := signedIn(t, s.URL, nil)
	forms := map[string]url.Values{
		"code":     codeForm(newCode(t, s.URL, nil)),
		"refresh":  refreshForm(first.RefreshToken),
		"exchange": exchangeForm(first.AccessToken, "imap.example.test"),
	}
	type change struct {
		edit   func(url.Values)
		status int
		code   string
	}
	everywhere := map[string]change{
		"no grant_type":               {without("grant_type"), 400, oidc.CodeInvalidRequest},
		"empty grant_type":            {set("grant_type", ""), 400, oidc.CodeInvalidRequest},
		"unknown grant_type":          {set("grant_type", "password"), 400, oidc.CodeUnsupportedGrantType},
		"grant_type in other case":    {set("grant_type", "Authorization_Code"), 400, oidc.CodeUnsupportedGrantType},
		"no client_id":                {without("client_id"), 400, oidc.CodeInvalidRequest},
		"unknown client":              {set("client_id", "nobody"), 401, oidc.CodeInvalidClient},
		"client_secret":               {set("client_secret", "x"), 401, oidc.CodeInvalidClient},
		"client_assertion":            {set("client_assertion", "x.y.z"), 401, oidc.CodeInvalidClient},
		"an unknown parameter twice":  {set("x", "a", "b"), 400, oidc.CodeInvalidRequest},
		"scope twice":                 {set("scope", mailScope, mailScope), 400, oidc.CodeInvalidRequest},
		"scope with a tab":            {set("scope", mailScope+"\t"), 400, oidc.CodeInvalidScope},
		"blank scope":                 {set("scope", " "), 400, oidc.CodeInvalidScope},
		"unknown resource":            {set("resource", "https://elsewhere.example/"), 400, oidc.CodeInvalidTarget},
		"several resources":           {set("resource", "imap.example.test", "submission.example.test"), 400, oidc.CodeInvalidTarget},
		"the same resource twice":     {set("resource", "imap.example.test", "imap.example.test"), 400, oidc.CodeInvalidTarget},
		"a resource with a fragment":  {set("resource", "https://dav.example.test/calendars/#x"), 400, oidc.CodeInvalidTarget},
		"a resource of other tenants": {set("resource", "imap.other.test"), 400, oidc.CodeInvalidTarget},
	}
	for _, name := range []string{"grant_type", "client_id"} {
		everywhere[name+" twice"] = change{func(q url.Values) { q.Add(name, q.Get(name)) }, 400, oidc.CodeInvalidRequest}
	}
	own := map[string]map[string]change{
		"code":    {},
		"refresh": {"wider scope": {set("scope", allScopes+" urn:ietf:params:oauth:scope:contacts"), 400, oidc.CodeInvalidScope}},
		"exchange": {
			"subject token of another type":   {set("subject_token_type", oidc.TokenTypeIDToken), 400, oidc.CodeInvalidRequest},
			"subject token as jwt":            {set("subject_token_type", oidc.TokenTypeJWT), 400, oidc.CodeInvalidRequest},
			"unknown subject_token_type":      {set("subject_token_type", "x"), 400, oidc.CodeInvalidRequest},
			"actor_token":                     {set("actor_token", "x"), 400, oidc.CodeInvalidRequest},
			"actor_token_type":                {set("actor_token_type", oidc.TokenTypeAccessToken), 400, oidc.CodeInvalidRequest},
			"refresh token asked for":         {set("requested_token_type", oidc.TokenTypeRefreshToken), 400, oidc.CodeInvalidRequest},
			"ID token asked for":              {set("requested_token_type", oidc.TokenTypeIDToken), 400, oidc.CodeInvalidRequest},
			"no audience":                     {without("audience"), 400, oidc.CodeInvalidTarget},
			"empty audience":                  {set("audience", ""), 400, oidc.CodeInvalidTarget},
			"several audiences":               {set("audience", "imap.example.test", "submission.example.test"), 400, oidc.CodeInvalidTarget},
			"audience and a matching URL":     {set("resource", "https://dav.example.test/calendars/"), 400, oidc.CodeInvalidTarget},
			"unknown audience":                {set("audience", "nntp.example.test"), 400, oidc.CodeInvalidTarget},
			"audience of another tenant":      {set("audience", "imap.other.test"), 400, oidc.CodeInvalidTarget},
			"the issuer as audience":          {set("audience", s.URL), 400, oidc.CodeInvalidTarget},
			"the configuration as audience":   {set("audience", s.URL+"/configuration"), 400, oidc.CodeInvalidTarget},
			"the client as audience":          {set("audience", "open"), 400, oidc.CodeInvalidTarget},
			"scope of another service":        {set("scope", calendarScope), 400, oidc.CodeInvalidScope},
			"scope of this and another":       {set("scope", mailScope+" "+calendarScope), 400, oidc.CodeInvalidScope},
			"scope beyond everything":         {set("scope", mailScope+" urn:ietf:params:oauth:scope:contacts"), 400, oidc.CodeInvalidScope},
			"offline_access for a narrow one": {set("scope", mailScope+" offline_access"), 400, oidc.CodeInvalidScope},
		},
	}
	for grantType, needed := range map[string][]string{
		"code": {"code", "redirect_uri", "code_verifier"}, "refresh": {"refresh_token"}, "exchange": {"subject_token", "subject_token_type"},
	} {
		for _, name := range needed {
			own[grantType]["no "+name] = change{without(name), 400, oidc.CodeInvalidRequest}
			own[grantType]["empty "+name] = change{set(name, ""), 400, oidc.CodeInvalidRequest}
			own[grantType][name+" twice"] = change{func(q url.Values) { q.Add(name, q.Get(name)) }, 400, oidc.CodeInvalidRequest}
		}
	}
	for grantType, form := range forms {
		for _, changes := range []map[string]change{everywhere, own[grantType]} {
			for name, c := range changes {
				changed := url.Values{}
				for k, v := range form {
					changed[k] = slices.Clone(v)
				}
				c.edit(changed)
				if strings.Contains(name, "resource") {
					changed.Del("audience")
				}
				tokenError(t, grantType+" with "+name, posted(t, s.URL, changed), c.status, c.code)
			}
		}
	}
	// Nothing was used up.
	for grantType, form := range forms {
		if a := token(t, s.URL, form); a.Status != http.StatusOK {
			t.Errorf("%s afterwards: %d %s %s, want 200", grantType, a.Status, a.Error, a.Description)
		}
	}
}

func TestTokenRequestForms(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	form := codeForm(newCode(t, s.URL, nil))
	const urlencoded = "application/x-www-form-urlencoded"
	for name, p := range map[string]page{
		"JSON":                ask(t, http.MethodPost, s.URL+"/token", body("application/json", `{"grant_type":"authorization_code"}`)),
		"multipart":           ask(t, http.MethodPost, s.URL+"/token", body("multipart/form-data; boundary=x", "--x--")),
		"plain text":          ask(t, http.MethodPost, s.URL+"/token", body("text/plain", form.Encode())),
		"no media type":       ask(t, http.MethodPost, s.URL+"/token", body("", form.Encode())),
		"broken media type":   ask(t, http.MethodPost, s.URL+"/token", body(";", form.Encode())),
		"broken escape":       ask(t, http.MethodPost, s.URL+"/token", body(urlencoded, "grant_type=%zz")),
		"semicolons":          ask(t, http.MethodPost, s.URL+"/token", body(urlencoded, strings.ReplaceAll(form.Encode(), "&", ";"))),
		"empty":               ask(t, http.MethodPost, s.URL+"/token", body(urlencoded, "")),
		"only in the query":   ask(t, http.MethodPost, s.URL+"/token?"+form.Encode(), body(urlencoded, "")),
		"half in the query":   ask(t, http.MethodPost, s.URL+"/token?code="+form.Get("code"), body(urlencoded, "grant_type=authorization_code&client_id=open&redirect_uri="+url.QueryEscape(redirectURI)+"&code_verifier="+verifier)),
		"client by the query": ask(t, http.MethodPost, s.URL+"/token?client_id=open", body(urlencoded, "grant_type=refresh_token&refresh_token=x")),
	} {
		tokenError(t, name, p, http.StatusBadRequest, oidc.CodeInvalidRequest)
	}
	for name, value := range map[string]string{"Basic": "Basic b3Blbjo=", "Bearer": "Bearer x", "nonsense": "x"} {
		p := posted(t, s.URL, form, header("Authorization", value))
		tokenError(t, name, p, http.StatusUnauthorized, oidc.CodeInvalidClient)
		if p.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate (RFC 6749, section 5.2)", name)
		}
	}
	// The query does not count, a charset and unknown parameters do not matter.
	form.Set("unknown", "x")
	p := ask(t, http.MethodPost, s.URL+"/token?grant_type=nonsense&code=x", body(urlencoded+"; charset=UTF-8", form.Encode()))
	if p.status != http.StatusOK {
		t.Errorf("a good form with a query: %d %s", p.status, p.body)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Pragma": "no-cache", "Content-Type": "application/json"} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s of a token response: %q, want %q (RFC 6749, section 5.1)", name, got, want)
		}
	}
}

// TestCodeIsBoundToItsRequest: whoever presents it wrongly gets nothing, and
// afterwards nobody does.
func TestCodeIsBoundToItsRequest(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for name, edit := range map[string]func(url.Values){
		"wrong verifier":           set("code_verifier", strings.Repeat("x", 43)),
		"the challenge itself":     set("code_verifier", challengeOf(verifier)),
		"short verifier":           set("code_verifier", "x"),
		"long verifier":            set("code_verifier", strings.Repeat("x", 129)),
		"verifier in another case": set("code_verifier", strings.ToUpper(verifier)),
		"another port":             set("redirect_uri", "http://127.0.0.1:49153/cb"),
		"another path":             set("redirect_uri", "http://127.0.0.1:49152/cb/"),
		"another host":             set("redirect_uri", "https://evil.example/"),
	} {
		form := codeForm(newCode(t, s.URL, nil))
		good := form.Get("code")
		edit(form)
		tokenError(t, name, posted(t, s.URL, form), http.StatusBadRequest, oidc.CodeInvalidGrant)
		tokenError(t, "right after "+name, posted(t, s.URL, codeForm(good)), http.StatusBadRequest, oidc.CodeInvalidGrant)
	}
	for name, code := range map[string]string{"unknown": "spc_x", "long": strings.Repeat("x", 10000), "not ASCII": "ä"} {
		tokenError(t, name, posted(t, s.URL, codeForm(code)), http.StatusBadRequest, oidc.CodeInvalidGrant)
	}
}

// TestR19ReplayedCodeEndsTheGrant (RFC 6749, section 4.1.2), also when who replays
// it does not know the verifier.
func TestR19ReplayedCodeEndsTheGrant(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for name, edit := range map[string]func(url.Values){"whole": set("code_verifier", verifier), "without the verifier": set("code_verifier", strings.Repeat("x", 43))} {
		form := codeForm(newCode(t, s.URL, nil))
		first := token(t, s.URL, form)
		alive(t, s.URL, first, "the first redemption")
		edit(form)
		tokenError(t, name, posted(t, s.URL, form), http.StatusBadRequest, oidc.CodeInvalidGrant)
		ended(t, s.URL, first, "a replay, "+name)
	}
	// Another grant of the same person goes on.
	other := signedIn(t, s.URL, nil)
	form := codeForm(newCode(t, s.URL, nil))
	token(t, s.URL, form)
	token(t, s.URL, form)
	alive(t, s.URL, other, "a replay of another code")
}

// TestR19RacersOnOneCode: one of them wins, and since every other is a replay,
// nothing that the winner got works afterwards.
func TestR19RacersOnOneCode(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	form := codeForm(newCode(t, s.URL, nil))
	const racers = 20
	answers := make([]answer, racers)
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range racers {
		done.Go(func() {
			<-start
			answers[i] = token(t, s.URL, form)
		})
	}
	close(start)
	done.Wait()
	var won []answer
	for _, a := range answers {
		switch {
		case a.Status == http.StatusOK:
			won = append(won, a)
		case a.Error != oidc.CodeInvalidGrant:
			t.Errorf("a loser got %d %s, want invalid_grant", a.Status, a.Error)
		}
	}
	if len(won) != 1 {
		t.Fatalf("%d of %d requests with one code got tokens, want 1", len(won), racers)
	}
	ended(t, s.URL, won[0], "the replays")
}

// TestScopesDecideWhatComes: a refresh token for offline_access, an ID token for openid.
func TestScopesDecideWhatComes(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for scope, c := range map[string]struct {
		want        string
		refresh, id bool
	}{
		allScopes:                       {allScopes, true, true},
		"openid":                        {"openid", false, true},
		mailScope:                       {mailScope, false, false},
		"offline_access " + mailScope:   {"offline_access " + mailScope, true, false},
		mailScope + " openid x:unknown": {"openid " + mailScope, false, true}, // what means nothing here is left out
	} {
		a := signedIn(t, s.URL, set("scope", scope))
		if !sameWords(a.Scope, c.want) || (a.RefreshToken != "") != c.refresh || (a.IDToken != "") != c.id {
			t.Errorf("scope %q: got %q, refresh token %v, ID token %v; want %+v", scope, a.Scope, a.RefreshToken != "", a.IDToken != "", c)
		}
		if a.TokenType != "Bearer" || a.ExpiresIn != 3600 {
			t.Errorf("scope %q: %s for %d s, want Bearer for 3600 s (R6)", scope, a.TokenType, a.ExpiresIn)
		}
	}
}

func sameWords(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// TestIDToken has what OpenID Connect Core 1.0 asks for and nothing of an access token (R7).
func TestIDToken(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	a := signedIn(t, s.URL, nil)
	h, id := claims(t, a.IDToken)
	_, access := claims(t, a.AccessToken)
	if id["iss"] != s.URL || id["aud"] != "open" || id["nonce"] != "n1" || id["sub"] != access["sub"] || h["alg"] != "RS256" {
		t.Errorf("ID token %v %v", h, id)
	}
	for _, name := range []string{"scope", "client_id", "grant", "email"} {
		if id[name] != nil {
			t.Errorf("an ID token carries %s", name)
		}
	}
	for _, name := range []string{"nonce", "at_hash", "email"} {
		if access[name] != nil {
			t.Errorf("an access token carries %s", name)
		}
	}
	if _, id = claims(t, signedIn(t, s.URL, without("nonce")).IDToken); id["nonce"] != nil {
		t.Errorf("nonce %v was invented", id["nonce"])
	}
}

// "Parameters sent without a value MUST be treated as if they were omitted from the request."
func TestRFC6749Section3_2EmptyParametersAreOmitted(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	first := signedIn(t, s.URL, nil)
	form := url.Values{"grant_type": {oidc.GrantTypeRefreshToken}, "refresh_token": {first.RefreshToken}, "client_id": {"open"}}
	for _, name := range []string{"scope", "resource", "audience", "client_secret", "client_assertion", "nonsense"} {
		form.Set(name, "")
	}
	form.Add("scope", "") // nor does it count as repeated
	if a := token(t, s.URL, form); a.Status != http.StatusOK || a.Scope != first.Scope {
		t.Errorf("refresh with empty parameters: %d %s %s, scope %q, want 200 and all of %q", a.Status, a.Error, a.Description, a.Scope, first.Scope)
	}
	if got := asked(t, s.URL, func(q url.Values) {
		for _, name := range []string{"max_age", "resource", "prompt", "login_hint", "request", "id_token_hint", "dpop_jkt"} {
			q.Set(name, "")
		}
	}); got != nil {
		t.Errorf("authorization request with empty parameters: %v, want it taken", got)
	}
}
