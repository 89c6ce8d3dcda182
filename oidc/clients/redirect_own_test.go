package clients_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/clients"
)

// TestR13BuiltInRedirects takes what the programs send: Thunderbird and OpenCloud's
// listen at a port that they choose when they start.
func TestR13BuiltInRedirects(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), realm(t, "example", nil)
	for id, uris := range map[string][]string{
		"thunderbird":      {"http://localhost", "http://localhost/", "http://localhost:49152", "http://localhost:49152/", "http://127.0.0.1:1/"},
		"OpenCloudDesktop": {"http://localhost:8080", "http://127.0.0.1:49152"},
		"OpenCloudAndroid": {"oc://android.opencloud.eu"},
		"OpenCloudIOS":     {"oc://ios.opencloud.eu"},
	} {
		client := find(t, c.Clients, r, id)
		for _, uri := range uris {
			if !client.RedirectAllowed(uri) {
				t.Errorf("%s: %s is not allowed", id, uri)
			}
			if client.Remembers(uri) {
				t.Errorf("%s: a consent that leads to %s is remembered", id, uri)
			}
		}
		for _, uri := range []string{
			"", "http://localhost/cb", "http://localhost:1/cb", "http://localhost.evil.test/", "http://localhost:80@evil.test/", "http://localhost@evil.test/", "http://localhost:0/", "http://localhost:", "http://localhost:1?x", "http://localhost:1#x",
			"https://localhost/", "http://LOCALHOST/", "http://localhost./", "http://[::1]/", "http://127.0.0.2/", "oc://evil", "oc:", "oc://android.opencloud.eu/", "oc://android.opencloud.eu:1", "oc://ios.opencloud.eu#", "http://localhost:1\\@evil.test/",
		} {
			if client.RedirectAllowed(uri) {
				t.Errorf("%s: %s is allowed", id, uri)
			}
		}
	}
	ios := find(t, c.Clients, r, "OpenCloudIOS")
	if !ios.PostLogoutRedirectAllowed("oc://ios.opencloud.eu") || ios.PostLogoutRedirectAllowed("oc://ios.opencloud.eu/") || ios.PostLogoutRedirectAllowed("") || open.PostLogoutRedirectAllowed("http://127.0.0.1/") {
		t.Error("a post-logout redirect URI is not compared exactly")
	}
}

// TestRFC9700RedirectURIsAreExact but for the port of a loopback address (RFC 9700, section 2.1).
func TestRFC9700RedirectURIsAreExact(t *testing.T) {
	t.Parallel()
	uris := []string{"https://app.example.com/cb", "http://127.0.0.1:8080/cb", "http://[::1]/cb", "com.example.app:/cb"}
	for _, kind := range []clients.Kind{clients.Fixed, clients.BuiltIn, clients.Registered, clients.URL} {
		c := clients.Client{ID: "x", Kind: kind, RedirectURIs: uris}
		for _, uri := range append(slices.Clone(uris), "http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://[::1]:65535/cb") {
			if !c.RedirectAllowed(uri) {
				t.Errorf("%s: %s is not allowed", kind, uri)
			}
		}
		for _, uri := range []string{
			"", "https://app.example.com/cb/", "https://app.example.com/cb?x=1", "https://app.example.com/cb#", "https://app.example.com:443/cb", "https://APP.example.com/cb", "https://app.example.com/./cb", "https://app.example.com/%63b",
			"https://app.example.com", "http://app.example.com/cb", "https://app.example.com.evil.test/cb", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/cb/", "http://127.0.0.1:8080/cb?x", "http://127.0.0.1:08080/cb", "http://127.0.0.1:65536/cb", "http://localhost:8080/cb", "http://[::1]:1/CB",
			"com.example.app:/cb2", "com.example.app://cb", "Com.Example.App:/cb", "com.example.app:/", "http://127.0.0.1:8080@evil.test/cb", "http://127.0.0.1:1\\@evil.test/cb",
		} {
			if c.RedirectAllowed(uri) {
				t.Errorf("%s: %s is allowed", kind, uri)
			}
		}
		if (clients.Client{ID: "x", Kind: kind}).RedirectAllowed("http://127.0.0.1/") {
			t.Errorf("%s: a client without redirect URIs has one", kind)
		}
	}
}

// TestR12RememberedOnlyAtAClaimedHTTPSRedirect, and never for who comes by itself.
func TestR12RememberedOnlyAtAClaimedHTTPSRedirect(t *testing.T) {
	t.Parallel()
	const claimed, foreign = "https://app.example.com/cb", "https://app.example.com/other"
	uris := []string{claimed, "http://127.0.0.1/cb", "http://localhost/cb", "com.example.app:/cb"}
	for _, kind := range []clients.Kind{clients.Open, clients.Fixed, clients.BuiltIn, clients.Registered, clients.URL} {
		for _, authentication := range []string{oidc.AuthNone, oidc.AuthSecretBasic, oidc.AuthPrivateKeyJWT} {
			c := clients.Client{ID: "x", Kind: kind, Host: "app.example.com", RedirectURIs: uris, Authentication: authentication}
			vouched := kind == clients.Fixed || kind == clients.BuiltIn || kind == clients.URL
			if got := c.Remembers(claimed); got != vouched {
				t.Errorf("%s, %s: Remembers(%s) = %v, want %v", kind, authentication, claimed, got, vouched)
			}
			for _, uri := range append(uris[1:], foreign, "") {
				if c.Remembers(uri) {
					t.Errorf("%s, %s: a consent that leads to %q is remembered", kind, authentication, uri)
				}
			}
		}
	}
}

// TestR15ProvedByOriginOrKey: only then is the host of the id shown as who asks.
func TestR15ProvedByOriginOrKey(t *testing.T) {
	t.Parallel()
	uris := []string{"https://app.example.com/cb", "http://127.0.0.1/cb", "com.example.app:/cb", "https://app.example.com.evil.test/cb"}
	c := clients.Client{ID: "https://app.example.com/c", Kind: clients.URL, Host: "app.example.com", RedirectURIs: uris, Authentication: oidc.AuthNone}
	for i, want := range []bool{true, false, false, false} {
		if got := c.Proved(uris[i], true); got != want {
			t.Errorf("Proved(%s) = %v, want %v", uris[i], got, want)
		}
	}
	c.Authentication = oidc.AuthPrivateKeyJWT
	for i, uri := range uris {
		if !c.Proved(uri, true) {
			t.Errorf("with a key that was shown: Proved(%s) = false", uri)
		}
		if c.Proved(uri, false) != (i == 0) {
			t.Errorf("with a key that was not shown: Proved(%s) = %v", uri, i != 0)
		}
	}
	if c.Proved("https://app.example.com/other", false) || c.Proved("", false) {
		t.Error("proved at a redirect URI that is not the client's")
	}
	for _, kind := range []clients.Kind{clients.Open, clients.Fixed, clients.BuiltIn, clients.Registered} {
		c.Kind = kind
		if c.Proved(uris[0], true) {
			t.Errorf("%s: its host is proved, and it has none", kind)
		}
	}
}

// FuzzRedirect: what is allowed is one of the client's own URIs up to the port, to
// net/url as well as to us, and a client that has none gets nothing.
func FuzzRedirect(f *testing.F) {
	own := []string{"http://localhost", "http://127.0.0.1/cb", "http://[::1]:7/a?b=c", "https://app.example.com/cb", "com.example.app:/cb", "oc://android.opencloud.eu"}
	for _, uri := range append(slices.Clone(own), "http://localhost:80@evil.test/", "http://127.0.0.1:1/cb", "http://localhost:1#x", "http://[::1]:8/a?b=c", "https://app.example.com:443/cb", "http://127.0.0.1\\:1/cb") {
		f.Add(uri)
	}
	c := clients.Client{ID: "x", Kind: clients.Registered, RedirectURIs: own}
	f.Fuzz(func(t *testing.T, uri string) {
		if (clients.Client{Kind: clients.Registered}).RedirectAllowed(uri) {
			t.Errorf("%q is allowed to a client without redirect URIs", uri)
		}
		if !c.RedirectAllowed(uri) || slices.Contains(own, uri) {
			return
		}
		sent, err := url.Parse(uri)
		if err != nil {
			t.Fatalf("%q is allowed: %v", uri, err)
		}
		seen := strings.TrimSuffix(browserSees(uri), "/") // a browser adds the slash that is missing
		if sent.User != nil || sent.Fragment != "" || sent.String() != uri || seen != strings.TrimSuffix(uri, "/") {
			t.Errorf("%q is allowed, and others read it as %s or %s", uri, sent, seen)
		}
		same := func(mine string) bool {
			o, err := url.Parse(mine)
			return err == nil && o.Scheme == "http" && o.Scheme == sent.Scheme && o.Hostname() == sent.Hostname() && o.EscapedPath() == sent.EscapedPath() && o.RawQuery == sent.RawQuery
		}
		if !slices.ContainsFunc(own, same) {
			t.Errorf("%q is allowed, and is none of the client's own", uri)
		}
	})
}

// FuzzRegisteredRedirect: whatever redirect URI can be registered leads to this device,
// for net/url and for a browser too.
func FuzzRegisteredRedirect(f *testing.F) {
	c, r := newRig(f), realm(f, "example", func(*directory.Tenant) {})
	for _, uri := range []string{"com.example:/cb", "com.example://cb", "com.example:/..", "http://127.0.0.1/", "https://example.com/", "a.b:/", "com.example:/@x", "javascript:/a.b"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if _, err := c.Register(t.Context(), r, []byte(redirects(uri))); err != nil || open.RedirectAllowed(uri) {
			return // the open client has a fuzz test of its own
		}
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatalf("%q registered: %v", uri, err)
		}
		if u.Host != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || u.String() != uri ||
			!strings.Contains(u.Scheme, ".") || u.Scheme+":"+u.EscapedPath() != uri {
			t.Errorf("%q registered, and is %+v to net/url", uri, u)
		}
	})
}
