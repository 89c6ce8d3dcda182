package directory

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	good := func(raw string) {
		t.Helper()
		if u, err := parseURL(raw); err != nil || u.String() != raw {
			t.Errorf("parseURL(%q) = %v, %v", raw, u, err)
		}
	}
	bad := func(raw, because string) {
		t.Helper()
		if u, err := parseURL(raw); err == nil || !strings.Contains(err.Error(), because) {
			t.Errorf("parseURL(%q) = %v, %v; want an error with %q", raw, u, err, because)
		}
	}

	good("https://example.com")
	good("https://example.com/")
	good("https://example.com:8443/a/b/")
	good("https://xn--bcher-kva.example/")
	good("https://192.0.2.1/")
	good("https://[2001:db8::1]:8443/")
	good("https://example.com/a%20b")
	good("https://example.com/.well-known/x")
	good("http://127.0.0.1:8080/x")
	good("http://[::1]")

	bad("", "not an https URL")
	bad("example.com", "not an https URL")
	bad("//example.com", "not an https URL")
	bad("https:example.com", "not an https URL")
	bad("https:///x", "not an https URL")
	bad("ftp://example.com", "not an https URL")
	bad("https://exa mple.com", "not an https URL")
	bad("https://example.com/%zz", "not an https URL")
	bad("http://example.com", "use https")
	bad("http://localhost:8080", "use https")
	bad("http://127.0.0.1.example.com", "use https")
	bad("https://a:b@example.com", "user information")
	bad("https://example.com?", "query or fragment")
	bad("https://example.com?x=y", "query or fragment")
	bad("https://example.com#", "query or fragment")
	bad("https://example.com/#x", "query or fragment")
	bad("https://example..com", "not a domain name")
	bad("https://EXAMPLE.com", "has to be written example.com")
	bad("https://example.com.", "has to be written example.com")
	bad("https://bücher.example", "has to be written xn--bcher-kva.example")
	bad("https://[2001:DB8::1]", "short form")
	bad("https://[2001:db8:0::1]", "short form")
	bad("https://[fe80::1%25eth0]", "short form")
	bad("https://example.com:", "colon without a port")
	bad("https://example.com:0", "port is not a number")
	bad("https://example.com:65536", "port is not a number")
	bad("https://example.com:08443", "port is not a number")
	bad("https://example.com:443", "leave it out")
	bad("http://127.0.0.1:80", "leave it out")
	bad("https://example.com/a/../b", "dot segments")
	bad("https://example.com/..", "dot segments")
	bad("https://example.com/./a", "dot segments")
	bad("https://example.com/a%2fb", "must not escape '/'")
	bad("https://example.com/a%5Cb", `must not escape '\\'`)
	bad("https://example.com/%2e%2e/", "must not escape '.'")
	bad("https://example.com/%7Ea", "must not escape '~'")
	bad("https://example.com/%00", `must not escape '\x00'`)
	bad("HTTPS://example.com", "plain spelling")
	bad("https://example.com/a b", "plain spelling")
	bad("https://example.com/ä", "plain spelling")
}

func TestR30Below(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url, prefix string
		want        bool
	}{
		{"https://a.test/x/y", "https://a.test/x", true},
		{"https://a.test/x/y", "https://a.test/x/", true},
		{"https://a.test/x", "https://a.test/x/", true},
		{"https://a.test/x", "https://a.test/x", true},
		{"https://a.test/x", "https://a.test", true},
		{"https://a.test", "https://a.test/", true},
		{"https://a.test/xy", "https://a.test/x", false},
		{"https://a.test/", "https://a.test/x", false},
		{"https://a.test:8443/x", "https://a.test/x", false},
		{"https://b.test/x", "https://a.test/x", false},
		{"http://127.0.0.1/x", "https://127.0.0.1/x", false},
	} {
		u, _ := url.Parse(c.url)
		prefix, _ := url.Parse(c.prefix)
		if got := below(u, prefix); got != c.want {
			t.Errorf("below(%q, %q) = %v, want %v", c.url, c.prefix, got, c.want)
		}
	}
}
