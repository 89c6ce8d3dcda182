package issuer_test

import (
	"errors"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/oidc/issuer"
	"signpost/scopes"
)

const (
	base        = "https://id.example.test"
	redirectURI = "http://127.0.0.1:49152/cb"
	challenge   = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636, appendix B
	all         = "openid offline_access " + scopes.Mail + " " + scopes.Calendars
)

const declaration = `
tenants:
  - name: example
    issuer: base
    title: Example Organisation
    domains: [example.test, guests.test, partner.test]
    identity_providers:
      - {name: staff, title: Staff, issuer: "https://login.example.test", client_id: x, scopes: [openid], domains: [example.test], address_trust: email_verified}
      - {name: guests, title: Guests, issuer: "https://guests.example.test", client_id: x, scopes: [openid], domains: [guests.test, partner.test], address_trust: email_verified}
      - {name: partner, title: Partner, issuer: "https://partner.example.test", client_id: x, scopes: [openid], domains: [partner.test], address_trust: email_verified}
    services:
      - {id: imap, protocol: imap, title: Mail, endpoints: [{host: imap.example.test, port: 993, security: tls}], scopes: ["urn:ietf:params:oauth:scope:mail"], in_broad: false}
      - {id: calendar, protocol: caldav, title: Calendar, endpoints: [{url: "https://dav.example.test/calendars/"}], scopes: ["urn:ietf:params:oauth:scope:calendars"], username: "{local}@{domain}", lifetime: 5m}
  - name: other
    issuer: path
    title: Other Organisation
    domains: [other.test]
    services:
      - {id: mail, protocol: imap, title: Mail, endpoints: [{host: imap.other.test, port: 993, security: tls}], scopes: ["urn:ietf:params:oauth:scope:mail"], in_broad: false}
`

// open is the client that everybody may use.
var open = clients.Client{ID: oidc.ClientOpen, Kind: clients.Open}

func realm(t testing.TB, name string) *directory.Realm {
	t.Helper()
	tenants, err := directory.Parse("tenants.yaml", []byte(declaration), os.LookupEnv, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := directory.Compile(base, tenants, 1)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := snapshot.Realm(name)
	if !ok {
		t.Fatalf("no tenant %s", name)
	}
	return r
}

// ask is a good authorization request; edit changes it.
func ask(edit func(q url.Values)) url.Values {
	q := url.Values{
		"client_id": {"open"}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {all},
		"state": {"s-1"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	if edit != nil {
		edit(q)
	}
	return q
}

// with is an ask with one parameter set, or taken away if there are no values.
func with(name string, values ...string) url.Values {
	return ask(func(q url.Values) {
		q[name] = values
		if values == nil {
			q.Del(name)
		}
	})
}

func TestCheckTakes(t *testing.T) {
	t.Parallel()
	r := realm(t, "example")
	plain := issuer.Ask{ClientID: "open", RedirectURI: redirectURI, State: "s-1", Scope: all, Challenge: challenge}
	zero, day := 0, 86400
	for name, c := range map[string]struct {
		q    url.Values
		want func(a *issuer.Ask)
	}{
		"the least":              {ask(nil), func(*issuer.Ask) {}},
		"without state":          {with("state"), func(a *issuer.Ask) { a.State = "" }},
		"unknown parameters":     {with("fancy", "de"), func(*issuer.Ask) {}},
		"acr_values":             {with("acr_values", "urn:example:gold silver"), func(a *issuer.Ask) { a.ACRValues = "urn:example:gold silver" }},
		"acr_values too long":    {with("acr_values", strings.Repeat("a", 321)), func(*issuer.Ask) {}},
		"ui_locales":             {with("ui_locales", "de-CH de en"), func(a *issuer.Ask) { a.UILocales = "de-CH de en" }},
		"ui_locales too long":    {with("ui_locales", strings.Repeat("a", 321)), func(*issuer.Ask) {}},
		"ui_locales of no kind":  {with("ui_locales", "de;q=1"), func(*issuer.Ask) {}},
		"dpop_jkt":               {with("dpop_jkt", challenge), func(a *issuer.Ask) { a.Key = challenge }},
		"response_mode=query":    {with("response_mode", "query"), func(*issuer.Ask) {}},
		"nonce":                  {with("nonce", "n-1"), func(a *issuer.Ask) { a.Nonce = "n-1" }},
		"login_hint":             {with("login_hint", "alice@example.test"), func(a *issuer.Ask) { a.LoginHint = "alice@example.test" }},
		"login_hint too long":    {with("login_hint", strings.Repeat("a", 321)), func(*issuer.Ask) {}},
		"unknown scope words":    {with("scope", "openid fancy "+scopes.Mail+" "+scopes.Chat), func(a *issuer.Ask) { a.Scope = "openid " + scopes.Mail }},
		"a host as resource":     {with("resource", "imap.example.test"), func(a *issuer.Ask) { a.Resources = []string{"imap.example.test"} }},
		"a URL below a service":  {with("resource", "https://dav.example.test/calendars/alice"), func(a *issuer.Ask) { a.Resources = []string{"https://dav.example.test/calendars/"} }},
		"a service twice":        {with("resource", "imap.example.test", "imap.example.test"), func(a *issuer.Ask) { a.Resources = []string{"imap.example.test"} }},
		"the issuer as resource": {with("resource", base, base+"/configuration"), func(*issuer.Ask) {}},
		"prompt=consent":         {with("prompt", "consent"), func(a *issuer.Ask) { a.AskAgain = true }},
		"prompt=login":           {with("prompt", "login"), func(a *issuer.Ask) { a.Prompt = "login" }},
		"prompt=select_account":  {with("prompt", "select_account"), func(a *issuer.Ask) { a.Prompt = "select_account" }},
		"prompt=consent login":   {with("prompt", "consent login"), func(a *issuer.Ask) { a.Prompt, a.AskAgain = "login", true }},
		"max_age=0":              {with("max_age", "0"), func(a *issuer.Ask) { a.MaxAge = &zero }},
		"max_age of a day":       {with("max_age", "86400"), func(a *issuer.Ask) { a.MaxAge = &day }},
		"loopback of IPv6":       {with("redirect_uri", "http://[::1]:1/"), func(a *issuer.Ask) { a.RedirectURI = "http://[::1]:1/" }},
		"text outside ASCII":     {with("state", "Grüße"), func(a *issuer.Ask) { a.State = "Grüße" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := (&issuer.Issuer{Clients: &clients.Clients{}}).Check(t.Context(), r, c.q)
			if err != nil {
				t.Fatalf("Check(%v): %v", c.q, err)
			}
			want := plain
			c.want(&want)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("Check(%v)\n got %+v\nwant %+v", c.q, got, want)
			}
		})
	}
}

// TestRFC6749NothingIsSentToAnUnprovenRedirect: "MUST NOT automatically redirect the
// user-agent to the invalid redirection URI" (RFC 6749, section 4.1.2.1).
func TestRFC6749NothingIsSentToAnUnprovenRedirect(t *testing.T) {
	t.Parallel()
	r := realm(t, "example")
	for name, c := range map[string]struct {
		q    url.Values
		page string
	}{
		"nothing":                  {url.Values{}, "bad_client"},
		"no client_id":             {with("client_id"), "bad_client"},
		"empty client_id":          {with("client_id", ""), "bad_client"},
		"unknown client_id":        {with("client_id", "nobody"), "bad_client"},
		"client_id in capitals":    {with("client_id", "OPEN"), "bad_client"},
		"client_id twice":          {with("client_id", "open", "open"), "bad_client"},
		"client_id of two kinds":   {with("client_id", "open", "evil"), "bad_client"},
		"no redirect_uri":          {with("redirect_uri"), "bad_redirect"},
		"empty redirect_uri":       {with("redirect_uri", ""), "bad_redirect"},
		"redirect_uri twice":       {with("redirect_uri", redirectURI, redirectURI), "bad_redirect"},
		"good and bad redirect":    {with("redirect_uri", redirectURI, "https://evil.test/"), "bad_redirect"},
		"localhost":                {with("redirect_uri", "http://localhost:49152/cb"), "bad_redirect"},
		"somewhere else":           {with("redirect_uri", "https://evil.test/cb"), "bad_redirect"},
		"bad redirect, bad scope":  {ask(func(q url.Values) { q.Set("redirect_uri", "https://evil.test/"); q.Del("scope") }), "bad_redirect"},
		"bad client, bad redirect": {ask(func(q url.Values) { q.Set("redirect_uri", "https://evil.test/"); q.Set("client_id", "x") }), "bad_client"},
	} {
		_, err := (&issuer.Issuer{Clients: &clients.Clients{}}).Check(t.Context(), r, c.q)
		unproven, ok := errors.AsType[*issuer.Unproven](err)
		if !ok || unproven.Page != c.page {
			t.Errorf("%s: %v, want the page %s", name, err, c.page)
		}
		if _, ok := errors.AsType[*issuer.Denied](err); ok {
			t.Errorf("%s: would be sent to the client", name)
		}
	}
}

func TestCheckDenies(t *testing.T) {
	t.Parallel()
	r := realm(t, "example")
	for name, c := range map[string]struct {
		q    url.Values
		code string
	}{
		"request":                 {with("request", "eyJ"), oidc.CodeRequestNotSupported},
		"request_uri":             {with("request_uri", "urn:x"), oidc.CodeRequestURINotSupported},
		"no response_type":        {with("response_type"), oidc.CodeInvalidRequest},
		"implicit":                {with("response_type", "token"), oidc.CodeUnsupportedResponseType},
		"hybrid":                  {with("response_type", "code id_token"), oidc.CodeUnsupportedResponseType},
		"response_mode=fragment":  {with("response_mode", "fragment"), oidc.CodeInvalidRequest},
		"response_mode=form_post": {with("response_mode", "form_post"), oidc.CodeInvalidRequest},
		"no PKCE at all": {ask(func(q url.Values) {
			q.Del("code_challenge")
			q.Del("code_challenge_method")
		}), oidc.CodeInvalidRequest},
		"no code_challenge":              {with("code_challenge"), oidc.CodeInvalidRequest},
		"empty code_challenge":           {with("code_challenge", ""), oidc.CodeInvalidRequest},
		"method plain":                   {with("code_challenge_method", "plain"), oidc.CodeInvalidRequest},
		"no method, which means plain":   {with("code_challenge_method"), oidc.CodeInvalidRequest},
		"method in small letters":        {with("code_challenge_method", "s256"), oidc.CodeInvalidRequest},
		"short code_challenge":           {with("code_challenge", challenge[1:]), oidc.CodeInvalidRequest},
		"long code_challenge":            {with("code_challenge", challenge+"A"), oidc.CodeInvalidRequest},
		"code_challenge with padding":    {with("code_challenge", challenge[1:]+"="), oidc.CodeInvalidRequest},
		"code_challenge with a dot":      {with("code_challenge", challenge[:20]+"."+challenge[21:]), oidc.CodeInvalidRequest},
		"no scope":                       {with("scope"), oidc.CodeInvalidScope},
		"empty scope":                    {with("scope", ""), oidc.CodeInvalidScope},
		"two spaces in scope":            {with("scope", "openid  offline_access"), oidc.CodeInvalidScope},
		"only unknown words":             {with("scope", "fancy "+scopes.Chat), oidc.CodeInvalidScope},
		"a foreign resource":             {with("resource", "https://evil.test/"), oidc.CodeInvalidTarget},
		"another tenant's resource":      {with("resource", "imap.other.test"), oidc.CodeInvalidTarget},
		"an empty resource":              {with("resource", ""), oidc.CodeInvalidTarget},
		"a good and a foreign resource":  {with("resource", "imap.example.test", "evil.test"), oidc.CodeInvalidTarget},
		"too many resources":             {with("resource", slices.Repeat([]string{"imap.example.test"}, 33)...), oidc.CodeInvalidTarget},
		"a resource that is not opened":  {ask(func(q url.Values) { q.Set("scope", scopes.Calendars); q.Set("resource", "imap.example.test") }), oidc.CodeInvalidTarget},
		"resource with dot segments":     {with("resource", "https://dav.example.test/calendars/../"), oidc.CodeInvalidTarget},
		"prompt=none":                    {with("prompt", "none"), oidc.CodeConsentRequired}, // R12
		"prompt=none login":              {with("prompt", "none login"), oidc.CodeInvalidRequest},
		"unknown prompt":                 {with("prompt", "create"), oidc.CodeInvalidRequest},
		"short dpop_jkt":                 {with("dpop_jkt", challenge[1:]), oidc.CodeInvalidRequest},
		"empty dpop_jkt":                 {with("dpop_jkt", ""), oidc.CodeInvalidRequest},
		"dpop_jkt with padding":          {with("dpop_jkt", challenge[1:]+"="), oidc.CodeInvalidRequest},
		"dpop_jkt twice":                 {with("dpop_jkt", challenge, challenge), oidc.CodeInvalidRequest},
		"max_age that is no number":      {with("max_age", "1h"), oidc.CodeInvalidRequest},
		"max_age with a sign":            {with("max_age", "+5"), oidc.CodeInvalidRequest},
		"max_age of a century":           {with("max_age", "3153600000"), oidc.CodeInvalidRequest},
		"negative max_age":               {with("max_age", "-1"), oidc.CodeInvalidRequest},
		"empty max_age":                  {with("max_age", ""), oidc.CodeInvalidRequest},
		"max_age beyond all numbers":     {with("max_age", "99999999999999999999"), oidc.CodeInvalidRequest},
		"state twice":                    {with("state", "a", "b"), oidc.CodeInvalidRequest},
		"scope twice":                    {with("scope", "openid", scopes.Mail), oidc.CodeInvalidRequest},
		"code_challenge twice":           {with("code_challenge", challenge, challenge), oidc.CodeInvalidRequest},
		"an unknown parameter twice":     {with("x", "1", "2"), oidc.CodeInvalidRequest},
		"state with a line end":          {with("state", "a\r\nb"), oidc.CodeInvalidRequest},
		"state that is not UTF-8":        {with("state", "a\xff"), oidc.CodeInvalidRequest},
		"nonce with a control character": {with("nonce", "a\x00"), oidc.CodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := (&issuer.Issuer{Clients: &clients.Clients{}}).Check(t.Context(), r, c.q)
			denied, ok := errors.AsType[*issuer.Denied](err)
			if !ok || denied.Err.Code != c.code || denied.Err.Description == "" {
				t.Fatalf("Check(%v): %v, want %s", c.q, err, c.code)
			}
			wantSent(t, c.q, denied)
		})
	}
}

// wantSent checks the redirect of a refusal: to the client's own URI with error, iss
// (RFC 9207, section 2) and the state as it came, or none.
func wantSent(t *testing.T, q url.Values, denied *issuer.Denied) {
	t.Helper()
	location := denied.RedirectError(base)
	answer, found := strings.CutPrefix(location, q.Get("redirect_uri")+"?")
	if !found || !open.RedirectAllowed(q.Get("redirect_uri")) && q.Get("client_id") == open.ID {
		t.Fatalf("sent to %q for %v", location, q)
	}
	params, err := url.ParseQuery(answer)
	if err != nil || strings.ContainsAny(answer, "#\r\n ") {
		t.Fatalf("location %q: %v", location, err)
	}
	want := url.Values{"error": {denied.Err.Code}, "error_description": {denied.Err.Description}, "iss": {base}}
	if s := q["state"]; len(s) == 1 && params.Get("state") != "" {
		want.Set("state", s[0])
	}
	if !reflect.DeepEqual(params, want) {
		t.Errorf("answer %v, want %v", params, want)
	}
}

func TestR7AuthorizationAtAnotherTenant(t *testing.T) {
	t.Parallel()
	q := with("resource", "imap.example.test")
	if _, err := (&issuer.Issuer{Clients: &clients.Clients{}}).Check(t.Context(), realm(t, "other"), q); oidc.CodeOf(err) != oidc.CodeInvalidTarget {
		t.Errorf("the resource of another tenant: %v, want invalid_target", err)
	}
}

func TestProvidersByLoginHint(t *testing.T) {
	t.Parallel()
	r := realm(t, "example")
	everyone := []string{"staff", "guests", "partner"}
	for hint, want := range map[string][]string{
		"":                           everyone,
		"alice":                      everyone,
		"alice@":                     everyone,
		"@example.test":              everyone,
		"alice@unknown.test":         everyone,
		"alice@sub.example.test":     everyone,
		"alice@example.test":         {"staff"},
		"alice@EXAMPLE.Test":         {"staff"},
		"a@guests.test":              {"guests"},
		"a@partner.test":             {"guests", "partner"},
		"a@example.test@guests.test": {"guests"},
	} {
		var got []string
		for _, p := range (issuer.Ask{LoginHint: hint}).Providers(r) {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("login_hint %q: %v, want %v", hint, got, want)
		}
	}
}

func TestProvider(t *testing.T) {
	t.Parallel()
	r := realm(t, "example")
	if p, err := issuer.Provider(r, "guests"); err != nil || p.Name != "guests" {
		t.Errorf("guests: %q, %v", p.Name, err)
	}
	for _, name := range []string{"", "Guests", "nobody", "members"} {
		if p, err := issuer.Provider(r, name); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%q: %q, %v, want ErrNotFound", name, p.Name, err)
		}
	}
}

// TestPolicyServices: what the policy sees of a declaration.
func TestPolicyServices(t *testing.T) {
	t.Parallel()
	r := realm(t, "example")
	services := issuer.PolicyServices(r, issuer.Account{ID: "id", UpstreamIssuer: "https://login.example.test", Addresses: []string{"alice@example.test", "a@guests.test"}, Login: "al"})
	if len(services) != 2 {
		t.Fatalf("%d services, want 2", len(services))
	}
	imap, calendar := services[0], services[1]
	if imap.Audience != "imap.example.test" || imap.URL != "" || !slices.Equal(imap.Hosts, []string{"imap.example.test"}) || imap.Username != "alice@example.test" || imap.InBroad {
		t.Errorf("imap: %+v", imap)
	}
	if calendar.URL != calendar.Audience || calendar.Hosts != nil || calendar.Username != "alice@example.test" || calendar.Lifetime.Minutes() != 5 || !calendar.InBroad {
		t.Errorf("calendar: %+v", calendar)
	}
	for _, s := range issuer.PolicyServices(r, issuer.Account{ID: "id", UpstreamIssuer: "https://login.example.test", Addresses: []string{"alice@evil.test"}}) {
		if s.Username != "" {
			t.Errorf("%s: login name %q for somebody of another domain (R1)", s.Audience, s.Username)
		}
	}
}
