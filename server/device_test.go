package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
)

// waiting is a device that shows its code.
type waiting struct {
	t      testing.TB
	issuer string

	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int    `json:"expires_in"`
	Interval                int    `json:"interval"`
}

// newDevice asks as a device would (RFC 8628, section 3.1).
func newDevice(t testing.TB, issuer string, edits ...edit) *waiting {
	t.Helper()
	form := url.Values{"client_id": {"open"}, "scope": {allScopes}}
	p := ask(t, http.MethodPost, issuer+"/device_authorization", append([]edit{formBody(form)}, edits...)...)
	if p.status != http.StatusOK || p.header.Get("Cache-Control") != "no-store" || p.header.Get("Content-Type") != "application/json" {
		t.Fatalf("device authorization: %d %v %s", p.status, p.header, p.body)
	}
	d := &waiting{t: t, issuer: issuer}
	p.json(t, d)
	return d
}

func (d *waiting) form() url.Values {
	return url.Values{"grant_type": {oidc.GrantTypeDeviceCode}, "client_id": {"open"}, "device_code": {d.DeviceCode}}
}

// poll asks for the token and compares the error; "" is none.
func (d *waiting) poll(want string) answer {
	d.t.Helper()
	a := token(d.t, d.issuer, d.form())
	if a.Error != want {
		d.t.Errorf("poll: %d %q (%s), want %q", a.Status, a.Error, a.Description, want)
	}
	return a
}

// enters opens the page and sends the code; it returns the page that asks.
func (b *browser) enters(d *waiting, code string) page {
	b.t.Helper()
	if p := b.get(d.VerificationURI); p.status != http.StatusOK {
		b.t.Fatalf("GET /device: %d %s", p.status, p.body)
	}
	return b.post(d.VerificationURI, url.Values{"user_code": {code}})
}

// decides answers whether the person started it.
func (b *browser) decides(d *waiting, decision string) page {
	b.t.Helper()
	return b.post(d.VerificationURI, url.Values{"user_code": {d.UserCode}, "decision": {decision}})
}

// toDeviceConsent goes from the code to the consent page.
func (b *browser) toDeviceConsent(d *waiting) (ticket string, consent page) {
	b.t.Helper()
	if p := b.enters(d, d.UserCode); p.status != http.StatusOK || !strings.Contains(p.body, "Did you start this just now?") {
		b.t.Fatalf("code entered: %d %s", p.status, p.body)
	}
	consent = b.get(upstreamLink(b.t, b.decides(d, "allow")))
	if consent.status != http.StatusOK || consent.url.Path != strings.TrimPrefix(d.issuer+"/consent", "http://"+consent.url.Host) {
		b.t.Fatalf("after the identity provider: %d at %v: %s", consent.status, consent.url, consent.body)
	}
	return consent.url.Query().Get("ticket"), consent
}

// allows answers on the consent page and returns the page at the end.
func (b *browser) allows(d *waiting, ticket, decision string) page {
	b.t.Helper()
	return b.post(d.issuer+"/consent", url.Values{"ticket": {ticket}, "decision": {decision}})
}

func (p page) endsWith(t testing.TB, result string) {
	t.Helper()
	p.isPage(t, http.StatusOK)
	if got := p.url.Query().Get("result"); got != result {
		t.Errorf("the way ends at %v, want result %s", p.url, result)
	}
}

// The whole way over HTTP, at both kinds of issuer: a device, a browser, an identity provider.
func TestRFC8628WholeFlow(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	if d.VerificationURI != s.URL+"/device" || d.ExpiresIn != 600 || d.Interval != 5 {
		t.Errorf("answer %+v", d)
	}
	b := newBrowser(t)
	ticket, consent := b.toDeviceConsent(d)
	for _, want := range []string{"A program on another device", "Alice Example", "on a device in front of you"} {
		if !strings.Contains(consent.body, want) {
			t.Errorf("the consent page does not say %q: %s", want, consent.body)
		}
	}
	if csp := consent.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self';") {
		t.Errorf("the consent form of a device may lead elsewhere: %s", csp)
	}
	b.allows(d, ticket, "allow").endsWith(t, "allowed")
	a := d.poll("")
	if a.TokenType != oidc.Bearer || a.ExpiresIn != 3600 || a.RefreshToken == "" || a.Scope != allScopes {
		t.Errorf("token: %s for %d s, scope %q, refresh token %t", a.TokenType, a.ExpiresIn, a.Scope, a.RefreshToken != "")
	}
	_, id := claims(t, a.IDToken)
	_, access := claims(t, a.AccessToken)
	if id["sub"] != access["sub"] || id["aud"] != "open" || id["nonce"] != nil {
		t.Errorf("ID token %v, access token %v", id, access)
	}
	if refreshed := token(t, s.URL, refreshForm(a.RefreshToken)); refreshed.Status != http.StatusOK {
		t.Errorf("refresh: %d %s", refreshed.Status, refreshed.Error)
	}
}

// R19: a replay ends the grant, its refresh token and its access token.
func TestR19DeviceCodeReplayedOverHTTP(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	b := newBrowser(t)
	ticket, _ := b.toDeviceConsent(d)
	b.allows(d, ticket, "allow")
	a := d.poll("")
	d.poll(oidc.CodeInvalidGrant)
	if refreshed := token(t, s.URL, refreshForm(a.RefreshToken)); refreshed.Error != oidc.CodeInvalidGrant {
		t.Errorf("refresh after the replay: %d %s, want invalid_grant", refreshed.Status, refreshed.Error)
	}
	p := ask(t, http.MethodGet, s.URL+oidc.ConfigurationPath, header("Authorization", "Bearer "+a.AccessToken))
	if p.status != http.StatusUnauthorized {
		t.Errorf("configuration after the replay: %d, want 401", p.status)
	}
}

func TestRFC8628Section3_5OverHTTP(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	if a := d.poll(oidc.CodeAuthorizationPending); a.Status != http.StatusBadRequest {
		t.Errorf("status %d, want 400 (RFC 6749, section 5.2)", a.Status)
	}
	d.poll(oidc.CodeSlowDown)
	denied, b := newDevice(t, s.URL), newBrowser(t)
	ticket, _ := b.toDeviceConsent(denied)
	b.allows(denied, ticket, "deny").endsWith(t, "denied")
	if a := denied.poll(oidc.CodeAccessDenied); a.Status != http.StatusBadRequest {
		t.Errorf("status %d, want 400 (RFC 6749, section 5.2)", a.Status)
	}

	notMine := newDevice(t, s.URL)
	b.enters(notMine, notMine.UserCode)
	b.decides(notMine, "deny").endsWith(t, "denied")
	notMine.poll(oidc.CodeAccessDenied)

	s.Clock.Advance(10 * time.Minute)
	d.poll(oidc.CodeExpiredToken)
	b.enters(d, d.UserCode).isWrongCode(t)
}

func (p page) isWrongCode(t testing.TB) {
	t.Helper()
	if p.status != http.StatusBadRequest || !strings.Contains(p.body, "No device waits with this code.") {
		t.Errorf("got %d, want the page for the code once more: %s", p.status, p.body)
	}
}

// A code in the address fills in the field and no more, however the page is opened.
func TestR16VerificationURICompleteNeverSkips(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	b := newBrowser(t)
	for range 2 { // without and with the cookie
		p := b.get(d.VerificationURIComplete)
		p.isPage(t, http.StatusOK)
		if !slices.Contains(p.attributes(t, "input", "value"), d.UserCode) || strings.Contains(p.body, "Did you start this just now?") {
			t.Errorf("the page does not hold the code, or is past it: %s", p.body)
		}
		if links := p.attributes(t, "a", "href"); slices.ContainsFunc(links, func(l string) bool { return strings.Contains(l, "/sign-in/") }) {
			t.Errorf("the page leads to an identity provider: %q", links)
		}
	}
	b.get(d.VerificationURIComplete+"&decision=allow").isPage(t, http.StatusOK)
	d.poll(oidc.CodeAuthorizationPending)

	p := b.get(d.VerificationURI + "?user_code=" + url.QueryEscape(`"><script>alert(1)</script>`))
	if p.isPage(t, http.StatusOK); strings.Contains(p.body, "<script") || strings.Contains(p.body, "alert") {
		t.Errorf("what is no code stands on the page: %s", p.body)
	}
}

func TestRFC8628Section6_1UserCodeIsReadAsTyped(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	b := newBrowser(t)
	letters := strings.ReplaceAll(d.UserCode, "-", "")
	for _, code := range []string{d.UserCode, strings.ToLower(d.UserCode), letters, " " + letters[:2] + " " + letters[2:] + " ", strings.ToLower(letters[:4]) + "–" + letters[4:]} {
		p := b.enters(d, code)
		if p.status != http.StatusOK || !strings.Contains(p.body, d.UserCode) {
			t.Errorf("code typed as %q: %d, want the page that shows %s", code, p.status, d.UserCode)
		}
	}
	b.enters(d, letters[:7]).isWrongCode(t)
	b.enters(d, letters+"B").isWrongCode(t)
}

// The page shows code, client and place of the asking device (R16).
func TestR16PageSaysWhatAsks(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	s.Clock.Advance(3 * time.Minute)
	p := newBrowser(t).enters(d, d.UserCode)
	for _, want := range []string{d.UserCode, "It did not identify itself", "127.0.0.1", "3 minutes ago", "Mail", "Calendar", "Say yes only if you started this yourself"} {
		if !strings.Contains(p.body, want) {
			t.Errorf("the page does not say %q: %s", want, p.body)
		}
	}
}

func TestRFC8628Section5_1UserCodeGuesses(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	b := newBrowser(t)
	b.get(d.VerificationURI)
	for range 20 {
		b.post(d.VerificationURI, url.Values{"user_code": {"BBBB-BBBB"}}).isWrongCode(t)
	}
	for _, form := range []url.Values{{"user_code": {d.UserCode}}, {"user_code": {d.UserCode}, "decision": {"allow"}}, {"user_code": {d.UserCode}, "decision": {"deny"}}} {
		b.post(d.VerificationURI, form).isPage(t, http.StatusTooManyRequests)
	}
	d.poll(oidc.CodeAuthorizationPending)
}

// Another site can neither enter a code nor say yes in the person's name.
func TestR16DeviceFormsOfOtherSites(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	b := newBrowser(t)
	b.enters(d, d.UserCode)
	for _, form := range []url.Values{{"user_code": {d.UserCode}}, {"user_code": {d.UserCode}, "decision": {"allow"}}, {"user_code": {d.UserCode}, "decision": {"deny"}}} {
		ask(t, http.MethodPost, d.VerificationURI, formBody(form), b.cookies, header("Sec-Fetch-Site", "cross-site")).isPage(t, http.StatusForbidden)
		ask(t, http.MethodPost, d.VerificationURI, formBody(form), b.cookies, header("Origin", "https://evil.test")).isPage(t, http.StatusForbidden)
		ask(t, http.MethodPost, d.VerificationURI, formBody(form)).isPage(t, http.StatusBadRequest) // no cookie
		ask(t, http.MethodGet, d.VerificationURI+"?"+form.Encode(), b.cookies).isPage(t, http.StatusOK)
	}
	d.poll(oidc.CodeAuthorizationPending)
}

func TestR16DevicePagesAreNotFramed(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	b := newBrowser(t)
	for name, p := range map[string]page{
		"code":    b.get(d.VerificationURIComplete),
		"wrong":   b.enters(d, "BBBB-BBBB"),
		"confirm": b.enters(d, d.UserCode),
		"choice":  b.decides(d, "allow"),
		"done":    b.get(d.VerificationURI + "?result=allowed"),
		"odd":     b.get(d.VerificationURI + "?result=<b>"),
	} {
		if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: Content-Security-Policy %q", name, csp)
		}
		if got := p.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q, want no-store", name, got)
		}
	}
}

// The first browser that says yes has the device; in another one the code means nothing.
func TestR16UserCodeInTwoBrowsers(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	first, second := newBrowser(t), newBrowser(t)
	second.enters(d, d.UserCode)
	ticket, _ := first.toDeviceConsent(d)
	second.decides(d, "allow").isWrongCode(t)
	second.decides(d, "deny").isWrongCode(t)
	second.allows(d, ticket, "allow").isPage(t, http.StatusBadRequest)
	first.allows(d, ticket, "allow").endsWith(t, "allowed")
	first.enters(d, d.UserCode).isWrongCode(t)
	d.poll("")
}

// Who signs in decides: whoever it is in that browser gets the device, and nobody it meant to be.
func TestR16DeviceSignedInAsSomebodyElse(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	b := newBrowser(t)
	s.IDP.SignInAs("b2")
	ticket, consent := b.toDeviceConsent(d)
	if !strings.Contains(consent.body, "bob@example.test") {
		t.Errorf("the consent page does not say who signed in: %s", consent.body)
	}
	b.allows(d, ticket, "allow").endsWith(t, "allowed")
	a := d.poll("")
	s.IDP.SignInAs("a1")
	_, bob := claims(t, a.IDToken)
	_, alice := claims(t, signedIn(t, s.URL, nil).IDToken)
	if bob["sub"] == alice["sub"] {
		t.Errorf("the device has the account %v, want Bob's", bob["sub"])
	}
}

// Who goes back before the identity provider has said no to the device.
func TestR16CancelledDeviceIsDenied(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	b := newBrowser(t)
	b.enters(d, d.UserCode)
	before := b.decides(d, "allow")
	var cancel string
	for _, href := range before.attributes(t, "a", "href") {
		if strings.Contains(href, "cancel") {
			cancel = href
		}
	}
	b.get(cancel).endsWith(t, "denied")
	d.poll(oidc.CodeAccessDenied)
}

// Who is refused by the identity provider comes to the page at the end; nothing is
// decided, and the same browser may begin again.
func TestR16DeviceSignInBrokenOff(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	d := newDevice(t, s.URL)
	b := newBrowser(t)
	b.enters(d, d.UserCode)
	s.IDP.Deny(oidc.CodeAccessDenied)
	b.get(upstreamLink(t, b.decides(d, "allow"))).endsWith(t, "denied")
	d.poll(oidc.CodeAuthorizationPending)
	s.IDP.Deny("")
	ticket, _ := b.toDeviceConsent(d)
	b.allows(d, ticket, "allow").endsWith(t, "allowed")
}

// Scripts of other sites may be devices, but not people.
func TestDeviceAuthorizationPreflight(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p := ask(t, http.MethodOptions, s.URL+"/device_authorization", header("Origin", "https://app.example"), header("Access-Control-Request-Method", "POST"))
	if p.status != http.StatusNoContent || p.header.Get("Access-Control-Allow-Origin") != "*" || p.header.Get("Access-Control-Allow-Methods") != "POST" {
		t.Errorf("preflight: %d %v", p.status, p.header)
	}
	if p := ask(t, http.MethodGet, s.URL+"/device", header("Origin", "https://app.example")); p.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("scripts of other sites may read the page for the code")
	}
}

// By default the program that nobody wrote down has no device flow; where it is off,
// nothing speaks of it.
func TestR16DevicePolicyOverHTTP(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p := ask(t, http.MethodPost, s.OtherURL()+"/device_authorization", formBody(url.Values{"client_id": {"open"}, "scope": {mailScope}}))
	if p.status != http.StatusBadRequest || !strings.Contains(p.body, oidc.CodeUnauthorizedClient) {
		t.Errorf("open client by default: %d %s, want unauthorized_client", p.status, p.body)
	}
	off := strings.Replace(s.Declaration(), `clients: {device: "on"}`, `clients: {device: "off"}`, 1)
	declare(t, s, off, func(now *directory.Snapshot) bool {
		r, ok := now.Realm(servertest.Tenant)
		return ok && r.Clients.Device == directory.DeviceOff
	})
	ask(t, http.MethodGet, s.URL+"/device").isPage(t, http.StatusNotFound)
	m := jsonAt(t, s.URL+"/.well-known/oauth-authorization-server")
	if m["device_authorization_endpoint"] != nil || slices.Contains(words(m["grant_types_supported"]), oidc.GrantTypeDeviceCode) {
		t.Errorf("metadata speak of a device flow: %v", m)
	}
	if a := token(t, s.URL, url.Values{"grant_type": {oidc.GrantTypeDeviceCode}, "client_id": {"open"}, "device_code": {"x"}}); a.Error != oidc.CodeUnsupportedGrantType {
		t.Errorf("device code where the flow is off: %s, want unsupported_grant_type", a.Error)
	}
}

// The code of one tenant's device means nothing at another tenant's page or token endpoint.
func TestR7DeviceAtAnotherTenant(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declaration := strings.Replace(s.Declaration(), "domains: [other.test]", "domains: [other.test]\n    clients: {device: \"on\"}", 1)
	declare(t, s, declaration, func(now *directory.Snapshot) bool {
		r, ok := now.Realm(servertest.Other)
		return ok && r.Clients.Device == directory.DeviceOn
	})
	d := newDevice(t, s.URL)
	far := *d
	far.issuer, far.VerificationURI = s.OtherURL(), s.OtherURL()+"/device"
	newBrowser(t).enters(&far, d.UserCode).isWrongCode(t)
	b := newBrowser(t)
	ticket, _ := b.toDeviceConsent(d)
	b.allows(d, ticket, "allow")
	far.poll(oidc.CodeExpiredToken) // as for a code that was never made there
	d.poll("")
}

// A proof that comes with the request binds the device code to its key (RFC 9449, section 5).
func TestRFC9449DeviceCodeBoundToKey(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	device, thief := newProver(t, s), newProver(t, s)
	device.learn(s.URL)
	thief.nonce = device.nonce
	d := newDevice(t, s.URL, header("DPoP", device.proof(http.MethodPost, s.URL+"/device_authorization", "")))
	b := newBrowser(t)
	ticket, _ := b.toDeviceConsent(d)
	b.allows(d, ticket, "allow")
	d.poll(oidc.CodeInvalidGrant)
	if a := thief.sent(s.URL, d.form(), thief.proof(http.MethodPost, s.URL+"/token", "")); a.Error != oidc.CodeInvalidGrant {
		t.Errorf("with another key: %d %s, want invalid_grant", a.Status, a.Error)
	}
	if a := device.sent(s.URL, d.form(), device.proof(http.MethodPost, s.URL+"/token", "")); a.TokenType != oidc.DPoP {
		t.Errorf("with its key: %d %s %q, want a DPoP token", a.Status, a.Error, a.TokenType)
	}
}
