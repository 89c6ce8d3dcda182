package faults

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"signpost/oidc"
)

// caller is a program that asks through the proxy: one replica, or whoever is next.
type caller struct {
	w   *world
	pin string // name of the replica; empty for whoever is next
}

func (w *world) at(r *replica) caller { return caller{w, r.name} }
func (w *world) any() caller          { return caller{w, ""} }

func (c caller) String() string {
	if c.pin == "" {
		return "a replica"
	}
	return "replica " + c.pin
}

// answer is what came back, and the members of the token endpoint's JSON if it has any.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration

	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
	Error        string `json:"error"`
}

// hanging is how long a caller waits for an answer before it counts as none.
const hanging = 20 * time.Second

// program asks as programs do: without cookies, and a connection for each request.
func program() *http.Client {
	return &http.Client{
		Timeout:       hanging,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c caller) get(path string) answer { return c.ask(http.MethodGet, path, nil, nil) }

// ask sends a request. That nobody answers is status 0.
func (c caller) ask(method, path string, form url.Values, header http.Header) answer {
	// Not the test's context: what was begun at its end shall not count as lost.
	req, err := http.NewRequestWithContext(context.WithoutCancel(c.w.Context()), method, c.w.proxy.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		c.w.Errorf("%s %s: %v", method, path, err)
		return answer{}
	}
	if header != nil {
		req.Header = header
	}
	req.Header.Set(pinHeader, c.pin)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	asked := time.Now()
	res, err := program().Do(req)
	if err != nil {
		return answer{body: err.Error(), took: time.Since(asked)}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	a := answer{status: res.StatusCode, header: res.Header, body: string(body), took: time.Since(asked)}
	if err != nil {
		return answer{body: err.Error(), took: a.took}
	}
	if res.Header.Get("Content-Type") == "application/json" {
		_ = json.Unmarshal(body, &a) // an answer without these members has none
	}
	return a
}

func webfinger(address string) string {
	return "/.well-known/webfinger?" + url.Values{"resource": {"acct:" + address}}.Encode()
}

// discovery is what is public and needs nothing but the process.
func discovery() []string {
	return []string{webfinger(alice), "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
		"/.well-known/oauth-protected-resource/configuration", "/scopes", "/jwks"}
}

func (c caller) token(form url.Values) answer {
	form.Set("client_id", oidc.ClientOpen)
	return c.ask(http.MethodPost, "/token", form, nil)
}

func (c caller) redeem(code string) answer {
	return c.token(url.Values{
		"grant_type": {oidc.GrantTypeAuthorizationCode}, "redirect_uri": {redirectURI}, "code": {code}, "code_verifier": {verifier},
	})
}

func (c caller) refresh(refreshToken string) answer {
	return c.token(url.Values{"grant_type": {oidc.GrantTypeRefreshToken}, "refresh_token": {refreshToken}})
}

func (c caller) exchange(accessToken string) answer {
	return c.token(url.Values{
		"grant_type": {oidc.GrantTypeTokenExchange}, "subject_token": {accessToken},
		"subject_token_type": {oidc.TokenTypeAccessToken}, "audience": {"imap.example.test"},
	})
}

func (c caller) configuration(accessToken string) answer {
	return c.ask(http.MethodGet, oidc.ConfigurationPath, nil, http.Header{"Authorization": {"Bearer " + accessToken}})
}

// admits reports whether a token opens what it should: exchange and configuration.
func (c caller) admits(accessToken string) bool {
	return c.exchange(accessToken).status == http.StatusOK && c.configuration(accessToken).status == http.StatusOK
}

// refuses reports whether a token is refused as one whose grant has ended: at both
// endpoints, for good and with the code of the standard (RFC 8693, section 2.2.2;
// RFC 6750, section 3.1).
func (c caller) refuses(accessToken string) bool {
	exchanged, configuration := c.exchange(accessToken), c.configuration(accessToken)
	return exchanged.status == http.StatusBadRequest && exchanged.Error == oidc.CodeInvalidRequest &&
		configuration.status == http.StatusUnauthorized && configuration.Error == oidc.CodeInvalidToken
}

// want checks status and, for failures of the token endpoint, the code.
func (a answer) want(t testing.TB, what string, status int, code string) {
	t.Helper()
	if a.status != status || a.Error != code {
		t.Errorf("%s: got %d %q after %v, want %d %q: %s", what, a.status, a.Error, a.took, status, code, a.withoutTokens())
	}
}

// soon checks that an answer did not keep its caller waiting.
func (a answer) soon(t testing.TB, what string, most time.Duration) {
	t.Helper()
	if a.took > most {
		t.Errorf("%s: answered %d after %v, want at most %v", what, a.status, a.took, most)
	}
}

func (a answer) withoutTokens() string {
	if a.AccessToken != "" {
		return "(a token)"
	}
	return a.body
}

// unavailable is the answer to a program while a part is away: try again.
func (a answer) unavailable(t testing.TB, what string) {
	t.Helper()
	a.want(t, what, http.StatusServiceUnavailable, oidc.CodeTemporarilyUnavailable)
}

// session is somebody who has signed in with a program.
type session struct{ access, refresh string }

// signedIn signs the current person in and redeems the code.
func (w *world) signedIn() session {
	w.Helper()
	a := w.any().redeem(w.browser().code())
	a.want(w, "redeem", http.StatusOK, "")
	if a.AccessToken == "" || a.RefreshToken == "" {
		w.Fatalf("the answer lacks tokens: %d, scope %q", a.status, a.Scope)
	}
	return session{a.AccessToken, a.RefreshToken}
}

// tried is signedIn by somebody who may be shown a page in between.
func (w *world) tried() (session, bool) {
	w.Helper()
	b := w.browser()
	first := b.begin()
	if first.status != http.StatusOK || b.choose(first).status != http.StatusSeeOther {
		return session{}, false
	}
	consent := b.arrive()
	if consent.status != http.StatusOK || b.allow(consent).status != http.StatusSeeOther {
		return session{}, false
	}
	a := w.any().redeem(b.codeIn())
	return session{a.AccessToken, a.RefreshToken}, a.status == http.StatusOK
}

// back is how soon everything works again when a part is back.
const back = 5 * time.Second

// signInWorks waits until somebody can sign in again.
func (w *world) signInWorks() session {
	w.Helper()
	var s session
	eventually(w, "somebody signs in again", back, func() (ok bool) {
		s, ok = w.tried()
		return ok
	})
	return s
}

// again asks until the answer is not "try again", as a program does, and no longer than
// it may take when the missing part is back.
func again(t testing.TB, what string, ask func() answer) answer {
	t.Helper()
	var a answer
	eventually(t, what, back, func() bool {
		a = ask()
		return a.status != http.StatusServiceUnavailable
	})
	a.want(t, what, http.StatusOK, "")
	return a
}

// stayIn checks that no replica asks to be taken out: what all of them miss, none has
// instead.
func (w *world) stayIn() {
	w.Helper()
	for _, r := range w.proxy.replicas {
		if !r.ready() {
			w.Errorf("replica %s says that it is not ready, and would be taken out with all others", r.name)
		}
	}
}

// known makes a session known to both replicas: what they have seen they may go on admitting.
func (w *world) known(s session) {
	w.Helper()
	for _, c := range w.both() {
		if !c.admits(s.access) {
			w.Fatalf("%v does not admit the token of a new sign-in", c)
		}
	}
}
