package policy_test

import (
	"testing"

	"signpost/oidc"
	"signpost/oidc/policy"
)

// nested are services whose URLs lie below each other, and hosts that they share.
var nested = []policy.Service{
	{Audience: "https://dav.example.test/", URL: "https://dav.example.test/"},
	{Audience: "https://dav.example.test/cal/", URL: "https://dav.example.test/cal/"},
	{Audience: "https://dav.example.test/cal/work", URL: "https://dav.example.test/cal/work"},
	{Audience: "https://dav.example.test:8443/cal/", URL: "https://dav.example.test:8443/cal/"},
	{Audience: "http://127.0.0.1:5232/dav/", URL: "http://127.0.0.1:5232/dav/"},
	{Audience: "https://api.example.test/v1/", URL: "https://api.example.test/v1/"},
	{Audience: "mail.example.test", Hosts: []string{"imap.example.test", "shared.example.test"}},
	{Audience: "mail.example.test", Hosts: []string{"smtp.example.test", "both.example.test"}},
	{Audience: "sieve.example.test", Hosts: []string{"sieve.example.test", "shared.example.test"}},
	{Audience: "pop.example.test", Hosts: []string{"imap.example.test.pop", "mail.example.test"}},
	{Audience: "mail.example.test", Hosts: []string{"both.example.test"}},
	{Audience: ""},
}

func TestR30Resolve(t *testing.T) {
	t.Parallel()
	good := func(target, want string) {
		t.Helper()
		if got, ok := policy.Resolve(nested, target); !ok || got.Audience != want {
			t.Errorf("Resolve(%q) = %q, %v; want %q", target, got.Audience, ok, want)
		}
	}
	bad := func(target string) {
		t.Helper()
		if got, ok := policy.Resolve(nested, target); ok {
			t.Errorf("Resolve(%q) = %q; want nothing", target, got.Audience)
		}
	}

	// the audience itself
	for _, s := range nested[:10] {
		good(s.Audience, s.Audience)
	}
	good("mail.example.test", "mail.example.test") // although it is a host of another service too

	// the longest prefix by whole segments
	good("https://dav.example.test", "https://dav.example.test/")
	good("https://dav.example.test/contacts", "https://dav.example.test/")
	good("https://dav.example.test/cal", "https://dav.example.test/cal/")
	good("https://dav.example.test/cal/alice/home.ics", "https://dav.example.test/cal/")
	good("https://dav.example.test/cal/work/", "https://dav.example.test/cal/work")
	good("https://dav.example.test/cal/work/2026", "https://dav.example.test/cal/work")
	good("https://dav.example.test/cal/workshop", "https://dav.example.test/cal/")
	good("https://dav.example.test/calendar", "https://dav.example.test/")
	good("https://dav.example.test/Cal/work", "https://dav.example.test/") // paths are case-sensitive
	good("https://api.example.test/v1/users/%C3%A4", "https://api.example.test/v1/")
	bad("https://api.example.test/")
	bad("https://api.example.test/v")
	bad("https://api.example.test/v10/users")
	bad("https://api.example.test/V1/users")

	// scheme, host and port are exact
	good("https://dav.example.test:8443/cal/x", "https://dav.example.test:8443/cal/")
	good("http://127.0.0.1:5232/dav/x", "http://127.0.0.1:5232/dav/")
	bad("https://dav.example.test:443/cal/")
	bad("https://dav.example.test:/cal/")
	bad("https://dav.example.test:08443/cal/")
	bad("https://dav.example.test:8443/")
	bad("http://dav.example.test/cal/")
	bad("HTTPS://dav.example.test/cal/")
	bad("https://DAV.example.test/cal/")
	bad("https://dav.example.test./cal/")
	bad("https://evil.test/cal/")
	bad("https://dav.example.test.evil.test/cal/")
	bad("https://evil.test/https://dav.example.test/cal/")
	bad("ftp://dav.example.test/cal/")
	bad("//dav.example.test/cal/")
	bad("/cal/")
	bad("https:/dav.example.test/cal/")
	bad("https:dav.example.test/cal/")
	bad("https:///cal/")

	// nothing that two programs read differently
	bad("https://dav.example.test/cal/../")
	bad("https://dav.example.test/cal/./work")
	bad("https://dav.example.test/cal/work/..")
	bad("https://dav.example.test/cal/%2e%2e/")
	bad("https://dav.example.test/cal/%2E/work")
	bad("https://dav.example.test/cal%2Fwork")
	bad("https://dav.example.test/cal%2fwork")
	bad("https://dav.example.test/cal//work")
	bad("https://dav.example.test//cal/work")
	bad("https://dav.example.test/cal/work//")
	bad("https://dav.example.test//")
	bad(`https://dav.example.test\cal\work`)
	bad(`https://dav.example.test/cal\work`)
	bad("https://alice@dav.example.test/cal/")
	bad("https://alice:secret@dav.example.test/cal/")
	bad("https://@dav.example.test/cal/")
	bad("https://dav.example.test@evil.test/cal/")
	bad("https://dav.example.test/cal/?x=1")
	bad("https://dav.example.test/cal/?")
	bad("https://dav.example.test/cal/#x")
	bad("https://dav.example.test/cal/#")
	bad("https://dav.example.test/cal/\n")
	bad("https://dav.example.test/cal/\x00")
	bad(" https://dav.example.test/cal/")
	bad("https://dav.example.test/cal/%zz")

	// host names of endpoints
	good("imap.example.test", "mail.example.test")
	good("smtp.example.test", "mail.example.test")
	good("both.example.test", "mail.example.test") // of two services with one audience
	good("sieve.example.test", "sieve.example.test")
	bad("shared.example.test") // of two audiences
	bad("IMAP.example.test")
	bad("imap.example.test.")
	bad("imap.example.test:993")
	bad("imap.example.test/")
	bad("imaps://imap.example.test")
	bad("dav.example.test")
	bad("example.test")

	// nothing
	bad("")
	bad(" ")
	bad("/")
	bad("*")
}

func TestR30ResolveAmongNoServices(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"", "/", "imap.example.test", "https://dav.example.test/"} {
		if got, ok := policy.Resolve(nil, target); ok {
			t.Errorf("Resolve(nil, %q) = %+v", target, got)
		}
	}
}

// TestR30DoesNotDependOnTheOrderOfServices: the longest prefix wins wherever it stands.
func TestR30DoesNotDependOnTheOrderOfServices(t *testing.T) {
	t.Parallel()
	for i := range 3 {
		for j := range 3 {
			if i == j {
				continue
			}
			services := []policy.Service{nested[i], nested[j], nested[3-i-j]}
			if got, _ := policy.Resolve(services, "https://dav.example.test/cal/work/x"); got.Audience != nested[2].Audience {
				t.Errorf("order %d, %d: %q, want %q", i, j, got.Audience, nested[2].Audience)
			}
		}
	}
}

// TestR30HiddenServicesDoNotShow: a host name tells no more to who lacks a service than it would without that
// service.
func TestR30HiddenServicesDoNotShow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, second string // conditions of two services on one host
		want          string // what the host names; empty for nothing
	}{
		"both are there":   {``, `"staff" in claims.groups`, ""},
		"second is hidden": {``, `"board" in claims.groups`, imap},
		"first is hidden":  {`"board" in claims.groups`, `true`, "archive.example.test"},
		"both are hidden":  {`false`, `"board" in claims.groups`, ""},
		"one asks for the service": {`service.audience == "imap.example.test"`,
			`service.audience == "imap.example.test"`, imap},
	} {
		r := request(t, policy.Exchange)
		archive := r.Services[0]
		archive.ID, archive.Audience, archive.Hosts = "archive", "archive.example.test", []string{"mx.example.test"}
		archive.Condition = compile(t, c.second)
		r.Services[0].Hosts, r.Services[0].Condition = []string{"mx.example.test"}, compile(t, c.first)
		r.Services = append(r.Services, archive, archive)
		r.Targets = []string{"mx.example.test"}
		d := policy.Decide(r)
		if s, _ := r.Resolve(r.Targets[0]); s.Audience != c.want {
			t.Errorf("%s: the host names %q, want %q", name, s.Audience, c.want)
		}
		if d.Allowed() != (c.want != "") || d.Allowed() && d.Claims.Audience[0] != c.want {
			t.Errorf("%s: %s for %v, want a token for %q", name, d.Rule, d.Claims.Audience, c.want)
		}
		if !d.Allowed() && d.Refusal.Code != oidc.CodeInvalidTarget {
			t.Errorf("%s: %v, want invalid_target", name, d.Refusal)
		}
	}
}
