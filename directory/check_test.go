package directory

import (
	"strings"
	"testing"
	"time"

	"signpost/scopes"
)

func TestCheckAcceptsTheInstallation(t *testing.T) {
	t.Parallel()
	if problems := Check(mustParse(t, installation)); problems != nil {
		t.Errorf("Check: %v", problems)
	}
	if problems := Check(nil); problems != nil {
		t.Errorf("Check of nothing: %v", problems)
	}
}

// refusal is one change to a good declaration and what Check says about it.
type refusal struct {
	change  func(tenants []Tenant)
	because string
}

// expect applies each change to the installation alone and wants one problem of it.
func expect(t *testing.T, refusals map[string]refusal) {
	t.Helper()
	for what, c := range refusals {
		tenants := mustParse(t, installation)
		c.change(tenants)
		problems := Check(tenants)
		if len(problems) != 1 || !strings.Contains(problems[0].Message, c.because) {
			t.Errorf("%s: Check says\n%v\nwant one problem with %q", what, problems, c.because)
		}
	}
}

// service changes the first service of the first tenant: imap.
func service(change func(*Service)) func([]Tenant) {
	return func(tenants []Tenant) { change(&tenants[0].Services[0]) }
}

// calendars changes the third service of the first tenant: caldav.
func calendars(change func(*Service)) func([]Tenant) {
	return func(tenants []Tenant) { change(&tenants[0].Services[2]) }
}

// provider changes the only identity provider.
func provider(change func(*IdentityProvider)) func([]Tenant) {
	return func(tenants []Tenant) { change(&tenants[0].IdentityProviders[0]) }
}

func TestCheckTenant(t *testing.T) {
	t.Parallel()
	expect(t, map[string]refusal{
		"no name":                {func(ts []Tenant) { ts[1].Name = "" }, "tenant without a name: name is missing"},
		"a name with a slash":    {func(ts []Tenant) { ts[1].Name = "a/b" }, `"a/b" is not a name`},
		"a long name":            {func(ts []Tenant) { ts[1].Name = strings.Repeat("a", 33) }, "is not a name"},
		"no title":               {func(ts []Tenant) { ts[1].Title = "" }, "tenant other: title is missing"},
		"help that is no URL":    {func(ts []Tenant) { ts[0].Help = "call us" }, "help is not an https URL"},
		"help by http":           {func(ts []Tenant) { ts[0].Help = "http://example.test/" }, "help is not an https URL"},
		"help by script":         {func(ts []Tenant) { ts[0].Help = "javascript:alert(1)" }, "help is not an https URL"},
		"an unknown placement":   {func(ts []Tenant) { ts[1].Placement = "bse" }, "issuer: not an https URL"},
		"an issuer by http":      {func(ts []Tenant) { ts[1].Placement = "http://id.other.test" }, "use https"},
		"an issuer with a path":  {func(ts []Tenant) { ts[1].Placement = "https://id.other.test/x" }, "must not have a path"},
		"an issuer with a query": {func(ts []Tenant) { ts[1].Placement = "https://id.other.test?x" }, "query"},
		"a domain in upper case": {func(ts []Tenant) { ts[1].Domains[0].Name = "Other.test" }, "has to be written other.test"},
		"a domain with a port":   {func(ts []Tenant) { ts[1].Domains[0].Name = "other.test:25" }, "not a domain name"},
		"the name of another":    {func(ts []Tenant) { ts[1].Name = "example" }, "another tenant has the name"},
	})
}

func TestCheckScopes(t *testing.T) {
	t.Parallel()
	text := map[string]string{"en": "x"}
	set := func(list ...scopes.Scope) func([]Tenant) { return func(ts []Tenant) { ts[1].Scopes = list } }
	expect(t, map[string]refusal{
		"no name":                {set(scopes.Scope{Title: text, Text: text}), "name is missing"},
		"a name with a space":    {set(scopes.Scope{Name: "a b", Title: text, Text: text}), "not a scope word"},
		"no English title":       {set(scopes.Scope{Name: "a", Text: text}), "title in English is missing"},
		"no English text":        {set(scopes.Scope{Name: "a", Title: text, Text: map[string]string{"de": "x"}}), "text in English is missing"},
		"a language nobody has":  {set(scopes.Scope{Name: "a", Title: text, Text: map[string]string{"en": "x", "english": "x"}}), `"english" is not a language tag`},
		"an unknown protocol":    {set(scopes.Scope{Name: "a", Title: text, Text: text, Opens: []string{"gopher"}}), `opens "gopher" is not known`},
		"the same twice":         {set(scopes.Scope{Name: "a", Title: text, Text: text}, scopes.Scope{Name: "a", Title: text, Text: text}), "the name comes twice"},
		"includes an unknown":    {set(scopes.Scope{Name: "a", Title: text, Text: text, Includes: []string{"b"}}), `"b", which does not exist`},
		"includes itself":        {set(scopes.Scope{Name: "a", Title: text, Text: text, Includes: []string{"a"}}), "include each other: a, a"},
		"service without scopes": {service(func(s *Service) { s.Scopes = nil }), "service mail: scopes is missing"},
		"not in the catalogue":   {service(func(s *Service) { s.Scopes = []string{"mail"} }), `scope "mail" is not in the catalogue`},
		"a scope twice":          {service(func(s *Service) { s.Scopes = []string{"email", "email"} }), `scope "email" comes twice`},
	})
}

func TestCheckIdentityProvider(t *testing.T) {
	t.Parallel()
	expect(t, map[string]refusal{
		"no name":           {provider(func(p *IdentityProvider) { p.Name = "" }), "name is missing"},
		"no title":          {provider(func(p *IdentityProvider) { p.Title = "" }), "identity provider staff: title is missing"},
		"no issuer":         {provider(func(p *IdentityProvider) { p.Issuer = "" }), "issuer is missing"},
		"an issuer by http": {provider(func(p *IdentityProvider) { p.Issuer = "http://login.test" }), "use https"},
		"dot segments":      {provider(func(p *IdentityProvider) { p.Issuer = "https://login.test/a/../b" }), "dot segments"},
		"no client id":      {provider(func(p *IdentityProvider) { p.ClientID = "" }), "client_id is missing"},
		"no openid":         {provider(func(p *IdentityProvider) { p.Scopes = []string{"email"} }), "scopes must contain openid"},
		"no scope word":     {provider(func(p *IdentityProvider) { p.Scopes = []string{"openid", "a b"} }), `"a b" is not a scope word`},
		"a domain twice":    {provider(func(p *IdentityProvider) { p.Domains = []string{"example.test", "example.test"} }), "comes twice"},
		"no address claim":  {provider(func(p *IdentityProvider) { p.AddressClaim = "" }), "address_claim is missing"},
		"no login claim":    {provider(func(p *IdentityProvider) { p.LoginClaim = "" }), "login_claim is missing"},
		"no name claim":     {provider(func(p *IdentityProvider) { p.NameClaim = "" }), "name_claim is missing"},
		"the name of another": {func(ts []Tenant) {
			ts[0].IdentityProviders = append(ts[0].IdentityProviders, ts[0].IdentityProviders[0])
			ts[0].Services[3].Username = "{address}"
		}, "the name comes twice"},
		"no domains of several": {provider(func(p *IdentityProvider) { p.Domains = nil }), "domains is missing"},
	})
}

// Whose word counts, and for which addresses, has to be declared.
func TestR2TrustRules(t *testing.T) {
	t.Parallel()
	expect(t, map[string]refusal{
		"no trust rule":         {provider(func(p *IdentityProvider) { p.AddressTrust = "" }), "address_trust is missing"},
		"an unknown trust rule": {provider(func(p *IdentityProvider) { p.AddressTrust = "always" }), `address_trust "always" is not known`},
		"a foreign domain":      {provider(func(p *IdentityProvider) { p.Domains = []string{"other.test"} }), "domain other.test is not the tenant's"},
		"Entra for everybody": {provider(func(p *IdentityProvider) {
			p.Issuer = "https://login.microsoftonline.com/common/v2.0"
		}), `"common" is every organisation's`},
		"Entra for every organisation": {provider(func(p *IdentityProvider) {
			p.Issuer = "https://login.microsoftonline.com/organizations/v2.0"
		}), "is every organisation's"},
	})
	tenants := mustParse(t, installation)
	tenants[0].IdentityProviders[0].Issuer = "https://login.microsoftonline.com/8a8b1d2e-0000-4000-8000-000000000000/v2.0"
	if problems := Check(tenants); problems != nil {
		t.Errorf("Entra with the id of one tenant: %v", problems)
	}
}

// Where anybody can get an account, nobody's word is a directory.
func TestR2DirectoryTrustNeedsAnIssuerOfOnesOwn(t *testing.T) {
	t.Parallel()
	problemsAt := func(issuer, trust string) Problems {
		tenants := mustParse(t, installation)
		p := &tenants[0].IdentityProviders[0]
		p.Issuer, p.AddressTrust = issuer, trust
		return Check(tenants)
	}
	for _, issuer := range []string{
		"https://accounts.google.com",
		"https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
		"https://login.microsoftonline.com/9188040D-6C67-4C5B-B112-36A304B66DAD/v2.0",
		"https://sts.windows.net/9188040d-6c67-4c5b-b112-36a304b66dad/",
		"https://appleid.apple.com", "https://account.apple.com",
		"https://login.yahoo.com", "https://api.login.yahoo.com",
		"https://gitlab.com", "https://gitlab.com/",
		"https://facebook.com", "https://www.facebook.com", "https://limited.facebook.com/dialog",
		"https://github.com/login/oauth", "https://token.actions.githubusercontent.com",
		"https://www.linkedin.com/oauth", "https://accounts.google.com:8443",
	} {
		problems := problemsAt(issuer, TrustDirectory)
		if len(problems) != 1 || !strings.Contains(problems[0].Message, "anybody can get an account") || problems[0].Hint != "use email_verified" {
			t.Errorf("%s: Check says\n%v\nwant one problem: anybody can get an account there", issuer, problems)
		}
		if problems := problemsAt(issuer, TrustEmailVerified); problems != nil {
			t.Errorf("%s with email_verified: Check says\n%v\nwant nothing", issuer, problems)
		}
	}
	for _, issuer := range []string{
		"https://login.microsoftonline.com/common/v2.0",
		"https://login.microsoftonline.com/organizations/v2.0",
		"https://login.microsoftonline.com/consumers/v2.0",
	} {
		if problems := problemsAt(issuer, TrustDirectory); len(problems) != 1 {
			t.Errorf("%s: Check says\n%v\nwant one problem", issuer, problems)
		}
	}
	for _, issuer := range []string{
		"https://login.example.test/realms/staff",
		"https://gitlab.example.test",
		"https://notgitlab.com",
		"https://gitlab.com.example.test",
		"https://login.microsoftonline.com/8a8b1d2e-0000-4000-8000-000000000000/v2.0",
		"https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad0/v2.0",
	} {
		if problems := problemsAt(issuer, TrustDirectory); problems != nil {
			t.Errorf("%s: Check says\n%v\nwant nothing", issuer, problems)
		}
	}
}

// Two people must not get one name, at a service or in a URL.
func TestR1TemplatesGiveEachPersonAName(t *testing.T) {
	t.Parallel()
	const login, local = "two people one {login}", "may have one {local}"
	for what, c := range map[string]struct {
		providers, domains int
		template           string
		because            string // empty if it is good
	}{
		"login, one provider":                {1, 2, "{login}", "proves addresses, and no {login}"},
		"local and domain run together":      {1, 2, "{local}{domain}", local},
		"local and domain by a dot":          {1, 2, "{local}.{domain}", local},
		"local below its domain":             {1, 2, "{domain}/{local}", ""},
		"login, two providers":               {2, 1, "{login}", login},
		"login with more, two providers":     {2, 1, "x-{login}", login},
		"login with a domain, two providers": {2, 2, "{login}@{domain}", login},
		"local, one domain":                  {2, 1, "{local}", ""},
		"local, two domains":                 {1, 2, "{local}", local},
		"local in a fixed domain":            {1, 2, "{local}@example.test", local},
		"local and domain":                   {2, 2, "{local}@{domain}", ""},
		"address":                            {2, 2, "{address}", ""},
		"subject":                            {2, 2, "{subject}", ""},
	} {
		for key, change := range map[string]func(*Tenant){
			"username": func(tenant *Tenant) { tenant.Services[0].Username = c.template },
			"url": func(tenant *Tenant) {
				tenant.Services[2].Endpoints[0].URL = "https://dav.example.test/cal/" + c.template + "/"
				tenant.Services[2].Audience = "https://dav.example.test/cal/"
			},
		} {
			tenants := mustParse(t, installation)
			tenant := &tenants[0]
			tenant.Services = tenant.Services[:3] // without the one that has {login} already
			if c.providers == 2 {
				second := tenant.IdentityProviders[0]
				second.Name = "second"
				tenant.IdentityProviders = append(tenant.IdentityProviders, second)
			}
			tenant.Domains = tenant.Domains[:c.domains]
			for i := range tenant.IdentityProviders {
				tenant.IdentityProviders[i].Domains = []string{"example.test"}
			}
			change(tenant)
			problems := Check(tenants)
			if c.because == "" && problems != nil {
				t.Errorf("%s, %s: Check says\n%v\nwant nothing", what, key, problems)
			}
			if c.because != "" && (len(problems) != 1 || !strings.Contains(problems[0].Message, key+": ") ||
				!strings.Contains(problems[0].Message, c.because) || !strings.Contains(problems[0].Hint, "use {address}")) {
				t.Errorf("%s, %s: Check says\n%v\nwant one problem with %q, and {address} as the hint", what, key, problems, c.because)
			}
		}
	}
}

// A directory's word about login names counts; a template without a person never does.
func TestR1LoginNamesNeedADirectoryAndAPerson(t *testing.T) {
	t.Parallel()
	for template, c := range map[string]struct {
		trust, want string // want is empty if it is good
	}{
		"{login}":                 {TrustDirectory, ""},
		"{login}@example.test":    {TrustEmailVerified, "proves addresses, and no {login}"},
		"shared":                  {TrustDirectory, "names nobody in particular"},
		"postmaster@example.test": {TrustDirectory, "names nobody in particular"},
		"{domain}":                {TrustDirectory, "names nobody in particular"},
	} {
		tenants := mustParse(t, installation)
		tenants[0].IdentityProviders[0].AddressTrust = c.trust
		tenants[0].Services[0].Username = template
		problems := Check(tenants)
		if c.want == "" && problems != nil || c.want != "" && (len(problems) != 1 || !strings.Contains(problems.Error(), c.want)) {
			t.Errorf("%s with %s: Check says %v, want %q", template, c.trust, problems, c.want)
		}
	}
}

func TestCheckService(t *testing.T) {
	t.Parallel()
	endpoint := func(change func(*Endpoint)) func([]Tenant) {
		return service(func(s *Service) { change(&s.Endpoints[0]) })
	}
	expect(t, map[string]refusal{
		"no id":                        {service(func(s *Service) { s.ID = "" }), "id is missing"},
		"the id of another":            {service(func(s *Service) { s.ID = "send" }), "the name comes twice"},
		"no protocol":                  {service(func(s *Service) { s.Protocol = "" }), "protocol is missing"},
		"an unknown protocol":          {service(func(s *Service) { s.Protocol = "imaps" }), `protocol "imaps" is not known`},
		"no title":                     {service(func(s *Service) { s.Title = "" }), "title is missing"},
		"no endpoint":                  {service(func(s *Service) { s.Endpoints = nil }), "endpoints is missing"},
		"no host":                      {endpoint(func(e *Endpoint) { e.Host = "" }), "has no host"},
		"a host that is no name":       {endpoint(func(e *Endpoint) { e.Host = "imap example" }), "neither a domain name"},
		"port 0":                       {endpoint(func(e *Endpoint) { e.Port = 0 }), "port"},
		"port 65536":                   {endpoint(func(e *Endpoint) { e.Port = 65536 }), "port"},
		"no security":                  {endpoint(func(e *Endpoint) { e.Security = "" }), "security of an endpoint is missing"},
		"unknown security":             {endpoint(func(e *Endpoint) { e.Security = "ssl" }), `security "ssl" is not known`},
		"imap by URL":                  {endpoint(func(e *Endpoint) { *e = Endpoint{URL: "https://imap.example.test/"} }), "imap is not reached by URL"},
		"caldav by host":               {calendars(func(s *Service) { s.Endpoints[0] = Endpoint{Host: "dav.example.test", Port: 443, Security: "tls"} }), "caldav is reached by URL"},
		"a template in the host":       {calendars(func(s *Service) { s.Endpoints[0].URL = "https://{subject}.example.test/" }), "in the path only"},
		"an unknown placeholder":       {calendars(func(s *Service) { s.Endpoints[0].URL = "https://dav.example.test/cal/{user}/" }), "a template knows"},
		"a URL with a query":           {calendars(func(s *Service) { s.Endpoints[0].URL += "?x=y" }), "query"},
		"no login name":                {service(func(s *Service) { s.Username = "" }), "username is missing"},
		"an unknown template":          {service(func(s *Service) { s.Username = "{mail}" }), "a template knows {address}"},
		"an unclosed template":         {service(func(s *Service) { s.Username = "{address" }), "a template knows"},
		"an unopened template":         {service(func(s *Service) { s.Username = "address}" }), "a } without {"},
		"no profile":                   {service(func(s *Service) { s.Profile = "" }), "profile is missing"},
		"an unknown profile":           {service(func(s *Service) { s.Profile = "rfc9086" }), `profile "rfc9086" is not known`},
		"no algorithm":                 {service(func(s *Service) { s.Algorithm = "" }), "algorithm is missing"},
		"an algorithm without a key":   {service(func(s *Service) { s.Algorithm = "none" }), `algorithm "none" is not known`},
		"a short lifetime":             {service(func(s *Service) { s.Lifetime = 59 * time.Second }), "lifetime 59s"},
		"a long lifetime":              {service(func(s *Service) { s.Lifetime = time.Hour + 1 }), "lifetime 1h"},
		"no credential":                {service(func(s *Service) { s.Credential = "" }), "credential is missing"},
		"an order below zero":          {service(func(s *Service) { s.Order = -1 }), "order is below zero"},
		"no authentication":            {service(func(s *Service) { s.Authentication = nil }), "authentication is missing"},
		"a way that is not imap's":     {service(func(s *Service) { s.Authentication = []string{"bearer"} }), `authentication "bearer" is not a way into imap`},
		"a way that is not caldav's":   {calendars(func(s *Service) { s.Authentication = []string{"xoauth2"} }), `"xoauth2" is not a way into caldav`},
		"no TLS that nobody asked for": {endpoint(func(e *Endpoint) { e.Security = SecurityNone }), "an endpoint has no TLS"},
		"http that nobody asked for": {calendars(func(s *Service) {
			s.Endpoints[0].URL, s.Audience = "http://127.0.0.1:8080/", "http://127.0.0.1:8080/"
		}), "an endpoint has no TLS"},
		"http on the net, even if asked for": {calendars(func(s *Service) {
			s.Endpoints[0].URL, s.Insecure = "http://dav.example.test/cal/", true
		}), "literal loopback addresses only"},
	})
}

func TestInsecureIsAllowedWhereItIsSaid(t *testing.T) {
	t.Parallel()
	tenants := mustParse(t, installation)
	tenants[0].Services[0].Endpoints[0].Security = SecurityNone
	tenants[0].Services[0].Insecure = true
	tenants[0].Services[2].Endpoints[0].URL = "http://[::1]:8080/cal/"
	tenants[0].Services[2].Audience = "http://[::1]:8080/cal/"
	tenants[0].Services[2].Insecure = true
	if problems := Check(tenants); problems != nil {
		t.Errorf("Check: %v", problems)
	}
}
