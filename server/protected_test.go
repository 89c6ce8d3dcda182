package server_test

import (
	"net/http"
	"strings"
	"testing"

	"signpost/internal/servertest"
)

// RFC 9728, section 3.3: "resource" must be the URL that the client used, so every URL
// below a service has a document of its own, at the service's host (R30).
func TestR30EveryURLBelowAServiceIsDescribed(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, c := range []struct{ host, path, issuer, scope string }{
		{"dav.example.test", "/calendars", s.URL, "urn:ietf:params:oauth:scope:calendars"},
		{"dav.example.test", "/calendars/", s.URL, "urn:ietf:params:oauth:scope:calendars"},
		{"dav.example.test", "/calendars/alice/work%20days/", s.URL, "urn:ietf:params:oauth:scope:calendars"},
		{"DAV.example.test", "/calendars/", s.URL, "urn:ietf:params:oauth:scope:calendars"},
		{"files.example.test", "/dav/a.txt", s.URL, "urn:signpost:scope:files"},
	} {
		got := jsonAt(t, s.URL+"/.well-known/oauth-protected-resource"+c.path, host(c.host))
		want := "https://" + strings.ToLower(c.host) + c.path
		if got["resource"] != want {
			t.Errorf("%s%s: resource %v, want %s", c.host, c.path, got["resource"], want)
		}
		if servers, _ := got["authorization_servers"].([]any); len(servers) != 1 || servers[0] != c.issuer {
			t.Errorf("%s%s: authorization_servers %v, want %s", c.host, c.path, got["authorization_servers"], c.issuer)
		}
		if words, _ := got["scopes_supported"].([]any); len(words) != 1 || words[0] != c.scope {
			t.Errorf("%s%s: scopes_supported %v, want %s", c.host, c.path, got["scopes_supported"], c.scope)
		}
	}
}

func TestR30NothingElseIsDescribed(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, c := range []struct{ host, path string }{
		{"dav.example.test", "/"},
		{"dav.example.test", "/calendarsx"},
		{"dav.example.test", "/Calendars/"},
		{"dav.example.test", "/calendars/../calendars/"},
		{"dav.example.test", "/calendars/%2e%2e/secret"},
		{"dav.example.test", "/calendars/a%2fb"},
		{"dav.example.test", "/calendars/?x=1"},
		{"dav.example.test:444", "/calendars/"},
		{"dav.example.test", "/configuration"},
		{"files.example.test", "/calendars/"},
		{"imap.example.test", "/"},
		{"evil.test", "/calendars/"},
	} {
		p := ask(t, http.MethodGet, s.URL+"/.well-known/oauth-protected-resource"+c.path, host(c.host))
		if p.status != http.StatusNotFound {
			t.Errorf("%s%s: %d, want 404: %s", c.host, c.path, p.status, p.body)
		}
	}
}

// RFC 9728, section 4: what the metadata list is what there is.
func TestRFC9728Section4ProtectedResourcesAreComplete(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	listed, _ := jsonAt(t, s.URL+"/.well-known/openid-configuration")["protected_resources"].([]any)
	want := map[any]bool{
		s.URL + "/configuration": true, "imap.example.test": true, "submission.example.test": true,
		"https://dav.example.test/calendars/": true, "https://files.example.test/dav/": true,
	}
	for _, r := range listed {
		if !want[r] {
			t.Errorf("%v is listed and no service of the tenant, or twice", r)
		}
		delete(want, r)
	}
	if len(want) > 0 {
		t.Errorf("not listed: %v", want)
	}
}
