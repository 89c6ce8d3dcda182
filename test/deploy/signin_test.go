package deploy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"signpost/client"
	"signpost/internal/idptest"
)

const alice = "alice@example.test"

// provider is an identity provider at which alice is signed in.
func provider(t testing.TB) *idptest.Provider {
	t.Helper()
	p := idptest.Start(t)
	p.AddPerson(idptest.Person{Subject: "a1", Name: "Alice Example", Email: alice, EmailVerified: true, Login: "alice"})
	p.SignInAs("a1")
	return p
}

// declaration declares one tenant whose people sign in at the provider.
func declaration(p *idptest.Provider) string {
	return fmt.Sprintf(`tenants:
  - name: example
    title: Example Organisation
    domains: [example.test]
    identity_providers:
      - {name: staff, title: Example staff, issuer: %q, client_id: %q, client_secret: %q, scopes: [openid, profile, email]}
    services:
      - {id: imap, protocol: imap, title: Mail, endpoints: [{host: imap.example.test, port: 993, security: tls}]}
`, p.Issuer, p.ClientID, p.ClientSecret)
}

// signIn signs alice in at a server and returns the tokens.
func signIn(t testing.TB, base string) client.Tokens {
	t.Helper()
	c, d := discover(t, base)
	tokens, err := c.SignIn(t.Context(), d, "", alice, func(page string) error { return walk(page) })
	if err != nil {
		t.Fatalf("sign in: %v", err)
	}
	if tokens.RefreshToken == "" {
		t.Fatalf("signing in gave no refresh token: %v", tokens)
	}
	return tokens
}

// refreshed uses a refresh token and returns the next tokens.
func refreshed(t testing.TB, base string, tokens client.Tokens) client.Tokens {
	t.Helper()
	c, d := discover(t, base)
	next, err := c.Refresh(t.Context(), d, tokens.RefreshToken, "", "")
	if err != nil {
		t.Fatalf("refresh: %v", err)
	}
	return next
}

func discover(t testing.TB, base string) (*client.Client, client.Discovery) {
	t.Helper()
	c := &client.Client{Server: base}
	d, err := c.Discover(t.Context(), alice)
	if err != nil {
		t.Fatalf("discover: %v", err)
	}
	return c, d
}

var (
	signInLink = regexp.MustCompile(`href="([^"]*/sign-in/[^"]*)"`)
	ticket     = regexp.MustCompile(`name="ticket" value="([^"]+)"`)
)

// walk does what a person does in a browser: choose the identity provider, allow.
func walk(page string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := &http.Client{Jar: jar}
	first, at, err := show(browser.Get(page))
	if err != nil {
		return err
	}
	link := signInLink.FindStringSubmatch(first)
	if link == nil {
		return fmt.Errorf("no link to an identity provider: %s", first)
	}
	target, err := at.Parse(strings.ReplaceAll(link[1], "&amp;", "&"))
	if err != nil {
		return err
	}
	consent, at, err := show(browser.Get(target.String()))
	if err != nil {
		return err
	}
	asked := ticket.FindStringSubmatch(consent)
	if asked == nil {
		return fmt.Errorf("no consent page: %s", consent)
	}
	allow, err := at.Parse("consent")
	if err != nil {
		return err
	}
	_, _, err = show(browser.PostForm(allow.String(), url.Values{"ticket": {asked[1]}, "decision": {"allow"}}))
	return err
}

// show reads a page.
func show(res *http.Response, err error) (text string, at *url.URL, _ error) {
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %d: %s", res.Request.URL.Path, res.StatusCode, body)
	}
	return string(body), res.Request.URL, err
}
