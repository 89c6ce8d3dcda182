package webfinger_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unicode"

	"signpost/webfinger"
)

func TestParseResource(t *testing.T) {
	t.Parallel()
	good := func(raw string, want webfinger.Resource) {
		t.Helper()
		want.Raw = raw
		got, err := webfinger.ParseResource(raw)
		if err != nil || got != want {
			t.Errorf("ParseResource(%q) = %+v, %v; want %+v", raw, got, err, want)
		}
	}
	account := func(scheme, user, domain string) webfinger.Resource {
		return webfinger.Resource{Scheme: scheme, User: user, Domain: domain, Host: domain}
	}
	url := func(scheme, domain, host, path string) webfinger.Resource {
		return webfinger.Resource{Scheme: scheme, Domain: domain, Host: host, Path: path}
	}

	good("acct:alice@example.com", account("acct", "alice", "example.com"))
	good("ACCT:Alice@EXAMPLE.com", account("acct", "Alice", "example.com")) // only scheme and domain are case-folded
	good("mailto:alice@example.com", account("mailto", "alice", "example.com"))
	good("acct:alice@example.com.", account("acct", "alice", "example.com"))
	good("acct:alice%40gmail.com@example.com", account("acct", "alice@gmail.com", "example.com"))
	good("acct:alice+tag!$&'()*,;=-._~@example.com", account("acct", "alice+tag!$&'()*,;=-._~", "example.com"))
	good("mailto:a%2Cb@example.com", account("mailto", "a,b", "example.com"))
	good("acct:%C3%A9mile@example.com", account("acct", "émile", "example.com"))
	good("acct:%22a%20b%22@example.com", account("acct", `"a b"`, "example.com"))
	good("acct:a@b%C3%BCcher.example", account("acct", "a", "xn--bcher-kva.example"))
	good("acct:a@xn--bcher-kva.example", account("acct", "a", "xn--bcher-kva.example"))
	good("acct:a@localhost", account("acct", "a", "localhost"))
	good("https://example.com", url("https", "example.com", "example.com", ""))
	good("https://example.com/", url("https", "example.com", "example.com", ""))
	good("HTTPS://Example.COM./", url("https", "example.com", "example.com", ""))
	good("https://example.com:443/", url("https", "example.com", "example.com", ""))
	good("https://example.com:8443/t/one", url("https", "example.com", "example.com:8443", "/t/one"))
	good("https://example.com/t/one/", url("https", "example.com", "example.com", "/t/one/"))
	good("https://[2001:DB8::1]/", url("https", "2001:db8::1", "[2001:db8::1]", ""))
	good("http://127.0.0.1:8080/t/one", url("http", "127.0.0.1", "127.0.0.1:8080", "/t/one"))
	good("http://127.0.0.1:80/", url("http", "127.0.0.1", "127.0.0.1", ""))
	good("http://[::1]:8080", url("http", "::1", "[::1]:8080", ""))
}

func TestParseResourceRefuses(t *testing.T) {
	t.Parallel()
	bad := func(raw, because string) {
		t.Helper()
		got, err := webfinger.ParseResource(raw)
		if !errors.Is(err, webfinger.ErrResource) || !strings.Contains(err.Error(), because) {
			t.Errorf("ParseResource(%q) = %+v, %v; want ErrResource with %q", raw, got, err, because)
		}
		if got != (webfinger.Resource{}) {
			t.Errorf("ParseResource(%q) returned %+v with its error", raw, got)
		}
	}

	bad("", "no scheme")
	bad("alice@example.com", "no scheme")
	bad("example.com", "no scheme")
	bad("alice@example.com:8080", "no scheme")
	bad("ftp://example.com/", "none of acct, mailto, https")
	bad("example.com:8080", "none of acct, mailto, https")
	bad("acct:", "no @")
	bad("acct:alice", "no @")
	bad("acct:@example.com", "no name before")
	bad("acct:alice@", "not a domain name")
	bad("acct:alice@gmail.com@example.com", "%40")
	bad("acct:a/b@example.com", "percent-encoded")
	bad("acct:a:b@example.com", "percent-encoded")
	bad("acct:alice@example.com/", "not a domain name")
	bad("acct:alice@example.com?x=y", "not a domain name")
	bad("acct:alice@example.com#x", "not a domain name")
	bad("acct:alice@example.com:443", "not a domain name")
	bad("acct:alice@example..com", "not a domain name")
	bad("acct:alice@example.com..", "not a domain name")
	bad("acct:alice@.", "not a domain name")
	bad("acct:alice@-example.com", "not a domain name")
	bad("acct:alice@exa_mple.com", "not a domain name")
	bad("acct:alice@xn--a.example", "not a domain name")
	bad("acct:alice@exam%00ple.com", "control character")
	bad("acct:alice@exam%2Eple%40.com", "not a domain name")
	bad("acct:alice@[::1]", "not a domain name")
	bad("acct:alice@"+strings.Repeat("a", 64)+".example", "not a domain name")
	bad("acct:alice@"+strings.Repeat("a.", 127)+"example", "not a domain name")
	bad("mailto:a,b@example.com", "more than one address")
	bad("mailto:a@example.com,b@example.com", "%40")
	bad("mailto:a@example.com?subject=x", "not a domain name")
	bad("acct:ali ce@example.com", "may not hold")
	bad("acct:alice@example.com\n", "may not hold")
	bad("acct:al\x00ice@example.com", "may not hold")
	bad("acct:al\"ice@example.com", "may not hold")
	bad("acct:al\\ice@example.com", "may not hold")
	bad("acct:émile@example.com", "may not hold") // has to be percent-encoded
	bad("acct:a@bücher.example", "may not hold")  // likewise
	bad("acct:alice%0Ax@example.com", "control character")
	bad("acct:alice%7f@example.com", "control character")
	bad("acct:alice%C2%85@example.com", "control character")
	bad("acct:alice%FF@example.com", "not UTF-8")
	bad("acct:alice%@example.com", "hexadecimal")
	bad("acct:alice%4@example.com", "hexadecimal")
	bad("acct:alice@example.com%4", "hexadecimal")
	bad("acct:alice%zz@example.com", "hexadecimal")
	bad("https:example.com", "no //")
	bad("https://", "not a domain name")
	bad("https:///path", "not a domain name")
	bad("https://example.com/?x=y", "query or fragment")
	bad("https://example.com?", "query or fragment")
	bad("https://example.com/#x", "query or fragment")
	bad("https://alice@example.com/", "user information")
	bad("https://example.com:0/", "port")
	bad("https://example.com:/", "port")
	bad("https://example.com:65536/", "port")
	bad("https://example.com:+443/", "port")
	bad("https://example.com:0443/", "port")
	bad("https://example.com/[", "percent-encoded")
	bad("https://[::1/", "IPv6")
	bad("https://[127.0.0.1]/", "IPv6")
	bad("https://[::1]x/", "IPv6")
	bad("https://[fe80::1%25eth0]/", "IPv6")
	bad("http://example.com/", "loopback")
	bad("http://localhost:8080/", "loopback")
	bad("http://127.1/", "loopback")
	bad("http://127.0.0.1.example.com/", "loopback")
	bad("acct:"+strings.Repeat("a", 512)+"@example.com", "longer than 512 bytes")
}

// Somebody's address must not reach a log by way of an error.
func TestParseResourceErrorsHideTheAddress(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"alice@example.com", "acct:alice@example..com", "acct:alice@gmail.com@example.com", "acct:alice%zz@example.com",
		"https://alice@example.com/", "mailto:alice,bob@example.com", "acct:al ice@example.com", "acct:alice@xn--a.example",
	} {
		_, err := webfinger.ParseResource(raw)
		if err == nil || strings.Contains(err.Error(), "alice") || strings.Contains(err.Error(), "example") {
			t.Errorf("ParseResource(%q) = %v, want an error without any part of it", raw, err)
		}
	}
}

func FuzzParseResource(f *testing.F) {
	for _, seed := range []string{
		"acct:alice@example.com", "ACCT:alice%40gmail.com@Example.com.", "mailto:a%2Cb@example.com", "https://example.com:8443/t/one",
		"http://[::1]:8080/", "acct:a@b%C3%BCcher.example", "acct:%C3%A9@xn--bcher-kva.example", "https://[2001:DB8::1]/", "alice@example.com",
		"acct:a@faß.example", "acct:a@fa%C3%9F.example", "acct:a@%E3%80%82", "acct:a@a--b.example",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		first, err := webfinger.ParseResource(raw)
		if err != nil {
			if !errors.Is(err, webfinger.ErrResource) {
				t.Fatalf("ParseResource(%q): %v is not ErrResource", raw, err)
			}
			return
		}
		printed := first.String()
		second, err := webfinger.ParseResource(printed)
		second.Raw = raw
		if len(printed) <= webfinger.MaxResource && (err != nil || second != first) {
			t.Errorf("%q parses to %+v, prints as %q, parses again to %+v, %v", raw, first, printed, second, err)
		}
		checkDomain(t, raw, first)
		checkRFC7565(t, raw, first)
	})
}

// checkDomain demands A-labels in lower case, or the IP address of a URL.
func checkDomain(t *testing.T, raw string, r webfinger.Resource) {
	t.Helper()
	if _, err := netip.ParseAddr(r.Domain); err == nil {
		return
	}
	again, err := webfinger.ParseDomain(r.Domain)
	if err != nil || again != r.Domain {
		t.Errorf("%q has the domain %q, which parses to %q, %v", raw, r.Domain, again, err)
	}
	for label := range strings.SplitSeq(r.Domain, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q has the domain %q with the label %q", raw, r.Domain, label)
		}
	}
}

// checkRFC7565 demands what the grammar of section 7 does, said another way
// than the parser says it.
func checkRFC7565(t *testing.T, raw string, r webfinger.Resource) {
	t.Helper()
	if strings.ContainsFunc(r.User, unicode.IsControl) {
		t.Errorf("%q has a control character in the user part", raw)
	}
	if r.Scheme != webfinger.SchemeAcct {
		return
	}
	rest := raw[len("acct:"):]
	if strings.Count(rest, "@") != 1 || strings.ContainsAny(rest, " \"<>\\^`{|}:/?#[]") {
		t.Errorf("%q was accepted against RFC 7565, section 7", raw)
	}
}

func BenchmarkParseResource(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := webfinger.ParseResource("acct:alice@example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
