package directory

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestRealmAt(t *testing.T) {
	t.Parallel()
	tenants := append(mustParse(t, installation), Tenant{Name: "own", Placement: "https://id.own.test:8443"})
	s := mustCompile(t, tenants)
	for _, c := range []struct {
		host, name, want string // want is a tenant, or nothing
	}{
		{"id.signpost.test", "", "example"},
		{"ID.Signpost.Test", "", "example"},
		{"id.signpost.test:443", "", "example"},
		{"id.signpost.test:80", "", ""},
		{"id.signpost.test:8443", "", ""},
		{"id.own.test:8443", "", "own"},
		{"id.own.test", "", ""},
		{"example.test", "", ""},
		{"", "", ""},
		{"id.signpost.test", "other", "other"},
		{"id.signpost.test:443", "other", "other"},
		{"id.signpost.test", "example", ""}, // it is at the base, and nowhere else
		{"id.signpost.test", "own", ""},
		{"id.own.test:8443", "own", ""},
		{"id.own.test:8443", "other", ""},
		{"example.test", "other", ""},
		{"id.signpost.test", "none", ""},
	} {
		r, found := s.RealmAt(c.host, c.name)
		got := ""
		if found {
			got = r.Name
		}
		if got != c.want {
			t.Errorf("RealmAt(%q, %q) = %q, want %q", c.host, c.name, got, c.want)
		}
	}
	for host, want := range map[string]bool{
		"id.signpost.test": true, "ID.signpost.test:443": true, "id.own.test:8443": true,
		"id.own.test": false, "example.test": false, "": false,
	} {
		if got := s.KnownHost(host); got != want {
			t.Errorf("KnownHost(%q) = %v, want %v", host, got, want)
		}
	}
}

func TestRealmAtLoopback(t *testing.T) {
	t.Parallel()
	s, err := Compile("http://127.0.0.1", []Tenant{{Name: "demo", Placement: PlacementBase}}, 1)
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	for host, want := range map[string]bool{"127.0.0.1": true, "127.0.0.1:80": true, "127.0.0.1:443": false, "localhost": false} {
		if _, got := s.RealmAt(host, ""); got != want {
			t.Errorf("RealmAt(%q) found %v, want %v", host, got, want)
		}
	}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	s := example(t)
	if s.Base() != base || s.Revision != 1 {
		t.Errorf("base %q, revision %d; want %q, 1", s.Base(), s.Revision, base)
	}
	realms := s.Realms()
	if len(realms) != 2 || realms[0].Name != "example" || realms[1].Name != "other" {
		t.Fatalf("Realms = %v, want example and other", realms)
	}
	r, found := s.Realm("other")
	if !found || r.Issuer != base+"/t/other" || r.URL("/token") != base+"/t/other/token" {
		t.Errorf("Realm(other) = %v, issuer %q", found, r.Issuer)
	}
	if _, found := s.Realm("none"); found {
		t.Error("Realm(none) was found")
	}
	service, found := r.Service("imap.other.test")
	if !found || service.ID != "mail" {
		t.Errorf("Service(imap.other.test) = %+v, %v", service, found)
	}
	for _, audience := range []string{"imap.example.test", "", "IMAP.other.test"} {
		if service, found := r.Service(audience); found {
			t.Errorf("Service(%q) of tenant other = %s", audience, service.ID)
		}
	}
}

func TestRealmBroadSet(t *testing.T) {
	t.Parallel()
	s := example(t)
	for name, want := range map[string]string{
		"example": "openid offline_access urn:ietf:params:oauth:scope:mail urn:ietf:params:oauth:scope:calendars urn:signpost:scope:files",
		"other":   "openid offline_access urn:ietf:params:oauth:scope:mail",
	} {
		r, _ := s.Realm(name)
		if got := r.Broad.String(); got != want {
			t.Errorf("broad set of %s: %q, want %q", name, got, want)
		}
	}
}

func TestRealmSupported(t *testing.T) {
	t.Parallel()
	s := example(t)
	for name, want := range map[string]string{
		"example": "openid profile email offline_access urn:ietf:params:oauth:scope:mail urn:ietf:params:oauth:scope:calendars urn:signpost:scope:files",
		"other":   "openid profile email offline_access urn:ietf:params:oauth:scope:mail",
	} {
		r, _ := s.Realm(name)
		if got := r.Supported().String(); got != want {
			t.Errorf("supported by %s: %q, want %q", name, got, want)
		}
	}
}

// A scope that opens nothing here is not published.
func TestScopeDocument(t *testing.T) {
	t.Parallel()
	r, _ := example(t).Realm("other")
	document := string(r.ScopeDocument)
	for _, want := range []string{
		`{"broad":"openid offline_access urn:ietf:params:oauth:scope:mail",`,
		`"name":"openid"`, `"name":"profile"`, `"name":"email"`,
		`"opens":["imap","pop3","submission","jmap"],"includes":[],"services":["mail"]}],`,
		`"services":[{"id":"mail","protocol":"imap","scope":"urn:ietf:params:oauth:scope:mail","audience":"imap.other.test","resource":"imap.other.test"}]}`,
	} {
		if !strings.Contains(document, want) {
			t.Errorf("the scope document lacks %s:\n%s", want, document)
		}
	}
	for _, refused := range []string{"scope:calendars", "scope:files", "example.test"} {
		if strings.Contains(document, refused) {
			t.Errorf("the scope document holds %s:\n%s", refused, document)
		}
	}
}

func TestServicesAreSortedByOrder(t *testing.T) {
	t.Parallel()
	s := mustCompile(t, []Tenant{{Name: "t", Placement: PlacementBase, Services: []Service{
		{ID: "c", Order: 2, Audience: "shared.test"}, {ID: "a", Order: 1, Audience: "shared.test"}, {ID: "d", Order: 2}, {ID: "b", Order: 1},
	}}})
	r, _ := s.Realm("t")
	var got []string
	for _, service := range r.Services {
		got = append(got, service.ID)
	}
	if strings.Join(got, " ") != "a b c d" {
		t.Errorf("services in the order %v, want a b c d", got)
	}
	if service, _ := r.Service("shared.test"); service.ID != "a" {
		t.Errorf("of services that share an audience %s is returned, want the first by order", service.ID)
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	service := Service{ID: "s", Protocol: ProtocolWebDAV, Lifetime: time.Minute}
	with := func(audience string) Service { s := service; s.Audience = audience; return s }
	for what, c := range map[string]struct {
		base    string
		tenants []Tenant
		because string
	}{
		"a base that is no URL":      {"id.test", nil, "base URL"},
		"a base with a path":         {"https://id.test/x", nil, "must not have a path"},
		"plain http":                 {"http://id.test", nil, "loopback"},
		"a name twice":               {base, []Tenant{{Name: "a", Placement: PlacementPath}, {Name: "a", Placement: PlacementPath}}, "twice"},
		"two at the base":            {base, []Tenant{{Name: "a", Placement: PlacementBase}, {Name: "b", Placement: PlacementBase}}, "tenant b: another tenant answers"},
		"own issuer at the base":     {base, []Tenant{{Name: "a", Placement: base}}, "another tenant answers"},
		"own issuer with a path":     {base, []Tenant{{Name: "a", Placement: "https://a.test/x"}}, "must not have a path"},
		"an issuer that is no URL":   {base, []Tenant{{Name: "a", Placement: "nowhere"}}, "tenant a: issuer"},
		"a domain of two":            {base, []Tenant{{Name: "a", Placement: PlacementPath, Domains: []Domain{{Name: "a.test"}}}, {Name: "b", Placement: PlacementPath, Domains: []Domain{{Name: "a.test"}}}}, "tenant b: domain a.test"},
		"R7 an audience that is us":  {base, []Tenant{{Name: "a", Placement: PlacementBase, Services: []Service{with(base)}}}, "is an issuer"},
		"R7 with a slash":            {base, []Tenant{{Name: "a", Placement: PlacementBase, Services: []Service{with(base + "/")}}}, "is an issuer"},
		"R7 another tenant's issuer": {base, []Tenant{{Name: "a", Placement: PlacementPath}, {Name: "b", Placement: PlacementPath, Services: []Service{with(base + "/t/a")}}}, "is an issuer"},
		"R7 a client id":             {base, []Tenant{{Name: "a", Placement: PlacementPath, Services: []Service{with("open")}}}, "client id"},
		"R7 a built-in client's id":  {base, []Tenant{{Name: "a", Placement: PlacementPath, Services: []Service{with("thunderbird")}}}, "client id"},
		"R7 another tenant's client": {base, []Tenant{{Name: "a", Placement: PlacementPath, FixedClients: []FixedClient{{ID: "x"}}}, {Name: "b", Placement: PlacementPath, Services: []Service{with("x")}}}, "client id"},
	} {
		if s, err := Compile(c.base, c.tenants, 1); err == nil || !strings.Contains(err.Error(), c.because) || s != nil {
			t.Errorf("%s: Compile = %v, %v; want an error with %q", what, s, err, c.because)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	var answers Answers
	if _, err := answers.Current().Answer(nil, "acct:alice@example.test", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("before the first snapshot: %v, want ErrNotFound", err)
	}
	if _, found := answers.Current().RealmAt("", ""); found || answers.Current().KnownHost("") {
		t.Error("before the first snapshot somebody answers at no host")
	}
	s := example(t)
	answers.Store(s)
	if answers.Current() != s {
		t.Error("Current is not what was stored")
	}
}
