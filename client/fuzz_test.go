package client

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"signpost/scopes"
)

func parse(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// FuzzReadJRD: whatever a website answers, the issuer that comes out is an https
// URL without query, fragment and user information, and the scope a list of words.
func FuzzReadJRD(f *testing.F) {
	for _, href := range []string{
		"https://id.example.com", "https://id.example.com/t/a", "http://127.0.0.1", "https://a@b", "https://a?b", "https://a#",
		"HTTPS://A", "https:a", "//a", "https://[::1]", "https://[::1%25lo]", "https:///a", "",
	} {
		f.Add([]byte(`{"links":[{"rel":"http://openid.net/specs/connect/1.0/issuer","href":"` + href + `",` +
			`"properties":{"urn:signpost:oauth:scope":"a b","urn:signpost:oauth:client_id":null}}]}`))
	}
	f.Add([]byte(`{"properties":{"a":["b"]},"links":[{"rel":"urn:signpost:rel:configuration","href":"https://a/"}]}`))
	f.Add([]byte(`{"links":{}}`))
	from := parse(f, "https://example.com/")
	f.Fuzz(func(t *testing.T, body []byte) {
		d, issuer, err := readJRD(from, body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrNotServed) && !errors.Is(err, ErrInsecure) {
				t.Fatalf("readJRD: %v is none of the errors that say what to do", err)
			}
			return
		}
		if issuer.Scheme != "https" || issuer.Hostname() == "" || issuer.User != nil || strings.ContainsAny(d.Issuer, "?#") {
			t.Fatalf("issuer %q was taken", d.Issuer)
		}
		if _, err := scopes.Parse(d.Scope); err != nil {
			t.Fatalf("scope %q was taken", d.Scope)
		}
	})
}

// FuzzReadMetadata: metadata that is taken is that of the issuer, and every
// endpoint in it is reached by https.
func FuzzReadMetadata(f *testing.F) {
	const name = "https://id.example.com/t/a"
	for _, endpoint := range []string{name + "/token", "http://127.0.0.1/", "https://a@b/", "https://a/#b", "javascript:1", ""} {
		f.Add([]byte(`{"issuer":"` + name + `","authorization_endpoint":"` + name + `","token_endpoint":"` + endpoint + `","jwks_uri":"` + endpoint + `"}`))
	}
	f.Add([]byte(`{"issuer":"https://id.example.com"}`))
	f.Add([]byte(`{"issuer":"` + name + `","scopes_supported":["a b"]}`))
	issuer := parse(f, name)
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := readMetadata(issuer, name, body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrIssuerMismatch) && !errors.Is(err, ErrInsecure) {
				t.Fatalf("readMetadata: %v is none of the errors that say what to do", err)
			}
			return
		}
		if m.Issuer != name {
			t.Fatalf("issuer %q was taken", m.Issuer)
		}
		endpoints := []string{m.AuthorizationEndpoint, m.TokenEndpoint}
		if m.JWKSURI != "" {
			endpoints = append(endpoints, m.JWKSURI)
		}
		for _, endpoint := range endpoints {
			u, err := url.Parse(endpoint)
			if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
				t.Fatalf("endpoint %q was taken", endpoint)
			}
		}
		if _, err := scopes.Parse(strings.Join(m.ScopesSupported, " ")); err != nil {
			t.Fatalf("scopes %q were taken", m.ScopesSupported)
		}
	})
}

// FuzzParseAddress: an address that is taken asks one host about one account.
func FuzzParseAddress(f *testing.F) {
	for _, address := range []string{"alice@example.com", "a@b@c", "acct:a%40b@c", "ä@ü", "a@[::1]", "a@b:1", "a@b/c", "@", "acct:", "a%zz@b", "a\n@b"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		account, err := parseAddress(address)
		if err != nil {
			if !errors.Is(err, ErrAddress) {
				t.Fatalf("parseAddress: %v, want ErrAddress", err)
			}
			return
		}
		u, err := (&Client{}).webfingerURL(account)
		if err != nil {
			t.Fatalf("webfingerURL of %q: %v", address, err)
		}
		again := parse(t, u.String())
		if again.Host != account.Domain || again.Path != "/.well-known/webfinger" || again.Query().Get("resource") != account.Raw {
			t.Fatalf("%q becomes %s", address, again)
		}
	})
}
