package faults

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

const (
	redirectURI = "http://127.0.0.1:9/cb" // nobody listens there: the browser stops before it
	verifier    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	everything  = "openid offline_access urn:ietf:params:oauth:scope:mail urn:ietf:params:oauth:scope:calendars"
)

// browser is a person's browser on the way from a program to the consent page and
// back. It keeps cookies, and stops before the identity provider and before the program.
type browser struct {
	w      *world
	client *http.Client
	answer *url.URL // where it was sent last and did not go
}

func (w *world) browser() *browser {
	w.Helper()
	jar, err := cookiejar.New(nil)
	w.must(err)
	b := &browser{w: w}
	b.client = &http.Client{Jar: jar, Timeout: hanging, Transport: &http.Transport{DisableKeepAlives: true}}
	b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		b.answer = nil
		if strings.HasPrefix(r.URL.String(), redirectURI) || strings.HasPrefix(r.URL.String(), w.idp.Issuer) {
			b.answer = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	return b
}

// page is an answer that a person sees.
type page struct {
	status int
	header http.Header
	body   string
	url    *url.URL
	took   time.Duration
}

func (b *browser) do(method, rawURL string, form url.Values) page {
	b.w.Helper()
	b.answer = nil
	req, err := http.NewRequestWithContext(b.w.Context(), method, rawURL, strings.NewReader(form.Encode()))
	if err != nil {
		b.w.Fatal(err)
	}
	req.Header.Set("Accept-Language", "en")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	asked := time.Now()
	res, err := b.client.Do(req)
	if err != nil {
		b.w.Fatalf("%s %s: %v", method, req.URL.Path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.Fatal(err)
	}
	return page{res.StatusCode, res.Header, string(body), res.Request.URL, time.Since(asked)}
}

// values returns an attribute of every element of a page.
func (p page) values(t testing.TB, element, attribute string) []string {
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

// begin asks for authorization, as a program does when it opens the browser.
func (b *browser) begin() page {
	b.w.Helper()
	sum := sha256.Sum256([]byte(verifier))
	return b.do(http.MethodGet, b.w.proxy.URL+"/authorize?"+url.Values{
		"client_id": {"open"}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {everything},
		"state": {rand.Text()}, "nonce": {rand.Text()}, "login_hint": {alice},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode(), nil)
}

// choose follows the link to the identity provider on the first page, and returns
// what was shown instead if there was something.
func (b *browser) choose(first page) page {
	b.w.Helper()
	links := first.values(b.w, "a", "href")
	i := slices.IndexFunc(links, func(href string) bool { return strings.Contains(href, "/sign-in/") })
	if i < 0 {
		b.w.Fatalf("no link to an identity provider: %d %s", first.status, first.body)
	}
	return b.do(http.MethodGet, links[i], nil)
}

// arrive signs in at the identity provider and comes back to the consent page. It
// must have been sent there.
func (b *browser) arrive() page {
	b.w.Helper()
	return b.do(http.MethodGet, b.visit(), nil)
}

// visit signs in at the identity provider and returns where that sends the browser.
func (b *browser) visit() string {
	b.w.Helper()
	if b.answer == nil {
		b.w.Fatal("the browser was not sent to the identity provider")
	}
	back := b.w.idp.Visit(b.w, b.answer.String())
	return b.answer.Query().Get("redirect_uri") + "?" + back.Encode()
}

// allow says yes on the consent page.
func (b *browser) allow(consent page) page {
	b.w.Helper()
	action := consent.values(b.w, "form", "action")
	if len(action) != 1 {
		b.w.Fatalf("the consent page has %d forms: %d %s", len(action), consent.status, consent.body)
	}
	return b.do(http.MethodPost, action[0], url.Values{"ticket": {consent.url.Query().Get("ticket")}, "decision": {"allow"}})
}

// toConsent goes as far as the consent page.
func (b *browser) toConsent() page {
	b.w.Helper()
	b.choose(b.begin())
	return b.arrive()
}

// code goes the whole way and returns the code for the program.
func (b *browser) code() string {
	b.w.Helper()
	b.allow(b.toConsent())
	return b.codeIn()
}

// codeIn is the code in the answer to the program.
func (b *browser) codeIn() string {
	b.w.Helper()
	if b.answer == nil || b.answer.Query().Get("code") == "" {
		b.w.Fatalf("the browser was not sent to the program with a code: %v", b.answer)
	}
	if got := b.answer.Query().Get("iss"); got != b.w.proxy.URL {
		b.w.Errorf("iss is %q, want %q", got, b.w.proxy.URL)
	}
	return b.answer.Query().Get("code")
}

// bearable is how soon an answer comes that needs a part which is away, at the
// latest: the service waits five seconds for the database, and for Redis less.
const bearable = 6 * time.Second

// What the pages for people say.
const (
	pageTryAgain   = "This service is not ready at the moment"
	pageStartAgain = "This sign-in has ended"
)

// shows checks that a page is there for people, soon, and says something.
func (p page) shows(t testing.TB, what string, status int, title string) {
	t.Helper()
	if p.status != status || !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") || !strings.Contains(p.body, title) {
		t.Errorf("%s: got %d %s, want %d and a page %q:\n%s", what, p.status, p.header.Get("Content-Type"), status, title, p.body)
	}
	if p.took > bearable {
		t.Errorf("%s: the page came after %v, want at most %v", what, p.took, bearable)
	}
}
