package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"signpost/configdoc"
	"signpost/directory"
	"signpost/internal/servertest"
)

// TestRFC6750Section3_1Challenges: no error code for who sent no token, one for who
// sent a bad one, and always the way to a good one (RFC 9728, section 5.1).
func TestRFC6750Section3_1Challenges(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := signedIn(t, s.URL, nil).AccessToken
	unprivileged := signedIn(t, s.URL, set("scope", mailScope)).AccessToken
	for issuer := range issuers(s) {
		bare := `Bearer resource_metadata="` + s.URL + "/.well-known/oauth-protected-resource" + strings.TrimPrefix(issuer, s.URL) + `/configuration"`
		for name, c := range map[string]struct {
			edits []edit
			path  string
			want  string
		}{
			"no token":             {nil, "", bare},
			"empty token":          {[]edit{header("Authorization", "Bearer ")}, "", bare},
			"no scheme":            {[]edit{header("Authorization", broad)}, "", bare},
			"Basic":                {[]edit{header("Authorization", "Basic b3Blbjo=")}, "", bare},
			"DPoP":                 {[]edit{header("Authorization", "DPoP "+broad)}, "", bare},
			"two tokens":           {[]edit{header("Authorization", "Bearer "+broad), header("Authorization", "Bearer "+broad)}, "", bare},
			"token in the query":   {nil, "?access_token=" + broad, bare},
			"token in a form":      {[]edit{formBody(map[string][]string{"access_token": {broad}})}, "", bare},
			"token in a cookie":    {[]edit{header("Cookie", "access_token="+broad)}, "", bare},
			"nonsense":             {[]edit{header("Authorization", "Bearer x")}, "", bare + `, error="invalid_token"`},
			"token with a space":   {[]edit{header("Authorization", "Bearer  "+broad)}, "", bare + `, error="invalid_token"`},
			"something after it":   {[]edit{header("Authorization", "Bearer "+broad+" x")}, "", bare + `, error="invalid_token"`},
			"very long":            {[]edit{header("Authorization", "Bearer "+strings.Repeat("x", 12000))}, "", bare + `, error="invalid_token"`},
			"token of the other's": {[]edit{header("Authorization", "Bearer "+broad)}, "", bare + `, error="invalid_token"`},
		} {
			if name == "token of the other's" && issuer == s.URL {
				continue
			}
			p := ask(t, http.MethodGet, issuer+"/configuration"+c.path, c.edits...)
			tokenError(t, name, p, http.StatusUnauthorized, "invalid_token")
			if got := p.header.Get("WWW-Authenticate"); got != c.want {
				t.Errorf("%s: WWW-Authenticate %q, want %q", name, got, c.want)
			}
			if strings.Contains(p.body, broad) {
				t.Errorf("%s: the answer repeats the token", name)
			}
		}
	}
	p := ask(t, http.MethodGet, s.URL+"/configuration", header("Authorization", "Bearer "+unprivileged))
	tokenError(t, "without openid", p, http.StatusForbidden, "insufficient_scope")
	if got := p.header.Get("WWW-Authenticate"); !strings.Contains(got, `error="insufficient_scope"`) || !strings.Contains(got, `scope="openid"`) || !strings.Contains(got, "resource_metadata=") {
		t.Errorf("without openid: WWW-Authenticate %q, want insufficient_scope and the scope that is needed", got)
	}
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER "} {
		if p := ask(t, http.MethodGet, s.URL+"/configuration", header("Authorization", scheme+broad)); p.status != http.StatusOK {
			t.Errorf("scheme %q: %d, want 200: schemes have no case (RFC 9110, section 11.1)", scheme, p.status)
		}
	}
}

func TestConfigurationHeaders(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := signedIn(t, s.URL, nil).AccessToken
	first := configuration(t, s.URL, broad, "")
	etag := first.header.Get("ETag")
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "private, no-cache", "Vary": "Authorization, DPoP", "Pragma": "", "Access-Control-Allow-Origin": "*"} {
		if got := first.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if len(etag) < 10 || !strings.HasPrefix(etag, `"`) {
		t.Errorf("ETag %q, want a strong one", etag)
	}
	for header, want := range map[string]int{
		etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, strings.Trim(etag, `"`): 200, `"`: 200,
	} {
		p := configuration(t, s.URL, broad, header)
		if p.status != want || p.header.Get("ETag") != etag || p.header.Get("Vary") != "Authorization, DPoP" || p.header.Get("Cache-Control") != "private, no-cache" {
			t.Errorf("If-None-Match %s: %d %v, want %d with the headers of 200 (RFC 9110, section 15.4.5)", header, p.status, p.header, want)
		}
		if want == 304 && p.body != "" {
			t.Errorf("If-None-Match %s: 304 with the body %s", header, p.body)
		}
	}
	if p := configuration(t, s.URL, "x", etag); p.status != http.StatusUnauthorized {
		t.Errorf("a bad token with the right ETag: %d, want 401", p.status)
	}
	head := ask(t, http.MethodHead, s.URL+"/configuration", header("Authorization", "Bearer "+broad))
	if head.status != http.StatusOK || head.body != "" || head.header.Get("ETag") != etag || head.header.Get("Content-Length") != first.header.Get("Content-Length") {
		t.Errorf("HEAD: %d %v, want the headers of GET", head.status, head.header)
	}
	// Another token for the same is the same document, a changed declaration is another.
	if got := configuration(t, s.URL, signedIn(t, s.URL, nil).AccessToken, etag).status; got != http.StatusNotModified {
		t.Errorf("another token: %d, want 304", got)
	}
	declaration := strings.Replace(s.Declaration(), "title: Calendar,", "title: Appointments,", 1)
	declare(t, s, declaration, func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return slices.ContainsFunc(r.Services, func(s directory.Service) bool { return s.Title == "Appointments" })
	})
	changed := configuration(t, s.URL, broad, etag)
	if changed.status != http.StatusOK || changed.header.Get("ETag") == etag || !strings.Contains(changed.body, "Appointments") {
		t.Errorf("after a change: %d %s, want 200 and another ETag", changed.status, changed.header.Get("ETag"))
	}
}

// TestConfigurationHoldsOnesOwn services, in the order of the declaration.
func TestConfigurationHoldsOnesOwn(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, c := range []struct {
		who, scope string
		address    string
		want       []string
	}{
		{"a1", allScopes, "alice@example.test", []string{"imap", "submission", "calendar", "files"}},
		{"b2", allScopes, "bob@example.test", []string{"imap", "submission", "calendar", "files"}},
		{"a1", "openid " + mailScope, "alice@example.test", []string{"imap", "submission"}},
		{"a1", "openid " + filesScope, "alice@example.test", []string{"files"}},
		{"a1", "openid", "alice@example.test", nil},
	} {
		s.IDP.SignInAs(c.who)
		p := configuration(t, s.URL, signedIn(t, s.URL, set("scope", c.scope)).AccessToken, "")
		d, err := configdoc.Parse([]byte(p.body))
		if err != nil {
			t.Errorf("%s with %q: %v", c.who, c.scope, err)
			continue
		}
		var ids []string
		for _, service := range d.Services() {
			ids = append(ids, service.ID)
			if service.Username != c.address {
				t.Errorf("%s: login name %q at %s, want %q", c.who, service.Username, service.ID, c.address)
			}
		}
		if !slices.Equal(ids, c.want) {
			t.Errorf("%s with %q: services %v, want %v", c.who, c.scope, ids, c.want)
		}
		if !slices.Equal(d.Account.Addresses, []string{c.address}) {
			t.Errorf("%s: addresses %v, want %s alone", c.who, d.Account.Addresses, c.address)
		}
		if d.Provider.Name != "Example Organisation" || d.Provider.Help != "https://help.example.test/" {
			t.Errorf("provider %+v", d.Provider)
		}
	}
}

// TestConfigurationIsEnoughForTheExchange: each service's audience, resource and
// scope work as they stand there.
func TestConfigurationIsEnoughForTheExchange(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for issuer := range issuers(s) {
		broad := signedIn(t, issuer, nil)
		d, err := configdoc.Parse([]byte(configuration(t, issuer, broad.AccessToken, "").body))
		must(t, err)
		if len(d.Services()) == 0 {
			t.Errorf("%s: no services", issuer)
		}
		for _, service := range d.Services() {
			form := exchangeForm(broad.AccessToken, service.Audience)
			form.Set("scope", service.Scope)
			byAudience := token(t, issuer, form)
			form.Del("audience")
			form.Set("resource", service.Resource)
			byResource := token(t, issuer, form)
			if byAudience.Status != http.StatusOK || byResource.Status != http.StatusOK {
				t.Errorf("%s: by audience %d %s, by resource %d %s", service.ID, byAudience.Status, byAudience.Error, byResource.Status, byResource.Error)
				continue
			}
			if _, p := claims(t, byAudience.AccessToken); p["preferred_username"] != service.Username || p["aud"] != service.Audience {
				t.Errorf("%s: token for %v as %v, configuration says %s as %s", service.ID, p["aud"], p["preferred_username"], service.Audience, service.Username)
			}
		}
	}
}
