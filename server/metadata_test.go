package server_test

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/server"
	"signpost/webfinger"
)

// issuers are the issuers of both tenants, with an address of each.
func issuers(s *servertest.Server) map[string]string {
	return map[string]string{s.URL: "acct:alice@example.test", s.OtherURL(): "acct:carol@other.test"}
}

// wellKnowns are the places where an issuer's metadata is looked for: inserted
// (RFC 8414, section 3.1) and appended (OpenID Connect Discovery 1.0).
func wellKnowns(s *servertest.Server, issuer string) []string {
	path := strings.TrimPrefix(issuer, s.URL)
	return []string{
		s.URL + "/.well-known/oauth-authorization-server" + path,
		s.URL + "/.well-known/openid-configuration" + path,
		issuer + "/.well-known/openid-configuration",
	}
}

func TestMetadataAtEveryWellKnownWithoutRedirect(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for issuer := range issuers(s) {
		var first string
		for _, at := range wellKnowns(s, issuer) {
			p := ask(t, http.MethodGet, at)
			if p.status != http.StatusOK || p.header.Get("Content-Type") != "application/json" || p.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("GET %s: %d %v, want 200 application/json for every origin", at, p.status, p.header)
				continue
			}
			var metadata struct {
				Issuer string `json:"issuer"`
			}
			p.json(t, &metadata)
			if metadata.Issuer != issuer {
				t.Errorf("GET %s: issuer %q, want %q", at, metadata.Issuer, issuer)
			}
			if first == "" {
				first = p.body
			}
			if p.body != first {
				t.Errorf("GET %s: %s, want the same as elsewhere: %s", at, p.body, first)
			}
			if head := ask(t, http.MethodHead, at); head.status != http.StatusOK || head.body != "" {
				t.Errorf("HEAD %s: %d %q, want 200 and no body", at, head.status, head.body)
			}
			// draft-ietf-mailmaint-oauth-public counts a redirect as an error, so there is none to a better spelling either.
			for _, spelling := range []string{at + "/", strings.Replace(at, "/.well-known", "//.well-known", 1), strings.ToUpper(at[len(s.URL):])} {
				if strings.HasPrefix(spelling, "/") {
					spelling = s.URL + spelling
				}
				if p := ask(t, http.MethodGet, spelling); p.status != http.StatusNotFound || p.header.Get("Location") != "" {
					t.Errorf("GET %s: %d to %q, want 404", spelling, p.status, p.header.Get("Location"))
				}
			}
		}
	}
}

func TestMetadataOfNoTenant(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, path := range []string{
		"/.well-known/oauth-authorization-server/t/nobody",
		"/.well-known/openid-configuration/t/nobody",
		"/t/nobody/.well-known/openid-configuration",
		"/.well-known/oauth-authorization-server/t/example", // lives at the base
		"/t/example/.well-known/openid-configuration",
		"/.well-known/oauth-protected-resource/t/nobody/configuration",
		"/.well-known/oauth-protected-resource",
		"/t/nobody/jwks", "/t/nobody/scopes", "/t/nobody/schemas/configuration.json", "/t/example/jwks",
	} {
		p := ask(t, http.MethodGet, s.URL+path)
		if p.status != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", path, p.status)
		}
		checkProblem(t, path, p)
	}
}

// TestOneSpellingOfTheIssuer: the same string in the JRD, the metadata, the
// tokens, the authorization response, the configuration and the resource's metadata.
func TestOneSpellingOfTheIssuer(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for issuer, resource := range issuers(s) {
		var jrd webfinger.JRD
		ask(t, http.MethodGet, finger(s.URL, "resource", resource, "rel", oidc.RelIssuer)).json(t, &jrd)
		q := newBrowser(t).signIn(authorizeURL(issuer, nil))
		broad := token(t, issuer, codeForm(q.Get("code")))
		_, id := claims(t, broad.IDToken)
		_, access := claims(t, broad.AccessToken)
		configured := jsonAt(t, issuer+"/configuration", header("Authorization", "Bearer "+broad.AccessToken))
		described := jsonAt(t, s.URL+"/.well-known/oauth-protected-resource"+strings.TrimPrefix(issuer, s.URL)+"/configuration")
		for name, got := range map[string]any{
			"JRD":                         jrd.Links[0].Href,
			"metadata":                    jsonAt(t, issuer+"/.well-known/openid-configuration")["issuer"],
			"iss of the response":         q.Get("iss"), // RFC 9207, section 2
			"iss of the ID token":         id["iss"],
			"iss of the access token":     access["iss"],
			"configuration":               configured["issuer"],
			"protected resource's issuer": described["authorization_servers"].([]any)[0],
		} {
			if got != issuer {
				t.Errorf("%s: got %v, want %s", name, got, issuer)
			}
		}
		if got, want := configured["token_endpoint"], issuer+"/token"; got != want {
			t.Errorf("token_endpoint of the configuration: got %v, want %s", got, want)
		}
	}
}

// keySet reads a published JWK set.
func keySet(t testing.TB, issuer string) (set jose.JSONWebKeySet) {
	t.Helper()
	p := ask(t, http.MethodGet, issuer+"/jwks")
	if got := p.header.Get("Content-Type"); p.status != http.StatusOK || got != "application/jwk-set+json" {
		t.Fatalf("GET jwks: %d %s, want 200 application/jwk-set+json (RFC 7517, section 8.5.2)", p.status, got)
	}
	p.json(t, &set)
	return set
}

func TestKeySetHoldsPublicKeysOfBothAlgorithms(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	seen := map[string]string{}
	for issuer := range issuers(s) {
		var algorithms []string
		for _, key := range keySet(t, issuer).Keys {
			if !key.IsPublic() || !key.Valid() || key.Use != "sig" || key.KeyID == "" || len(key.KeyID) > 11 {
				t.Errorf("%s: key %q of use %q, want a valid public key for signatures with a short id", issuer, key.KeyID, key.Use)
			}
			if at, again := seen[key.KeyID]; again {
				t.Errorf("key %s stands at %s and at %s", key.KeyID, at, issuer)
			}
			seen[key.KeyID] = issuer
			algorithms = append(algorithms, key.Algorithm)
		}
		for _, want := range []string{"ES256", "RS256"} {
			if !slices.Contains(algorithms, want) {
				t.Errorf("%s: keys for %v, want %s among them", issuer, algorithms, want)
			}
		}
		raw := jsonAt(t, issuer+"/jwks")
		for _, key := range raw["keys"].([]any) {
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
				if _, found := key.(object)[private]; found {
					t.Errorf("%s: a key has the private member %q (RFC 7518, section 6)", issuer, private)
				}
			}
		}
	}
}

// TestTokensVerifyWithThePublishedKeys of their own issuer and with no other's.
func TestTokensVerifyWithThePublishedKeys(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := signedIn(t, s.URL, nil)
	files := token(t, s.URL, exchangeForm(broad.AccessToken, "https://files.example.test/dav/"))
	for name, c := range map[string]struct{ token, algorithm string }{
		"broad":           {broad.AccessToken, "ES256"},
		"ID token":        {broad.IDToken, "RS256"},
		"narrow, RS256":   {files.AccessToken, "RS256"},
		"narrow, refresh": {token(t, s.URL, refreshForm(broad.RefreshToken)).AccessToken, "ES256"},
	} {
		for issuer, want := range map[string]bool{s.URL: true, s.OtherURL(): false} {
			set := keySet(t, issuer)
			_, err := jwt.Parse(c.token, func(t *jwt.Token) (any, error) {
				for _, key := range set.Keys {
					if key.KeyID == t.Header["kid"] && key.Algorithm == c.algorithm {
						return key.Key, nil
					}
				}
				return nil, jwt.ErrTokenUnverifiable
			}, jwt.WithValidMethods([]string{c.algorithm}), jwt.WithIssuer(s.URL), jwt.WithExpirationRequired())
			if got := err == nil; got != want {
				t.Errorf("%s with the keys of %s: verified %v (%v), want %v", name, issuer, got, err, want)
			}
		}
	}
}

// TestRFC9728Section3_3ResourceIsTheURLThatWasUsed follows the challenge to its document.
func TestRFC9728Section3_3ResourceIsTheURLThatWasUsed(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for issuer := range issuers(s) {
		used := issuer + "/configuration"
		challenge := ask(t, http.MethodGet, used).header.Get("WWW-Authenticate")
		at, found := strings.CutPrefix(strings.TrimSuffix(challenge, `"`), `Bearer resource_metadata="`)
		if !found || strings.Contains(at, `"`) {
			t.Fatalf("challenge %q, want Bearer with resource_metadata alone", challenge)
		}
		path := strings.TrimPrefix(used, s.URL)
		if want := s.URL + "/.well-known/oauth-protected-resource" + path; at != want {
			t.Errorf("resource_metadata %q, want %q (RFC 9728, section 3.1)", at, want)
		}
		p := ask(t, http.MethodGet, at)
		if p.status != http.StatusOK || p.header.Get("Content-Type") != "application/json" {
			t.Fatalf("GET %s: %d %s, want 200 application/json", at, p.status, p.header.Get("Content-Type"))
		}
		var m struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
			Scopes   []string `json:"scopes_supported"`
			Methods  []string `json:"bearer_methods_supported"`
		}
		p.json(t, &m)
		if m.Resource != used || !slices.Equal(m.Servers, []string{issuer}) || !slices.Equal(m.Scopes, []string{"openid"}) || !slices.Equal(m.Methods, []string{"header"}) {
			t.Errorf("metadata %+v, want resource %s at %s by header, with openid", m, used, issuer)
		}
	}
}

func TestScopeDocument(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	var d struct {
		Broad  string `json:"broad"`
		Scopes []struct {
			Name     string            `json:"name"`
			Titles   map[string]string `json:"titles"`
			Services []string          `json:"services"`
		} `json:"scopes"`
		Services []struct{ ID, Scope, Audience, Resource string } `json:"services"`
	}
	p := ask(t, http.MethodGet, s.URL+"/scopes")
	if p.status != http.StatusOK || p.header.Get("Content-Type") != "application/json" || p.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("GET scopes: %d %v", p.status, p.header)
	}
	p.json(t, &d)
	if d.Broad != allScopes {
		t.Errorf("broad set %q, want %q", d.Broad, allScopes)
	}
	opens := map[string][]string{}
	for _, scope := range d.Scopes {
		opens[scope.Name] = scope.Services
		if scope.Titles["en"] == "" {
			t.Errorf("scope %s has no title for people", scope.Name)
		}
	}
	for scope, want := range map[string][]string{mailScope: {"imap", "submission"}, calendarScope: {"calendar"}, filesScope: {"files"}} {
		if got := opens[scope]; !slices.Equal(got, want) {
			t.Errorf("scope %s opens %v, want %v", scope, got, want)
		}
	}
	if _, found := opens["urn:ietf:params:oauth:scope:contacts"]; found {
		t.Error("a scope is published that opens nothing here")
	}
	// What the document says is what an exchange needs.
	broad := signedIn(t, s.URL, nil)
	if len(d.Services) != 4 {
		t.Errorf("%d services, want 4", len(d.Services))
	}
	for _, service := range d.Services {
		form := exchangeForm(broad.AccessToken, service.Audience)
		form.Set("scope", service.Scope)
		if got := token(t, s.URL, form); got.Status != http.StatusOK || got.Scope != service.Scope {
			t.Errorf("exchange for %s: %d %s %s, want scope %s", service.ID, got.Status, got.Error, got.Scope, service.Scope)
		}
		form.Del("audience")
		form.Set("resource", service.Resource)
		if got := token(t, s.URL, form); got.Status != http.StatusOK {
			t.Errorf("exchange for resource %s: %d %s", service.Resource, got.Status, got.Error)
		}
	}
}

func TestPublishedSchemaTakesTheConfiguration(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for issuer := range issuers(s) {
		at := issuer + "/schemas/configuration.json"
		p := ask(t, http.MethodGet, at)
		if p.status != http.StatusOK || p.header.Get("Content-Type") != "application/schema+json" {
			t.Fatalf("GET %s: %d %s", at, p.status, p.header.Get("Content-Type"))
		}
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(p.body))
		if err != nil {
			t.Fatal(err)
		}
		if got := value.(object)["$id"]; got != at {
			t.Errorf("$id %v, want %s", got, at)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource(at, value); err != nil {
			t.Fatal(err)
		}
		schema, err := compiler.Compile(at)
		if err != nil {
			t.Fatal(err)
		}
		answer := configuration(t, issuer, signedIn(t, issuer, nil).AccessToken, "")
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(answer.body)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("the configuration at %s: %v\n%s", issuer, err, answer.body)
		}
		delete(document.(object), "issuer")
		if err := schema.Validate(document); err == nil {
			t.Error("the schema takes a document without issuer")
		}
	}
}

// TestEveryRouteAnswers: the table of routes has nothing that is not there, at
// either tenant.
func TestEveryRouteAnswers(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	routes := server.Routes(s.Service.Handler)
	if len(routes) < 20 {
		t.Fatalf("only %d routes", len(routes))
	}
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		idp := "staff"
		if strings.Contains(path, ":tenant") {
			idp = "members"
		}
		path = strings.NewReplacer(":tenant", servertest.Other, ":idp", idp, "*resource", "configuration").Replace(path)
		if strings.HasPrefix(path, "/assets/") {
			continue // TestPagesAndTheirAssets
		}
		p := ask(t, method, s.URL+path, formBody(url.Values{}))
		if p.status == http.StatusNotFound || p.status == http.StatusMethodNotAllowed || p.status >= 500 {
			t.Errorf("%s %s: %d %s", method, path, p.status, p.body)
		}
	}
}
