package server_test

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/webfinger"
)

// finger is the URL of a WebFinger request with the given parameters, name and value in turn.
func finger(base string, nameValues ...string) string {
	var pairs []string
	for i := 0; i < len(nameValues); i += 2 {
		pairs = append(pairs, nameValues[i]+"="+url.QueryEscape(nameValues[i+1]))
	}
	return base + webfinger.Path + "?" + strings.Join(pairs, "&")
}

// rels returns the relations of an answer's links, in order.
func rels(t testing.TB, p page) []string {
	t.Helper()
	var raw struct {
		Links []webfinger.Link `json:"links"`
	}
	p.json(t, &raw)
	if raw.Links == nil {
		t.Errorf("links is absent or null: %s", p.body)
	}
	found := []string{}
	for _, link := range raw.Links {
		found = append(found, link.Rel)
	}
	return found
}

var publicRels = []string{oidc.RelIssuer, webfinger.RelScopes, webfinger.RelConfiguration}

func TestWebFingerAnswersEveryFormOfAResource(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for resource, issuer := range map[string]string{
		"acct:alice@example.test":             s.URL,
		"ACCT:alice@example.test":             s.URL,
		"acct:alice@EXAMPLE.Test":             s.URL,
		"acct:alice@example.test.":            s.URL,
		"acct:al%C3%ADce@example.test":        s.URL,
		"acct:alice%40gmail.com@example.test": s.URL, // a foreign login name
		"mailto:alice@example.test":           s.URL,
		"https://example.test":                s.URL,
		"https://example.test/":               s.URL,
		"https://example.test:443/":           s.URL,
		"HTTPS://Example.Test":                s.URL,
		s.URL:                                 s.URL, // the issuer itself
		s.URL + "/":                           s.URL,
		"acct:carol@other.test":               s.OtherURL(),
		s.OtherURL():                          s.OtherURL(),
		s.OtherURL() + "/":                    s.OtherURL(),
	} {
		p := ask(t, http.MethodGet, finger(s.URL, "resource", resource))
		if p.status != http.StatusOK {
			t.Errorf("resource %q: got %d, want 200: %s", resource, p.status, p.body)
			continue
		}
		var jrd webfinger.JRD
		p.json(t, &jrd)
		if jrd.Subject != resource {
			t.Errorf("resource %q: subject %q, want it as sent", resource, jrd.Subject)
		}
		if got := rels(t, p); !slices.Equal(got, publicRels) {
			t.Errorf("resource %q: links %v, want %v", resource, got, publicRels)
			continue
		}
		if got := jrd.Links[0].Href; got != issuer {
			t.Errorf("resource %q: issuer %q, want %q", resource, got, issuer)
		}
	}
}

func TestWebFingerLinksSayWhereToGoNext(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, at := range []struct{ issuer, resource, scope string }{
		{s.URL, "acct:alice@example.test", allScopes},
		{s.OtherURL(), "acct:carol@other.test", "openid offline_access " + mailScope},
	} {
		var jrd webfinger.JRD
		ask(t, http.MethodGet, finger(s.URL, "resource", at.resource)).json(t, &jrd)
		want := []webfinger.Link{
			{Rel: oidc.RelIssuer, Href: at.issuer, Properties: webfinger.Properties{
				webfinger.PropertyScope: &at.scope, webfinger.PropertyClientID: new(oidc.ClientOpen)}},
			{Rel: webfinger.RelScopes, Type: "application/json", Href: at.issuer + "/scopes"},
			{Rel: webfinger.RelConfiguration, Type: "application/json", Href: at.issuer + "/configuration"},
		}
		if !reflect.DeepEqual(jrd.Links, want) {
			t.Errorf("%s: links %+v, want %+v", at.resource, jrd.Links, want)
		}
		// A link is published only when what it points to answers.
		if got := ask(t, http.MethodGet, jrd.Links[1].Href).status; got != http.StatusOK {
			t.Errorf("GET %s: %d, want 200", jrd.Links[1].Href, got)
		}
		if got := ask(t, http.MethodGet, jrd.Links[2].Href).status; got != http.StatusUnauthorized {
			t.Errorf("GET %s without a token: %d, want 401", jrd.Links[2].Href, got)
		}
	}
}

func TestRFC7033Section4_3RelFiltersLinks(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for name, c := range map[string]struct{ asked, want []string }{
		"one":                    {[]string{webfinger.RelScopes}, []string{webfinger.RelScopes}},
		"issuer":                 {[]string{oidc.RelIssuer}, []string{oidc.RelIssuer}},
		"several, other order":   {[]string{webfinger.RelConfiguration, oidc.RelIssuer}, []string{oidc.RelIssuer, webfinger.RelConfiguration}},
		"unknown":                {[]string{"urn:example:unknown"}, []string{}},
		"unknown and known":      {[]string{"urn:example:unknown", webfinger.RelScopes}, []string{webfinger.RelScopes}},
		"the same twice":         {[]string{oidc.RelIssuer, oidc.RelIssuer}, []string{oidc.RelIssuer}},
		"another case":           {[]string{strings.ToUpper(webfinger.RelScopes)}, []string{}}, // compared as plain strings
		"empty":                  {[]string{""}, []string{}},
		"every one":              {publicRels, publicRels},
		"a hundred unknown ones": {slices.Repeat([]string{"x"}, 100), []string{}},
	} {
		query := []string{"resource", "acct:alice@example.test"}
		for _, rel := range c.asked {
			query = append(query, "rel", rel)
		}
		p := ask(t, http.MethodGet, finger(s.URL, query...))
		if got := rels(t, p); p.status != http.StatusOK || !slices.Equal(got, c.want) {
			t.Errorf("rel %s: got %d %v, want 200 %v", name, p.status, got, c.want)
		}
	}
}

// TestRFC7033Section4_2RefusesBadResources also checks that every refusal says what to do.
func TestRFC7033Section4_2RefusesBadResources(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const good = "resource=acct:alice@example.test"
	for name, c := range map[string]struct {
		query string
		want  int
	}{
		"no query":                    {"", 400},
		"no resource":                 {"rel=x", 400},
		"empty":                       {"resource=", 400},
		"repeated":                    {good + "&" + good, 400},
		"broken query":                {good + "&x=%zz", 400},
		"semicolon in the query":      {good + ";rel=x", 400},
		"bare address":                {"resource=alice@example.test", 400},
		"bare domain":                 {"resource=example.test", 400},
		"no domain":                   {"resource=acct:alice", 400},
		"empty domain":                {"resource=acct:alice@", 400},
		"no name":                     {"resource=acct:@example.test", 400},
		"two @":                       {"resource=acct:alice@gmail.com@example.test", 400},
		"space":                       {"resource=acct:al%20ice@example.test", 400},
		"escaped line feed":           {"resource=acct:al%250aice@example.test", 400},
		"quote":                       {"resource=acct:al%22ice@example.test", 400},
		"not ASCII":                   {"resource=acct:al%C3%ADce@example.test", 400},
		"unknown scheme":              {"resource=tel:alice@example.test", 400},
		"http without loopback":       {"resource=http://example.test", 400},
		"user information in a URL":   {"resource=https://alice@example.test", 400},
		"fragment":                    {"resource=https://example.test/%23alice", 400},
		"too long":                    {"resource=acct:" + strings.Repeat("a", 600) + "@example.test", 400},
		"not served":                  {"resource=acct:alice@nowhere.test", 404},
		"not served, URL":             {"resource=https://nowhere.test", 404},
		"below a served domain":       {"resource=acct:alice@sub.example.test", 404},
		"above a served domain":       {"resource=acct:alice@test", 404},
		"a path of a served domain":   {"resource=https://example.test/alice", 404},
		"a port of a served domain":   {"resource=https://example.test:8443", 404},
		"the issuer of no tenant":     {"resource=" + s.URL + "/t/nobody", 404},
		"a tenant without that place": {"resource=" + s.URL + "/t/example", 404},
	} {
		p := ask(t, http.MethodGet, s.URL+webfinger.Path+"?"+c.query)
		if p.status != c.want || p.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: got %d %s, want %d as problem+json", name, p.status, p.header.Get("Content-Type"), c.want)
			continue
		}
		checkProblem(t, name, p)
		if got := p.header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s: Access-Control-Allow-Origin %q, want *", name, got)
		}
	}
}

// checkProblem reads a problem document (RFC 9457, section 3).
func checkProblem(t testing.TB, name string, p page) {
	t.Helper()
	var problem struct {
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Detail    string `json:"detail"`
		RequestID string `json:"request_id"`
	}
	p.json(t, &problem)
	if problem.Status != p.status || problem.Title == "" || problem.Detail == "" || problem.RequestID != p.header.Get("X-Request-Id") {
		t.Errorf("%s: problem %s, want status %d, title, detail and request id %s", name, p.body, p.status, p.header.Get("X-Request-Id"))
	}
	if got := p.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s: Cache-Control %q, want no-store", name, got)
	}
}

// TestRFC7033Section4_2IgnoresUnknownAccept and the cross-origin header of RFC
// 7033, section 5: whatever is asked, the answer is the same JRD.
func TestRFC7033Section4_2IgnoresUnknownAccept(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	at := finger(s.URL, "resource", "acct:alice@example.test")
	plain := ask(t, http.MethodGet, at)
	for name, edits := range map[string][]edit{
		"nothing asked":        nil,
		"JRD":                  {header("Accept", "application/jrd+json")},
		"JSON":                 {header("Accept", "application/json")},
		"anything":             {header("Accept", "*/*")},
		"XRD":                  {header("Accept", "application/xrd+xml")},
		"HTML":                 {header("Accept", "text/html,application/xhtml+xml;q=0.9")},
		"nonsense":             {header("Accept", ";;;")},
		"refused with q=0":     {header("Accept", "application/jrd+json;q=0")},
		"from another origin":  {header("Origin", "https://app.example")},
		"with a token (R29)":   {header("Authorization", "Bearer something")},
		"with a cookie":        {header("Cookie", "signpost-example=x")},
		"compressed":           {header("Accept-Encoding", "gzip")},
		"at the domain's host": {host("example.test")},
		"at another port":      {host("example.test:8443")},
		"at a host elsewhere":  {host("www.elsewhere.invalid")},
		"at the other's host":  {host("other.test")},
	} {
		p := ask(t, http.MethodGet, at, edits...)
		if p.status != http.StatusOK || p.body != plain.body {
			t.Errorf("%s: got %d %s, want 200 %s", name, p.status, p.body, plain.body)
		}
		if got := p.header.Get("Content-Type"); got != webfinger.MediaType {
			t.Errorf("%s: Content-Type %q, want %q", name, got, webfinger.MediaType)
		}
		if got := p.header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s: Access-Control-Allow-Origin %q, want *", name, got)
		}
		if got := p.header.Get("Set-Cookie"); got != "" {
			t.Errorf("%s: a public document sets the cookie %q", name, got)
		}
	}
}

func TestWebFingerMethods(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	at := finger(s.URL, "resource", "acct:alice@example.test")
	get := ask(t, http.MethodGet, at)

	head := ask(t, http.MethodHead, at)
	if head.status != http.StatusOK || head.body != "" {
		t.Errorf("HEAD: %d %q, want 200 and no body", head.status, head.body)
	}
	for _, name := range []string{"Content-Type", "Content-Length", "Access-Control-Allow-Origin", "Cache-Control"} {
		if got, want := head.header.Get(name), get.header.Get(name); got != want || got == "" {
			t.Errorf("HEAD: %s %q, want %q as for GET", name, got, want)
		}
	}

	preflight := ask(t, http.MethodOptions, at, header("Origin", "https://app.example"), header("Access-Control-Request-Method", "GET"))
	if preflight.status != http.StatusNoContent || preflight.header.Get("Access-Control-Allow-Origin") != "*" ||
		!strings.Contains(preflight.header.Get("Access-Control-Allow-Methods"), "GET") {
		t.Errorf("OPTIONS: %d %v, want 204 that allows GET from everywhere", preflight.status, preflight.header)
	}

	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		p := ask(t, method, at)
		if p.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d, want 405", method, p.status)
		}
		if allow := p.header.Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "HEAD") {
			t.Errorf("%s: Allow %q, want the methods there are (RFC 9110, section 15.5.6)", method, allow)
		}
		checkProblem(t, method, p)
	}
}

// TestR32UniformAnswersOverHTTP: whoever is asked for, who exists and who does not, the
// answer differs in its subject alone.
func TestR32UniformAnswersOverHTTP(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	signedIn(t, s.URL, nil) // now alice exists
	shape := func(local string) (string, http.Header) {
		resource := "acct:" + local + "@example.test"
		p := ask(t, http.MethodGet, finger(s.URL, "resource", resource))
		if p.status != http.StatusOK || strings.Count(p.body, resource) != 1 {
			t.Fatalf("resource %q: %d %s, want 200 with the resource once", resource, p.status, p.body)
		}
		p.header.Del("X-Request-Id")
		p.header.Del("Date")
		p.header.Del("Content-Length")
		return strings.Replace(p.body, resource, "", 1), p.header
	}
	wantBody, wantHeader := shape("alice")
	for _, local := range []string{"bob", "nobody", "x", "admin", "al.ice", "ALICE", "alice%40gmail.com", "%C3%A4", strings.Repeat("long", 50)} {
		gotBody, gotHeader := shape(local)
		if gotBody != wantBody {
			t.Errorf("%s: got %s, want %s", local, gotBody, wantBody)
		}
		if !reflect.DeepEqual(gotHeader, wantHeader) {
			t.Errorf("%s: header %v, want %v", local, gotHeader, wantHeader)
		}
	}
}

// TestR29TokensChangeNothingInDiscovery: a good token gets what everybody gets,
// at every host, and is not asked for.
func TestR29TokensChangeNothingInDiscovery(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := header("Authorization", "Bearer "+signedIn(t, s.URL, nil).AccessToken)
	for _, resource := range []string{"acct:alice@example.test", "acct:bob@example.test", "acct:carol@other.test"} {
		at := finger(s.URL, "resource", resource)
		want := ask(t, http.MethodGet, at)
		for _, name := range []string{strings.TrimPrefix(s.URL, "http://"), "example.test", "elsewhere.invalid"} {
			p := ask(t, http.MethodGet, at, broad, host(name))
			if p.status != http.StatusOK || p.body != want.body || p.header.Get("Cache-Control") != want.header.Get("Cache-Control") {
				t.Errorf("%s with a token at %s: %d %s, want %s", resource, name, p.status, p.body, want.body)
			}
		}
	}
}
