package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"signpost/internal/servertest"
	"signpost/oidc"
)

const (
	mailScope     = "urn:ietf:params:oauth:scope:mail"
	calendarScope = "urn:ietf:params:oauth:scope:calendars"
	filesScope    = "urn:signpost:scope:files"
	allScopes     = "openid offline_access " + mailScope + " " + calendarScope + " " + filesScope
	redirectURI   = "http://127.0.0.1:49152/cb"
	verifier      = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

func challengeOf(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// browser follows redirects up to the client's redirect URI, as a person's would.
type browser struct {
	t testing.TB
	*http.Client
	answer *url.URL // the last redirect to a client
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, Client: &http.Client{Jar: jar}}
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), "http://127.0.0.1:49152/") || r.URL.Scheme != "http" {
			b.answer = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	return b
}

// page is an answer that was read.
type page struct {
	status int
	header http.Header
	body   string
	url    *url.URL
}

func (b *browser) get(rawURL string) page { return b.do(http.MethodGet, rawURL, nil) }

func (b *browser) post(rawURL string, form url.Values) page {
	return b.do(http.MethodPost, rawURL, form)
}

func (b *browser) do(method, rawURL string, form url.Values) page {
	b.t.Helper()
	b.answer = nil
	req, err := http.NewRequestWithContext(b.t.Context(), method, rawURL, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, rawURL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{res.StatusCode, res.Header, string(body), res.Request.URL}
}

// attributes returns the values of an attribute of every element that has the other attribute's value.
func (p page) attributes(t testing.TB, element, attribute string) []string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(p.body))
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != element {
			continue
		}
		for _, a := range n.Attr {
			if a.Key == attribute {
				values = append(values, a.Val)
			}
		}
	}
	return values
}

// authorizeURL is a good authorization request; edit changes it.
func authorizeURL(issuer string, edit func(url.Values)) string {
	return issuer + "/authorize?" + authorizeForm(edit).Encode()
}

// authorizeForm is what authorizeURL asks.
func authorizeForm(edit func(url.Values)) url.Values {
	q := url.Values{
		"client_id": {"open"}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {allScopes},
		"state": {"s1"}, "nonce": {"n1"}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	if edit != nil {
		edit(q)
	}
	return q
}

// upstreamLink is the link to the identity provider on the page before it.
func upstreamLink(t testing.TB, before page) string {
	t.Helper()
	for _, href := range before.attributes(t, "a", "href") {
		if strings.Contains(href, "/sign-in/") {
			return href
		}
	}
	t.Fatalf("no link to an identity provider: %d %s", before.status, before.body)
	return ""
}

// toConsent goes through the identity provider to the consent page and returns its ticket.
func (b *browser) toConsent(authorize string) (ticket string, consent page) {
	b.t.Helper()
	before := b.get(authorize)
	if before.status != http.StatusOK {
		b.t.Fatalf("authorize: %d, answer %v, %s", before.status, b.answer, before.body)
	}
	consent = b.get(upstreamLink(b.t, before))
	if consent.status != http.StatusOK {
		b.t.Fatalf("callback: %d, answer %v, %s", consent.status, b.answer, consent.body)
	}
	return consent.url.Query().Get("ticket"), consent
}

// signIn signs in and allows, and returns the client's answer.
func (b *browser) signIn(authorize string) url.Values {
	b.t.Helper()
	ticket, consent := b.toConsent(authorize)
	action := consent.attributes(b.t, "form", "action")
	if len(action) != 1 {
		b.t.Fatalf("consent page has %d forms: %s", len(action), consent.body)
	}
	b.post(action[0], url.Values{"ticket": {ticket}, "decision": {"allow"}})
	if b.answer == nil {
		b.t.Fatal("consent did not lead to the client")
	}
	return b.answer.Query()
}

// answer is the JSON of the token endpoint, success or failure.
type answer struct {
	Status          int
	Header          http.Header
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"`
	Scope           string `json:"scope"`
	RefreshToken    string `json:"refresh_token"`
	IDToken         string `json:"id_token"`
	Error           string `json:"error"`
	Description     string `json:"error_description"`
}

func token(t testing.TB, issuer string, form url.Values) answer {
	t.Helper()
	return tokenRaw(t, issuer, form.Encode(), "application/x-www-form-urlencoded", nil)
}

func tokenRaw(t testing.TB, issuer, body, contentType string, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/token", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{Status: res.StatusCode, Header: res.Header}
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		t.Fatalf("token answer is not JSON: %v", err)
	}
	return a
}

func codeForm(code string) url.Values {
	return url.Values{
		"grant_type": {oidc.GrantTypeAuthorizationCode}, "client_id": {"open"}, "redirect_uri": {redirectURI},
		"code": {code}, "code_verifier": {verifier},
	}
}

func refreshForm(refresh string) url.Values {
	return url.Values{"grant_type": {oidc.GrantTypeRefreshToken}, "client_id": {"open"}, "refresh_token": {refresh}}
}

func exchangeForm(subject, audience string) url.Values {
	return url.Values{
		"grant_type": {oidc.GrantTypeTokenExchange}, "client_id": {"open"}, "subject_token": {subject},
		"subject_token_type": {oidc.TokenTypeAccessToken}, "audience": {audience},
	}
}

// signedIn signs in at an issuer and redeems the code.
func signedIn(t testing.TB, issuer string, edit func(url.Values)) answer {
	t.Helper()
	b := newBrowser(t)
	q := b.signIn(authorizeURL(issuer, edit))
	a := token(t, issuer, codeForm(q.Get("code")))
	if a.Status != http.StatusOK {
		t.Fatalf("redeem: %d %s %s (answer %v)", a.Status, a.Error, a.Description, q)
	}
	return a
}

func configuration(t testing.TB, issuer, accessToken, etag string) page {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, issuer+"/configuration", nil)
	if err != nil {
		t.Fatal(err)
	}
	if accessToken != "" {
		req.Header.Set("Authorization", "Bearer "+accessToken)
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{res.StatusCode, res.Header, string(body), nil}
}

// claims reads the payload of a JWT without checking it.
func claims(t testing.TB, jwt string) (header, payload map[string]any) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %d parts", len(parts))
	}
	for i, into := range []*map[string]any{&header, &payload} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

// TestTheWholeWay signs in once and gets everything.
func TestTheWholeWay(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	q := b.signIn(authorizeURL(s.URL, nil))
	if q.Get("iss") != s.URL || q.Get("state") != "s1" {
		t.Errorf("answer %v, want iss %s and state s1", q, s.URL)
	}
	broad := token(t, s.URL, codeForm(q.Get("code")))
	if broad.Status != 200 || broad.TokenType != "Bearer" || broad.ExpiresIn != 3600 || broad.RefreshToken == "" || broad.IDToken == "" || broad.Scope != allScopes {
		t.Fatalf("broad: %+v", broad)
	}
	doc := configuration(t, s.URL, broad.AccessToken, "")
	if doc.status != 200 || !strings.Contains(doc.body, `"alice@example.test"`) {
		t.Fatalf("configuration: %d %s", doc.status, doc.body)
	}
	if again := configuration(t, s.URL, broad.AccessToken, doc.header.Get("ETag")); again.status != http.StatusNotModified {
		t.Errorf("configuration with its ETag: %d, want 304", again.status)
	}
	narrow := token(t, s.URL, exchangeForm(broad.AccessToken, "imap.example.test"))
	if narrow.Status != 200 || narrow.Scope != mailScope || narrow.IssuedTokenType != oidc.TokenTypeAccessToken || narrow.RefreshToken != "" {
		t.Fatalf("narrow: %+v", narrow)
	}
	header, payload := claims(t, narrow.AccessToken)
	if header["typ"] != "JWT" || payload["aud"] != "imap.example.test" || payload["preferred_username"] != "alice@example.test" || payload["client_id"] != nil {
		t.Errorf("narrow token: header %v, payload %v", header, payload)
	}
	next := token(t, s.URL, refreshForm(broad.RefreshToken))
	if next.Status != 200 || next.RefreshToken == broad.RefreshToken || next.RefreshToken == "" {
		t.Errorf("refresh: %+v", next)
	}
}
