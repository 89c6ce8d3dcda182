package clients_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"signpost/oidc"
	"signpost/oidc/clients"
)

var open = clients.Client{ID: oidc.ClientOpen, Kind: clients.Open}

func TestR13RedirectAllowed(t *testing.T) {
	t.Parallel()
	good := func(uri string) {
		t.Helper()
		if !open.RedirectAllowed(uri) {
			t.Errorf("RedirectAllowed(%q) = false, want true", uri)
		}
	}
	bad := func(uri string) {
		t.Helper()
		if open.RedirectAllowed(uri) {
			t.Errorf("RedirectAllowed(%q) = true, want false", uri)
		}
	}

	// RFC 8252, section 7.3: any port, both address families, any path.
	good("http://127.0.0.1/")
	good("http://127.0.0.1:1/")
	good("http://127.0.0.1:80/")
	good("http://127.0.0.1:49152/cb")
	good("http://127.0.0.1:65535/a/b/c")
	good("http://[::1]/")
	good("http://[::1]:49152/cb")
	good("http://127.0.0.1:8080/oauth2/callback-1_2~3.html")
	good("http://127.0.0.1:8080/a;b=c,d(e)'f'!$&*+:@")
	good("http://127.0.0.1:8080/...")
	good("http://127.0.0.1:8080/.well-known/x")
	good("http://127.0.0.1//cb") // the path begins with an empty segment: still this host
	good("http://127.0.0.1/@evil.test/")
	good("http://127.0.0.1/" + strings.Repeat("a", 512-len("http://127.0.0.1/")))

	// other hosts
	bad("http://localhost/")
	bad("http://localhost:49152/cb")
	bad("http://127.0.0.1.evil.test/")
	bad("http://127.0.0.1.evil.test:80/cb")
	bad("http://127.0.0.1evil.test/")
	bad("http://127.0.0.1./")
	bad("http://127.0.0.10/")
	bad("http://127.0.0.2/")
	bad("http://127.0.0.01/")
	bad("http://127.1/")
	bad("http://127.0.1/")
	bad("http://2130706433/")
	bad("http://0x7f000001/")
	bad("http://0x7f.0.0.1/")
	bad("http://0177.0.0.1/")
	bad("http://0/")
	bad("http://0.0.0.0/")
	bad("http://192.0.2.1/")
	bad("http://evil.test/")
	bad("http://evil.test/http://127.0.0.1/")
	bad("http://evil.test#127.0.0.1/")
	bad("http://①27.0.0.1/")
	bad("http://127。0。0。1/")
	bad("http://%31%32%37.0.0.1/")
	bad("http://127.0.0.1%2f/")
	bad("http://127.0.0.1%00.evil.test/")
	bad("http://127.0.0.1\x00.evil.test/")

	// forms of IPv6
	bad("http://::1/")
	bad("http://[::1/")
	bad("http://[::1]evil.test/")
	bad("http://[::1].evil.test/")
	bad("http://[::2]/")
	bad("http://[::]/")
	bad("http://[0:0:0:0:0:0:0:1]/")
	bad("http://[::0001]/")
	bad("http://[::1%25lo]/")
	bad("http://[::1%lo]/")
	bad("http://[::ffff:127.0.0.1]/")
	bad("http://[::127.0.0.1]/")
	bad("http://[127.0.0.1]/")

	// user information
	bad("http://127.0.0.1@evil.test/")
	bad("http://127.0.0.1:80@evil.test/")
	bad("http://127.0.0.1:x@evil.test/cb")
	bad("http://[::1]@evil.test/")
	bad("http://[::1]:80@evil.test/")
	bad("http://evil.test@127.0.0.1/")
	bad("http://@127.0.0.1/")
	bad("http://:@127.0.0.1/")

	// ports
	bad("http://127.0.0.1:/")
	bad("http://127.0.0.1:0/")
	bad("http://127.0.0.1:00/")
	bad("http://127.0.0.1:080/")
	bad("http://127.0.0.1:65536/")
	bad("http://127.0.0.1:99999/")
	bad("http://127.0.0.1:18446744073709551617/")
	bad("http://127.0.0.1:-1/")
	bad("http://127.0.0.1:+80/")
	bad("http://127.0.0.1:8 0/")
	bad("http://127.0.0.1: 80/")
	bad("http://127.0.0.1:0x50/")
	bad("http://127.0.0.1:80:80/")
	bad("http://127.0.0.1:８０/")
	bad("http://127.0.0.1:8_0/")
	bad("http://127.0.0.1:http/")
	bad("http://[::1]:0/")
	bad("http://[::1]:65536/")

	// schemes
	bad("https://127.0.0.1/")
	bad("https://127.0.0.1:49152/cb")
	bad("HTTP://127.0.0.1/")
	bad("Http://127.0.0.1/")
	bad("ftp://127.0.0.1/")
	bad("javascript:alert(1)")
	bad("javascript://127.0.0.1/%0aalert(1)")
	bad("data:text/html,x")
	bad("com.example.app:/cb")
	bad("com.example.app://127.0.0.1/")
	bad("urn:ietf:wg:oauth:2.0:oob")
	bad("http:127.0.0.1/")
	bad("http:/127.0.0.1/")
	bad("http:///127.0.0.1/")
	bad("http:////127.0.0.1/")
	bad("//127.0.0.1/")
	bad("127.0.0.1/")
	bad("/cb")

	// no path at all
	bad("http://127.0.0.1")
	bad("http://127.0.0.1:49152")
	bad("http://[::1]")

	// queries and fragments
	bad("http://127.0.0.1?")
	bad("http://127.0.0.1?/")
	bad("http://127.0.0.1#/")
	bad("http://127.0.0.1/?")
	bad("http://127.0.0.1/cb?x=1")
	bad("http://127.0.0.1/cb#")
	bad("http://127.0.0.1/cb#x")
	bad("http://127.0.0.1/cb?#")

	// paths
	bad("http://127.0.0.1/..")
	bad("http://127.0.0.1/.")
	bad("http://127.0.0.1/../cb")
	bad("http://127.0.0.1/a/../cb")
	bad("http://127.0.0.1/a/./cb")
	bad("http://127.0.0.1/a/..")
	bad("http://127.0.0.1/%2e%2e/cb")
	bad("http://127.0.0.1/%2E/cb")
	bad("http://127.0.0.1/a%2Fb")
	bad("http://127.0.0.1/%")
	bad("http://127.0.0.1/%41")
	bad(`http://127.0.0.1\`)
	bad(`http://127.0.0.1\@evil.test/`)
	bad(`http://127.0.0.1/\evil.test`)
	bad(`http:\\127.0.0.1/`)
	bad("http://127.0.0.1/ä")
	bad("http://127.0.0.1/\xff")
	bad(`http://127.0.0.1/"`)
	bad("http://127.0.0.1/<script>")
	bad("http://127.0.0.1/{x}")
	bad("http://127.0.0.1/a|b")
	bad("http://127.0.0.1/a^b`c")
	bad("http://127.0.0.1/*[x]")

	// white space and control characters, which browsers drop
	bad("")
	bad(" ")
	bad(" http://127.0.0.1/")
	bad("http://127.0.0.1/ ")
	bad("http://127.0.0.1/a b")
	bad("\thttp://127.0.0.1/")
	bad("http://127.0.0.1/\t")
	bad("ht\ttp://127.0.0.1/")
	bad("http://127.0.0.1\t.evil.test/")
	bad("http://127.0.0.1/\n")
	bad("http://127.0.0.1/\r\nLocation: http://evil.test/")
	bad("http://127.0.0.1/\x00")
	bad("http://127.0.0.1/\x7f")
	bad("http://127.0.0.1/\u2028")
	bad("http://127.0.0.1\u200b/")

	// lists of URIs, and too long ones
	bad("http://127.0.0.1/ http://evil.test/")
	bad("http://127.0.0.1/" + strings.Repeat("a", 513-len("http://127.0.0.1/")))
}

func TestRedirectName(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"http://127.0.0.1:49152/cb": "127.0.0.1:49152", "http://[::1]:8080/": "[::1]:8080", "http://127.0.0.1/a/b": "127.0.0.1", "http://localhost": "localhost",
		"https://mail.example.com/cb": "mail.example.com", "https://mail.example.com:8443/a:b": "mail.example.com:8443", "https://mail.example.com?x": "mail.example.com",
		"com.example.mail:/cb": "com.example.mail:", "oc://android.opencloud.eu": "oc:",
	} {
		if got := clients.RedirectName(uri); got != want {
			t.Errorf("RedirectName(%q) = %q, want %q", uri, got, want)
		}
	}
}

// browserSees returns a URI as a browser would read it, following
// https://url.spec.whatwg.org/#concept-basic-url-parser as far as it changes what is
// written: blanks around and tabs and line ends inside go, backslashes are slashes, scheme and host
// are lower case, and dot segments, escaped or not, are followed.
func browserSees(uri string) string {
	uri = strings.Trim(uri, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f ")
	uri = strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(uri)
	scheme, rest, _ := strings.Cut(uri, "://")
	host, tail, _ := strings.Cut(rest, "/")
	segments := []string{""}
	for segment := range strings.SplitSeq(tail, "/") {
		plain := strings.ReplaceAll(strings.ToLower(segment), "%2e", ".")
		if plain == "." || plain == ".." {
			continue
		}
		segments = append(segments, segment)
	}
	return strings.ToLower(scheme) + "://" + strings.ToLower(host) + strings.Join(segments, "/")
}

// FuzzRedirectAllowed looks at what is allowed with other eyes: the parser of
// net/url and what a browser would make of it agree that the answer goes to this device.
func FuzzRedirectAllowed(f *testing.F) {
	for _, uri := range []string{
		"http://127.0.0.1/", "http://127.0.0.1:49152/cb", "http://[::1]:49152/cb", "http://127.0.0.1:80@evil.test/", "http://127.0.0.1\\@evil.test/",
		"http://[::1]:080/", "http://127.0.0.1:65536/", "http://127.0.0.1/../x", "http://127.0.0.1/a?b#c", "http://127.0.0.1/%2e%2e/", "http://localhost/", "https://127.0.0.1/",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if !open.RedirectAllowed(uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatalf("%q: %v", uri, err)
		}
		if u.Scheme != "http" || u.User != nil || u.Opaque != "" || strings.ContainsAny(uri, "?#\\%") {
			t.Errorf("%q has scheme %q, user %v, opaque %q, or a query, fragment, backslash or escape", uri, u.Scheme, u.User, u.Opaque)
		}
		if address, err := netip.ParseAddr(u.Hostname()); err != nil || address.String() != "127.0.0.1" && address.String() != "::1" {
			t.Errorf("%q leads to %q", uri, u.Hostname())
		}
		if u.Port() != "" {
			if p, err := netip.ParseAddrPort(u.Host); err != nil || p.Port() == 0 || p.String() != u.Host {
				t.Errorf("%q has port %q", uri, u.Port())
			}
		}
		if !strings.HasPrefix(u.Path, "/") || u.String() != uri {
			t.Errorf("%q is written %q by net/url", uri, u)
		}
		if seen := browserSees(uri); seen != uri {
			t.Errorf("%q is %q to a browser", uri, seen)
		}
	})
}
