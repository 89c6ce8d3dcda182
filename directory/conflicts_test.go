package directory

import (
	"strings"
	"testing"
	"time"

	"signpost/oidc"
	"signpost/scopes"
)

// Client ids, issuers and audiences never meet: a token for one would pass for
// the other.
func TestR7AudiencesAreDisjoint(t *testing.T) {
	t.Parallel()
	expect(t, map[string]refusal{
		"no audience":     {service(func(s *Service) { s.Audience = "" }), "audience is missing"},
		"the open client": {service(func(s *Service) { s.Audience = "open" }), `audience "open" is a client id`},
		"a tenant's issuer": {func(ts []Tenant) {
			ts[1].Placement = "https://cloud.example.net"
			ts[0].Services[3].Audience = "https://cloud.example.net/"
		}, "the audience is the URL of an issuer"},
		"an identity provider": {calendars(func(s *Service) {
			s.Audience, s.Endpoints[0].URL = "https://login.example.test/realms/staff", "https://login.example.test/realms/staff/cal/"
		}), "the audience is the URL of an issuer"},
	})
}

// The audience of an HTTP service is the URL below which everything is that
// service; of others, the bare host name.
func TestR30Audiences(t *testing.T) {
	t.Parallel()
	audience := func(value string) func([]Tenant) { return calendars(func(s *Service) { s.Audience = value }) }
	expect(t, map[string]refusal{
		"no URL":                   {audience("dav.example.test"), "audience: not an https URL"},
		"a query":                  {audience("https://dav.example.test/cal/?x"), "query"},
		"a fragment":               {audience("https://dav.example.test/cal/#"), "fragment"},
		"user information":         {audience("https://a@dav.example.test/cal/"), "user information"},
		"dot segments":             {audience("https://dav.example.test/x/../cal/"), "dot segments"},
		"an escaped slash":         {audience("https://dav.example.test/cal%2F"), "must not escape '/'"},
		"an escaped letter":        {audience("https://dav.example.test/c%61l/"), "must not escape 'a'"},
		"upper case":               {audience("https://DAV.example.test/cal/"), "has to be written dav.example.test"},
		"the default port":         {audience("https://dav.example.test:443/cal/"), "leave it out"},
		"another host":             {audience("https://dav2.example.test/cal/"), "does not lie below"},
		"another port":             {audience("https://dav.example.test:8443/cal/"), "does not lie below"},
		"another path":             {audience("https://dav.example.test/calendars/"), "does not lie below"},
		"half a segment":           {audience("https://dav.example.test/c"), "does not lie below"},
		"a URL for imap":           {service(func(s *Service) { s.Audience = "https://imap.example.test" }), "is not a host name"},
		"a host with a port":       {service(func(s *Service) { s.Audience = "imap.example.test:993" }), "is not a host name"},
		"one of several endpoints": {calendars(func(s *Service) { s.Endpoints = append(s.Endpoints, Endpoint{URL: "https://dav.example.org/cal/"}) }), "does not lie below"},
	})
	for _, value := range []string{"https://dav.example.test", "https://dav.example.test/", "https://dav.example.test/cal", "https://dav.example.test/cal/"} {
		tenants := mustParse(t, installation)
		audience(value)(tenants)
		if problems := Check(tenants); problems != nil {
			t.Errorf("audience %s: %v", value, problems)
		}
	}
}

// Two tenants share nothing.
func TestR31NothingIsShared(t *testing.T) {
	t.Parallel()
	expect(t, map[string]refusal{
		"a domain": {func(ts []Tenant) { ts[1].Domains[0].Name = "example.org" }, "tenant other, domain example.org: tenant example has the domain"},
		"a domain twice": {func(ts []Tenant) {
			ts[0].Domains[1].Name = "example.test"
			ts[0].IdentityProviders[0].Domains = []string{"example.test"}
		}, "tenant example, domain example.test: the domain comes twice"},
		"the base":         {func(ts []Tenant) { ts[1].Placement = PlacementBase }, "tenant example is at the base URL already"},
		"an issuer":        {func(ts []Tenant) { ts[0].Placement, ts[1].Placement = "https://id.test", "https://id.test/" }, "tenant example has the same issuer"},
		"an issuer's host": {func(ts []Tenant) { ts[1].Placement = "https://example.org" }, "the issuer's host is a domain of tenant example"},
		"an audience":      {func(ts []Tenant) { ts[1].Services[0].Audience = "imap.example.test" }, "tenant other, service mail: tenant example, service mail has imap.example.test too"},
		"a server":         {func(ts []Tenant) { ts[1].Services[0].Endpoints[0].Host = "imap.example.test" }, "tenant example, service mail has imap.example.test:993 too"},
		"a web server":     {func(ts []Tenant) { ts[1].Services = append(ts[1].Services, webdav("https://cloud.example.net/other/")) }, "tenant example, service files has cloud.example.net:443 too"},
		"a web server by port": {func(ts []Tenant) {
			ts[1].Services[0].Endpoints[0] = Endpoint{Host: "cloud.example.net", Port: 443, Security: "tls"}
		}, "has cloud.example.net:443 too"},
	})
	tenants := mustParse(t, installation)
	tenants[1].Services[0].Endpoints[0] = Endpoint{Host: "imap.example.test", Port: 1993, Security: "tls"}
	tenants[1].Placement = "https://other.test"
	if problems := Check(tenants); problems != nil {
		t.Errorf("another port of the same host, and an issuer at the tenant's own domain: %v", problems)
	}
}

func webdav(url string) Service {
	return Service{
		ID: "files", Protocol: ProtocolWebDAV, Title: "Files", Endpoints: []Endpoint{{URL: url}}, Audience: url, Scopes: []string{scopes.Files},
		Authentication: []string{AuthBearer}, Username: "{login}", Profile: oidc.ProfileRFC9068, Algorithm: "ES256", Credential: "sso",
	}
}

// Services share an audience only if one token fits them all.
func TestSharedAudiences(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		change func(mail, send *Service)
		want   string // empty if it is good
	}{
		"alike":                {func(_, _ *Service) {}, ""},
		"scopes in any order":  {func(m, s *Service) { m.Scopes, s.Scopes = []string{"email", "profile"}, []string{"profile", "email"} }, ""},
		"the default lifetime": {func(m, _ *Service) { m.Lifetime = 0 }, ""},
		"scopes":               {func(m, _ *Service) { m.Scopes = []string{"email"} }, "but not scopes"},
		"profile":              {func(m, _ *Service) { m.Profile = oidc.ProfileRFC9068 }, "but not profile"},
		"algorithm":            {func(m, _ *Service) { m.Algorithm = "RS256" }, "but not algorithm"},
		"lifetime":             {func(m, _ *Service) { m.Lifetime = time.Hour }, "but not lifetime"},
		"login name":           {func(m, _ *Service) { m.Username = "{subject}" }, "but not username"},
		"in broad": {func(m, s *Service) {
			m.Profile, s.Profile, m.InBroad = oidc.ProfileRFC9068, oidc.ProfileRFC9068, true
		}, "but not in_broad"},
	} {
		tenants := mustParse(t, installation)
		mail, send := &tenants[0].Services[0], &tenants[0].Services[1]
		send.Audience = mail.Audience
		c.change(mail, send)
		problems := Check(tenants)
		if c.want == "" && problems != nil || c.want != "" && (len(problems) != 1 || !strings.Contains(problems.Error(), "service mail "+c.want)) {
			t.Errorf("%s: Check says %v; want %q", what, problems, c.want)
		}
	}
}

// A slash at the end does not make another resource.
func TestR30SharedAudiencesAreSpelledAlike(t *testing.T) {
	t.Parallel()
	tenants := mustParse(t, installation)
	cal, files := &tenants[0].Services[2], &tenants[0].Services[3]
	*files = *cal
	files.ID, files.Audience = "files", strings.TrimSuffix(cal.Audience, "/")
	if problems := Check(tenants); len(problems) != 1 || !strings.Contains(problems.Error(), "but not the spelling of it") {
		t.Errorf("Check says %v", problems)
	}
}
