package idptest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const (
	testRedirect = "http://127.0.0.1:1/callback?keep=1"
	testVerifier = "0123456789-0123456789-0123456789-0123456789"
)

func startWithAlice(t *testing.T) *Provider {
	t.Helper()
	p := Start(t)
	p.AddPerson(Person{Subject: "a1", Name: "Alice", Email: "alice@example.com", EmailVerified: true, Login: "alice"})
	p.SignInAs("a1")
	return p
}

// request is a good authorization request, changed by the caller.
func request(p *Provider, change func(url.Values)) string {
	q := url.Values{
		"client_id": {p.ClientID}, "redirect_uri": {testRedirect}, "response_type": {"code"},
		"scope": {"openid profile email"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {challengeOf(testVerifier)}, "code_challenge_method": {"S256"},
	}
	if change != nil {
		change(q)
	}
	return p.Issuer + PathAuthorize + "?" + q.Encode()
}

// redeem posts to the token endpoint and returns status and members of the answer.
func redeem(t *testing.T, p *Provider, code string, change func(url.Values)) (int, map[string]any) {
	t.Helper()
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {testRedirect},
		"code_verifier": {testVerifier}, "client_id": {p.ClientID}, "client_secret": {p.ClientSecret},
	}
	if change != nil {
		change(form)
	}
	response, err := http.PostForm(p.Issuer+PathToken, form)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, response)
}

func decode(t *testing.T, response *http.Response) (int, map[string]any) {
	t.Helper()
	defer response.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		t.Fatalf("answer %s: %v", response.Status, err)
	}
	return response.StatusCode, body
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	p := startWithAlice(t)
	back := p.Visit(t, request(p, nil))
	if back.Get("state") != "s" || back.Get("iss") != p.Issuer || back.Get("keep") != "1" || back.Get("code") == "" {
		t.Fatalf("response: got %v, want code, state, iss and the redirect's own parameter", back)
	}
	if got := p.LastRequest().Get("nonce"); got != "n" {
		t.Errorf("LastRequest: nonce %q, want n", got)
	}
	status, body := redeem(t, p, back.Get("code"), nil)
	if status != http.StatusOK || body["id_token"] == nil {
		t.Fatalf("token endpoint: got %d %v, want an ID token", status, body)
	}
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Issuer+PathUserinfo, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask.Header.Set("Authorization", "Bearer "+body["access_token"].(string))
	response, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	if status, claims := decode(t, response); status != http.StatusOK || claims["sub"] != "a1" || claims["email"] != "alice@example.com" {
		t.Errorf("userinfo: got %d %v, want Alice", status, claims)
	}
	if n := p.SignIns(); n != 1 {
		t.Errorf("SignIns: got %d, want 1", n)
	}
}

func TestAuthorizeAnswersErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(*Provider)
		change  func(url.Values)
		want    string
	}{
		"denied":             {func(p *Provider) { p.Deny("access_denied") }, nil, "access_denied"},
		"nobody":             {func(p *Provider) { p.SignInAs("") }, nil, "login_required"},
		"no nonce":           {nil, func(q url.Values) { q.Del("nonce") }, "invalid_request"},
		"no challenge":       {nil, func(q url.Values) { q.Del("code_challenge") }, "invalid_request"},
		"plain challenge":    {nil, func(q url.Values) { q.Set("code_challenge_method", "plain") }, "invalid_request"},
		"no openid":          {nil, func(q url.Values) { q.Set("scope", "email") }, "invalid_request"},
		"implicit flow":      {nil, func(q url.Values) { q.Set("response_type", "id_token") }, "invalid_request"},
		"parameter repeated": {nil, func(q url.Values) { q.Add("nonce", "m") }, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startWithAlice(t)
			if c.prepare != nil {
				c.prepare(p)
			}
			back := p.Visit(t, request(p, c.change))
			if back.Get("error") != c.want || back.Get("state") != "s" || back.Has("code") {
				t.Errorf("got %v, want error %s with the state and no code", back, c.want)
			}
			if n := p.SignIns(); n != 0 {
				t.Errorf("SignIns: got %d, want 0", n)
			}
		})
	}
}

func TestAuthorizeRedirectsNobodyItDoesNotKnow(t *testing.T) {
	t.Parallel()
	p := startWithAlice(t)
	for name, change := range map[string]func(url.Values){
		"another client":  func(q url.Values) { q.Set("client_id", "other") },
		"no redirect URI": func(q url.Values) { q.Del("redirect_uri") },
		"with fragment":   func(q url.Values) { q.Set("redirect_uri", testRedirect+"#f") },
	} {
		response, err := http.Get(request(p, change))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %s, want 400", name, response.Status)
		}
	}
}

func TestTokenRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(url.Values)
		want   string
	}{
		"wrong secret":         {func(f url.Values) { f.Set("client_secret", "x") }, "invalid_client"},
		"no secret":            {func(f url.Values) { f.Del("client_secret") }, "invalid_client"},
		"another grant type":   {func(f url.Values) { f.Set("grant_type", "password") }, "unsupported_grant_type"},
		"another redirect URI": {func(f url.Values) { f.Set("redirect_uri", "http://127.0.0.1:2/") }, "invalid_grant"},
		"wrong verifier":       {func(f url.Values) { f.Set("code_verifier", strings.ToUpper(testVerifier)+"x") }, "invalid_grant"},
		"no verifier":          {func(f url.Values) { f.Del("code_verifier") }, "invalid_grant"},
		"unknown code":         {func(f url.Values) { f.Set("code", "x") }, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startWithAlice(t)
			code := p.Visit(t, request(p, nil)).Get("code")
			if status, body := redeem(t, p, code, c.change); status < 400 || body["error"] != c.want {
				t.Errorf("got %d %v, want %s", status, body, c.want)
			}
		})
	}
}

func TestCodeIsGoodOnce(t *testing.T) {
	t.Parallel()
	p := startWithAlice(t)
	code := p.Visit(t, request(p, nil)).Get("code")
	if status, body := redeem(t, p, code, nil); status != http.StatusOK {
		t.Fatalf("first time: got %d %v", status, body)
	}
	if status, body := redeem(t, p, code, nil); status != http.StatusBadRequest || body["error"] != "invalid_grant" {
		t.Errorf("second time: got %d %v, want invalid_grant", status, body)
	}
}
