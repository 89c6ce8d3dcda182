package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"signpost/client"
)

func TestDiscover(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	for _, typed := range []string{address, " alice@example.com\n", "alice@EXAMPLE.com.", "acct:alice@example.com", "ACCT:alice@example.com"} {
		d, err := p.client.Discover(t.Context(), typed)
		if err != nil {
			t.Errorf("Discover(%q): %v", typed, err)
			continue
		}
		got := []string{d.Address, d.Issuer, d.ClientID, d.Scope, d.ConfigurationURL, d.ScopesURL, d.Metadata.TokenEndpoint}
		want := []string{
			address, issuer, "open", "openid offline_access urn:ietf:params:oauth:scope:mail",
			issuer + "/configuration", issuer + "/scopes", issuer + "/token",
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("Discover(%q) = %q, want %q", typed, got, want)
		}
		if len(d.ScopeDocument.Services) != 1 || d.ScopeDocument.Services[0].ID != "mail" {
			t.Errorf("Discover(%q): scope document %+v, want the service mail", typed, d.ScopeDocument)
		}
	}
}

// RFC 7033, section 4.1: resource once, percent-encoded; every relation that is wanted.
func TestDiscoverAsksForResourceAndRelations(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		address:                         "acct:alice@example.com",
		"alice@gmail.com@example.com":   "acct:alice%40gmail.com@example.com",
		"äpfel&birnen@mail.example.com": "acct:%C3%A4pfel&birnen@mail.example.com",
	} {
		p := newProvider(t)
		host := typed[strings.LastIndexByte(typed, '@')+1:]
		p.set(host+"/.well-known/webfinger", reply("application/json", jrd()))
		if _, err := p.client.Discover(t.Context(), typed); err != nil {
			t.Errorf("Discover(%q): %v", typed, err)
			continue
		}
		asked := p.requests(host + "/.well-known/webfinger")[0]
		if got := asked.Form["resource"]; !reflect.DeepEqual(got, []string{want}) {
			t.Errorf("Discover(%q): resource %q, want %q", typed, got, want)
		}
		rels := []string{"http://openid.net/specs/connect/1.0/issuer", "urn:signpost:rel:scopes", "urn:signpost:rel:configuration"}
		if got := asked.Form["rel"]; !reflect.DeepEqual(got, rels) {
			t.Errorf("Discover(%q): rel %q, want %q", typed, got, rels)
		}
	}
}

func TestDiscoverRefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	for _, typed := range []string{
		"", "alice", "@example.com", "alice@", "alice@exa mple.com", "alice@example..com", "alice@example.com/path",
		"acct:alice", "acct:@example.com", "acct:a@b@example.com", "alice@example.com:8443", "al\x00ice@example.com",
	} {
		if _, err := p.client.Discover(t.Context(), typed); !errors.Is(err, client.ErrAddress) {
			t.Errorf("Discover(%q) = %v, want ErrAddress", typed, err)
		}
	}
	if got := len(p.requests(webfingerPage)); got != 0 {
		t.Errorf("%d requests went out, want none", got)
	}
}

func TestDiscoverGoodAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		arrange func(*provider)
		check   func(client.Discovery) bool
	}{
		{"metadata only where OpenID puts it", func(p *provider) {
			p.set("id.example.com/.well-known/openid-configuration", reply("application/json", metadata()))
			p.set(metadataPage, nil)
		}, func(d client.Discovery) bool { return d.Metadata.Issuer == issuer }},
		{"a redirect at the first place, metadata at the second", func(p *provider) {
			p.set("id.example.com/.well-known/openid-configuration", reply("application/json; charset=utf-8", metadata()))
			p.set(metadataPage, redirect("https://evil.example.com/"))
		}, func(d client.Discovery) bool { return d.Metadata.Issuer == issuer }},
		{"an issuer with a path: inserted (RFC 8414, section 3.1)", func(p *provider) {
			p.set(webfingerPage, reply("application/jrd+json", jrd("href", issuer+"/t/example")))
			p.set(metadataPage+"/t/example", reply("application/json", metadata("issuer", issuer+"/t/example")))
		}, func(d client.Discovery) bool { return d.Issuer == issuer+"/t/example" }},
		{"an issuer with a path and a slash: appended", func(p *provider) {
			p.set(webfingerPage, reply("application/jrd+json", jrd("href", issuer+"/t/example/")))
			p.set("id.example.com/t/example/.well-known/openid-configuration", reply("application/json", metadata("issuer", issuer+"/t/example/")))
		}, func(d client.Discovery) bool { return d.Issuer == issuer+"/t/example/" }},
		{"an issuer link without properties", func(p *provider) {
			p.set(webfingerPage, reply("application/json", jrd("properties", nil)))
		}, func(d client.Discovery) bool { return d.Scope == "openid email" && d.ClientID == "" }},
		{"properties that are null", func(p *provider) {
			p.set(webfingerPage, reply("application/json", jrd("properties", object{"urn:signpost:oauth:scope": nil, "urn:signpost:oauth:client_id": nil})))
		}, func(d client.Discovery) bool { return d.Scope == "openid email" && d.ClientID == "" }},
		{"the issuer link alone", func(p *provider) {
			p.set(webfingerPage, reply("application/json", `{"links":[{"rel":"http://openid.net/specs/connect/1.0/issuer","href":"`+issuer+`"}]}`))
		}, func(d client.Discovery) bool { return d.ConfigurationURL == "" && d.ScopesURL == "" }},
		{"three redirects to https", func(p *provider) {
			p.set(webfingerPage, redirect("https://www.example.com/.well-known/webfinger"))
			p.set("www.example.com/.well-known/webfinger", redirect("/one"))
			p.set("www.example.com/one", redirect("//id.example.com/two"))
			p.set("id.example.com/two", reply("application/jrd+json", jrd()))
		}, func(d client.Discovery) bool { return d.Issuer == issuer }},
		{"endpoints on another host", func(p *provider) {
			p.set(metadataPage, reply("application/json", metadata("token_endpoint", "https://tokens.example.com/token")))
		}, func(d client.Discovery) bool { return d.Metadata.TokenEndpoint == "https://tokens.example.com/token" }},
	} {
		p := newProvider(t)
		c.arrange(p)
		d, err := p.client.Discover(t.Context(), address)
		if err != nil || !c.check(d) {
			t.Errorf("%s: Discover = %+v, %v", c.name, d, err)
		}
	}
}

func TestDiscoverBadAnswers(t *testing.T) {
	t.Parallel()
	webfinger := func(page http.HandlerFunc) func(*provider) {
		return func(p *provider) { p.set(webfingerPage, page) }
	}
	issuerLink := func(changes ...any) func(*provider) {
		return webfinger(reply("application/jrd+json", jrd(changes...)))
	}
	issuerMetadata := func(changes ...any) func(*provider) {
		return func(p *provider) { p.set(metadataPage, reply("application/json", metadata(changes...))) }
	}
	link := func(rel, href string) func(*provider) {
		return webfinger(reply("application/jrd+json", text(object{"links": []any{
			object{"rel": "http://openid.net/specs/connect/1.0/issuer", "href": issuer},
			object{"rel": rel, "href": href},
		}})))
	}
	const padding = 1 << 20
	for _, c := range []struct {
		name    string
		arrange func(*provider)
		want    error
	}{
		{"WebFinger 404", webfinger(http.NotFound), client.ErrNotServed},
		{"WebFinger 400", webfinger(replyStatus(400, "text/plain", "")), client.ErrNotServed},
		{"WebFinger 401", webfinger(replyStatus(401, "text/plain", "")), client.ErrNotServed},
		{"WebFinger 429", webfinger(replyStatus(429, "text/plain", "")), client.ErrUnreachable},
		{"WebFinger 503", webfinger(replyStatus(503, "text/plain", "")), client.ErrUnreachable},
		{"WebFinger 204", webfinger(replyStatus(204, "application/jrd+json", "")), client.ErrMalformed},
		{"WebFinger as HTML", webfinger(reply("text/html", jrd())), client.ErrMalformed},
		{"WebFinger without a media type", webfinger(reply("", jrd())), client.ErrMalformed},
		{"WebFinger too long", webfinger(reply("application/jrd+json", strings.Repeat(" ", padding)+jrd())), client.ErrMalformed},
		{"WebFinger not JSON", webfinger(reply("application/jrd+json", "<html>")), client.ErrMalformed},
		{"links as an object", webfinger(reply("application/jrd+json", `{"links":{}}`)), client.ErrMalformed},
		{"rel as a number", webfinger(reply("application/jrd+json", `{"links":[{"rel":1}]}`)), client.ErrMalformed},
		{"no links", webfinger(reply("application/jrd+json", `{}`)), client.ErrNotServed},
		{"no issuer link", issuerLink("rel", "other"), client.ErrNotServed},
		{"redirect to http", webfinger(redirect("http://example.com/.well-known/webfinger")), client.ErrInsecure},
		{"redirect to http at the loopback address", webfinger(redirect("http://127.0.0.1/alice@example.com")), client.ErrInsecure},
		{"redirect with user information", webfinger(redirect("https://user@example.com/")), client.ErrMalformed},
		{"redirect to no URL", webfinger(redirect("https://exa mple.com/?alice@example.com%zz")), client.ErrMalformed},
		{"redirects without end", webfinger(redirect("https://example.com/.well-known/webfinger?resource=alice@example.com")), client.ErrMalformed},

		{"issuer without href", issuerLink("href", nil), client.ErrMalformed},
		{"issuer by http", issuerLink("href", "http://id.example.com"), client.ErrInsecure},
		{"issuer by http at the loopback address", issuerLink("href", "http://127.0.0.1:1"), client.ErrInsecure},
		{"issuer with a query", issuerLink("href", issuer+"?a=b"), client.ErrMalformed},
		{"issuer with a fragment", issuerLink("href", issuer+"#"), client.ErrMalformed},
		{"issuer with user information", issuerLink("href", "https://id.example.com@evil.example.com"), client.ErrMalformed},
		{"issuer of another scheme", issuerLink("href", "ftp://id.example.com"), client.ErrMalformed},
		{"issuer that is no URL", issuerLink("href", "https://%"), client.ErrMalformed},
		{"scope with a quote", issuerLink("properties", object{"urn:signpost:oauth:scope": `a"b`}), client.ErrMalformed},
		{"scope with two spaces", issuerLink("properties", object{"urn:signpost:oauth:scope": "a  b"}), client.ErrMalformed},

		{"metadata nowhere", func(p *provider) { p.set(metadataPage, nil) }, client.ErrMalformed},
		{"metadata 502", func(p *provider) { p.set(metadataPage, replyStatus(502, "text/html", "")) }, client.ErrUnreachable},
		{"metadata by redirect", func(p *provider) {
			p.set(metadataPage, redirect("https://id.example.com/moved"))
			p.set("id.example.com/moved", reply("application/json", metadata()))
		}, client.ErrMalformed},
		{"metadata as text", func(p *provider) { p.set(metadataPage, reply("text/plain", metadata())) }, client.ErrMalformed},
		{"metadata too long", issuerMetadata("x", strings.Repeat("x", padding)), client.ErrMalformed},
		{"metadata of another issuer", issuerMetadata("issuer", "https://evil.example.com"), client.ErrIssuerMismatch},
		{"metadata of the issuer with a slash", issuerMetadata("issuer", issuer+"/"), client.ErrIssuerMismatch},
		{"metadata of the issuer in capitals", issuerMetadata("issuer", "https://ID.example.com"), client.ErrIssuerMismatch},
		{"metadata without issuer", issuerMetadata("issuer", nil), client.ErrIssuerMismatch},
		{"metadata with an array as issuer", issuerMetadata("issuer", []string{issuer}), client.ErrMalformed},
		{"scopes_supported as a string", issuerMetadata("scopes_supported", "openid"), client.ErrMalformed},
		{"scopes_supported with a space inside", issuerMetadata("scopes_supported", []string{"openid email"}), client.ErrMalformed},
		{"iss parameter as a string", issuerMetadata("authorization_response_iss_parameter_supported", "true"), client.ErrMalformed},
		{"no token endpoint", issuerMetadata("token_endpoint", nil), client.ErrMalformed},
		{"no authorization endpoint", issuerMetadata("authorization_endpoint", nil), client.ErrMalformed},
		{"token endpoint by http", issuerMetadata("token_endpoint", "http://id.example.com/token"), client.ErrInsecure},
		{"token endpoint by http at the loopback address", issuerMetadata("token_endpoint", "http://127.0.0.1/token"), client.ErrInsecure},
		{"authorization endpoint of another scheme", issuerMetadata("authorization_endpoint", "javascript:alert(1)"), client.ErrMalformed},
		{"keys by http", issuerMetadata("jwks_uri", "http://id.example.com/jwks"), client.ErrInsecure},

		{"configuration on another host", link("urn:signpost:rel:configuration", "https://evil.example.com/configuration"), client.ErrForeignHost},
		{"configuration on another port", link("urn:signpost:rel:configuration", issuer+":8443/configuration"), client.ErrForeignHost},
		{"configuration by http", link("urn:signpost:rel:configuration", "http://id.example.com/configuration"), client.ErrInsecure},
		{"scope document on another host", link("urn:signpost:rel:scopes", "https://evil.example.com/scopes"), client.ErrForeignHost},
		{"scope document 404", link("urn:signpost:rel:scopes", issuer+"/nothing"), client.ErrMalformed},
		{"scope document not JSON", func(p *provider) { p.set(scopesPage, reply("application/json", "[")) }, client.ErrMalformed},
		{"scope document by redirect", func(p *provider) { p.set(scopesPage, redirect("https://evil.example.com/")) }, client.ErrMalformed},
	} {
		p := newProvider(t)
		c.arrange(p)
		_, err := p.client.Discover(t.Context(), address)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: Discover = %v, want %v", c.name, err, c.want)
			continue
		}
		if strings.Contains(err.Error(), "alice") {
			t.Errorf("%s: the error holds the address: %v", c.name, err)
		}
		if got := len(p.requests("evil.example.com/")); got != 0 {
			t.Errorf("%s: %d requests went to another host", c.name, got)
		}
	}
}

func TestDiscoverFollowsAtMostThreeRedirects(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.set(webfingerPage, redirect("https://example.com/.well-known/webfinger"))
	if _, err := p.client.Discover(t.Context(), address); !errors.Is(err, client.ErrMalformed) {
		t.Errorf("Discover = %v, want ErrMalformed", err)
	}
	if got := len(p.requests(webfingerPage)); got != 4 {
		t.Errorf("%d requests, want 4", got)
	}
}

// TestDiscoverAtServer: Server replaces DNS, and http is for literal loopback addresses.
func TestDiscoverAtServer(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("/.well-known/webfinger", reply("application/jrd+json", text(object{"links": []any{
		object{"rel": "http://openid.net/specs/connect/1.0/issuer", "href": server.URL},
	}})))
	mux.HandleFunc("/.well-known/oauth-authorization-server", reply("application/json",
		metadata("issuer", server.URL, "authorization_endpoint", server.URL+"/a", "token_endpoint", server.URL+"/t", "jwks_uri", server.URL+"/j")))

	for _, base := range []string{server.URL, server.URL + "/"} {
		c := &client.Client{Server: base}
		d, err := c.Discover(t.Context(), address)
		if err != nil || d.Issuer != server.URL {
			t.Errorf("Server %q: Discover = %+v, %v", base, d, err)
		}
	}
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for base, want := range map[string]error{
		"http://localhost:" + port: client.ErrInsecure,
		"http://example.com":       client.ErrInsecure,
		"http://0.0.0.0:" + port:   client.ErrInsecure,
		"http://127.0.0.1@a.b":     client.ErrMalformed,
		"127.0.0.1:" + port:        nil,
		"file:///":                 client.ErrMalformed,
		server.URL + "/path":       nil,
		server.URL + "?a=b":        nil,
	} {
		c := &client.Client{Server: base}
		if _, err := c.Discover(t.Context(), address); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("Server %q: Discover = %v, want %v", base, err, want)
		}
	}
}

// A redirect of WebFinger goes to https only, even from a loopback server
// (RFC 7033, section 4.2).
func TestDiscoverAtServerRefusesRedirectToHTTP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(redirect("http://127.0.0.1/.well-known/webfinger"))
	t.Cleanup(server.Close)
	c := &client.Client{Server: server.URL}
	if _, err := c.Discover(t.Context(), address); !errors.Is(err, client.ErrInsecure) {
		t.Errorf("Discover = %v, want ErrInsecure", err)
	}
}

// failing is a transport that never gets through.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestDiscoverWithoutConnection(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want error
	}{
		{"no such host", t.Context(), &net.DNSError{Err: "no such host", Name: "example.com", IsNotFound: true}, client.ErrNotServed},
		{"DNS is away", t.Context(), &net.DNSError{Err: "server misbehaving", Name: "example.com", IsTemporary: true}, client.ErrUnreachable},
		{"nobody listens", t.Context(), &net.OpError{Op: "dial", Err: errors.New("connection refused")}, client.ErrUnreachable},
		{"given up", cancelled, context.Canceled, context.Canceled},
	} {
		sdk := &client.Client{HTTP: &http.Client{Transport: failing{c.err}}}
		_, err := sdk.Discover(c.ctx, address)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: Discover = %v, want %v", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "alice") {
			t.Errorf("%s: the error holds the address: %v", c.name, err)
		}
	}
}
