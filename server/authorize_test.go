package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/idptest"
	"signpost/internal/servertest"
	"signpost/oidc"
)

func set(name string, values ...string) func(url.Values) {
	return func(q url.Values) { q[name] = values }
}

func without(name string) func(url.Values) {
	return func(q url.Values) { q.Del(name) }
}

// together makes all of some changes.
func together(edits ...func(url.Values)) func(url.Values) {
	return func(q url.Values) {
		for _, edit := range edits {
			edit(q)
		}
	}
}

// TestRFC6749Section4_1_2_1ErrorsByRedirect: once client and redirect URI are
// proven the client is told, with its state and the issuer's name.
func TestRFC6749Section4_1_2_1ErrorsByRedirect(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for name, c := range map[string]struct {
		edit func(url.Values)
		want string
	}{
		"no response_type":             {without("response_type"), oidc.CodeInvalidRequest},
		"empty response_type":          {set("response_type", ""), oidc.CodeInvalidRequest},
		"implicit":                     {set("response_type", "token"), oidc.CodeUnsupportedResponseType},
		"hybrid":                       {set("response_type", "code id_token"), oidc.CodeUnsupportedResponseType},
		"response_type twice":          {set("response_type", "code", "code"), oidc.CodeInvalidRequest},
		"response_mode fragment":       {set("response_mode", "fragment"), oidc.CodeInvalidRequest},
		"no scope":                     {without("scope"), oidc.CodeInvalidScope},
		"empty scope":                  {set("scope", ""), oidc.CodeInvalidScope},
		"scope with two spaces":        {set("scope", "openid  "+mailScope), oidc.CodeInvalidScope},
		"scope with a quote":           {set("scope", `openid "mail"`), oidc.CodeInvalidScope},
		"scope twice":                  {set("scope", "openid", mailScope), oidc.CodeInvalidRequest},
		"unknown scope":                {set("scope", "mail"), oidc.CodeInvalidScope},
		"scope of nothing here":        {set("scope", "urn:ietf:params:oauth:scope:contacts"), oidc.CodeInvalidScope},
		"no code_challenge":            {without("code_challenge"), oidc.CodeInvalidRequest},
		"short code_challenge":         {set("code_challenge", "abc"), oidc.CodeInvalidRequest},
		"padded code_challenge":        {set("code_challenge", challengeOf(verifier)[:42]+"="), oidc.CodeInvalidRequest},
		"no code_challenge_method":     {without("code_challenge_method"), oidc.CodeInvalidRequest}, // means plain (RFC 7636, section 4.3)
		"code_challenge_method plain":  {set("code_challenge_method", "plain"), oidc.CodeInvalidRequest},
		"code_challenge twice":         {set("code_challenge", challengeOf(verifier), challengeOf("x")), oidc.CodeInvalidRequest},
		"nonce twice":                  {set("nonce", "a", "b"), oidc.CodeInvalidRequest},
		"long nonce":                   {set("nonce", strings.Repeat("x", 2000)), oidc.CodeInvalidRequest},
		"nonce with a control":         {set("nonce", "a\x00b"), oidc.CodeInvalidRequest},
		"an unknown parameter twice":   {set("x", "a", "b"), oidc.CodeInvalidRequest},
		"request object":               {set("request", "x.y.z"), oidc.CodeRequestNotSupported},
		"request_uri":                  {set("request_uri", "https://app.example/r"), oidc.CodeRequestURINotSupported},
		"unknown resource":             {set("resource", "https://elsewhere.example/"), oidc.CodeInvalidTarget},
		"resource of the other tenant": {set("resource", "imap.other.test"), oidc.CodeInvalidTarget},
		"one unknown resource of two":  {set("resource", "imap.example.test", "x"), oidc.CodeInvalidTarget},
		"resource with a fragment":     {set("resource", "https://dav.example.test/calendars/#x"), oidc.CodeInvalidTarget},
		"many resources":               {set("resource", strings.Fields(strings.Repeat("imap.example.test ", 33))...), oidc.CodeInvalidTarget},
		"resource the scope shuts": {func(q url.Values) {
			q.Set("scope", "openid "+mailScope)
			q.Set("resource", "https://dav.example.test/calendars/")
		}, oidc.CodeInvalidTarget},
		"prompt none":            {set("prompt", "none"), oidc.CodeConsentRequired}, // R12
		"prompt none with login": {set("prompt", "none login"), oidc.CodeInvalidRequest},
		"unknown prompt":         {set("prompt", "create"), oidc.CodeInvalidRequest},
		"negative max_age":       {set("max_age", "-1"), oidc.CodeInvalidRequest},
		"max_age in words":       {set("max_age", "soon"), oidc.CodeInvalidRequest},
		"max_age beyond time":    {set("max_age", "99999999999999999"), oidc.CodeInvalidRequest},
	} {
		q := asked(t, s.URL, c.edit)
		if q == nil {
			t.Errorf("%s: taken, want %s", name, c.want)
			continue
		}
		if q.Get("error") != c.want || len(strings.Fields(q.Get("error_description"))) < 3 {
			t.Errorf("%s: got %s %q, want %s with a sentence", name, q.Get("error"), q.Get("error_description"), c.want)
		}
		if q.Get("state") != "s1" || q.Get("iss") != s.URL || q.Has("code") {
			t.Errorf("%s: answer %v, want state s1, iss %s and no code", name, q, s.URL)
		}
	}
	// A state that cannot be repeated as it came is not repeated.
	for name, edit := range map[string]func(url.Values){"twice": set("state", "a", "b"), "with a line feed": set("state", "a\nb"), "too long": set("state", strings.Repeat("x", 2000))} {
		if q := asked(t, s.URL, edit); q.Get("error") != oidc.CodeInvalidRequest || q.Has("state") {
			t.Errorf("state %s: answer %v, want invalid_request without state", name, q)
		}
	}
	if got := s.IDP.SignIns(); got != 0 {
		t.Errorf("%d sign-ins at the identity provider, want none", got)
	}
}

// TestRFC6749Section4_1_2_1UnprovenIsNeverRedirected: "MUST NOT automatically
// redirect the user-agent to the invalid redirection URI".
func TestRFC6749Section4_1_2_1UnprovenIsNeverRedirected(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	cases := map[string]func(url.Values){
		"no client_id":          without("client_id"),
		"empty client_id":       set("client_id", ""),
		"unknown client":        set("client_id", "thunderbird"),
		"client_id twice":       set("client_id", "open", "open"),
		"client in other case":  set("client_id", "Open"),
		"no redirect_uri":       without("redirect_uri"),
		"redirect_uri twice":    set("redirect_uri", redirectURI, redirectURI),
		"good and bad redirect": set("redirect_uri", redirectURI, "https://evil.example/"),
		"wrong and more wrong": func(q url.Values) {
			q.Set("redirect_uri", "https://evil.example/")
			q.Set("response_type", "token")
		},
	}
	for _, uri := range []string{
		"", "https://evil.example/cb", "http://evil.example/cb", "http://localhost:49152/cb", "https://127.0.0.1:49152/cb",
		"http://127.0.0.1:49152@evil.example/cb", "http://127.0.0.1.evil.example/cb", "http://127.0.0.1:49152\\@evil.example/",
		"http://127.0.0.1:49152", "http://127.0.0.1:49152/cb#x", "http://127.0.0.1:49152/cb?x=1", "http://127.0.0.1:49152/../cb",
		"http://127.0.0.1:49152/%2e%2e/cb", "http://127.0.0.1:0/cb", "http://127.0.0.1:99999/cb", "http://127.0.0.2/cb",
		"http://2130706433/cb", "http://0x7f.1/cb", "HTTP://127.0.0.1/cb", "//127.0.0.1/cb", "/cb", "javascript:alert(1)",
		"data:text/html,x", "com.example:/cb", "http://[::1%25lo]/cb", "http://127.0.0.1/c b", "http://127.0.0.1/cb\r\nX: y",
	} {
		cases["redirect_uri "+uri] = set("redirect_uri", uri)
	}
	for name, edit := range cases {
		p := ask(t, http.MethodGet, authorizeURL(s.URL, edit))
		p.isPage(t, http.StatusBadRequest)
		if t.Failed() {
			t.Fatalf("case: %s", name)
		}
		for _, href := range p.attributes(t, "a", "href") {
			if !strings.HasPrefix(href, "https://help.example.test/") {
				t.Errorf("%s: the page links to %q", name, href)
			}
		}
	}
}

// TestR13LoopbackRedirects: any port and any path of a loopback address (RFC 8252, section 7.3).
func TestR13LoopbackRedirects(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, uri := range []string{
		"http://127.0.0.1/cb", "http://127.0.0.1:1/", "http://127.0.0.1:65535/a/b;c=1", "http://[::1]/cb", "http://[::1]:49152/cb",
	} {
		ask(t, http.MethodGet, authorizeURL(s.URL, set("redirect_uri", uri))).isPage(t, http.StatusOK)
	}
}

// TestAuthorizeByPost: OpenID Connect Core 1.0 wants both methods; the query does not count then.
func TestAuthorizeByPost(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	good, err := url.Parse(authorizeURL(s.URL, nil))
	must(t, err)
	asForm := ask(t, http.MethodPost, s.URL+"/authorize", formBody(good.Query()))
	if got := asForm.header.Get("Location"); asForm.status != http.StatusSeeOther || got != good.String() || asForm.header.Get("Set-Cookie") != "" {
		t.Errorf("a good form: %d to %q, want it as a link and no cookie", asForm.status, got)
	}
	newBrowser(t).post(good.String(), url.Values{}).isPage(t, http.StatusBadRequest)
	ask(t, http.MethodPost, s.URL+"/authorize", body("application/json", "{}")).isPage(t, http.StatusBadRequest)
	ask(t, http.MethodPost, s.URL+"/authorize", body("application/x-www-form-urlencoded", "client_id=%zz")).isPage(t, http.StatusBadRequest)
	ask(t, http.MethodGet, s.URL+"/authorize?client_id=%zz").isPage(t, http.StatusBadRequest)
	b := newBrowser(t)
	p := b.post(s.URL+"/authorize", good.Query())
	if consent := b.get(upstreamLink(t, p)); consent.status != http.StatusOK {
		t.Errorf("sign-in that began by POST: %d", consent.status)
	}
}

// TestPageBeforeTheIdentityProvider says who asks, who answers and what it opens,
// and nothing that is secret.
func TestPageBeforeTheIdentityProvider(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	p := b.get(authorizeURL(s.URL, set("login_hint", "alice@example.test")))
	for _, want := range []string{"127.0.0.1:49152", "Example Organisation", "example.test", "Example staff", strings.TrimPrefix(s.IDP.Issuer, "http://")} {
		if !strings.Contains(p.body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, secret := range []string{s.IDP.ClientSecret, "Other Organisation", "password\"", "<script", "style="} {
		if strings.Contains(p.body, secret) {
			t.Errorf("the page holds %q", secret)
		}
	}
	wantCSP := "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	if got := p.header.Get("Content-Security-Policy"); got != wantCSP {
		t.Errorf("Content-Security-Policy %q, want %q", got, wantCSP)
	}
	if got := p.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q, want no-store", got)
	}
	upstream, err := url.Parse(b.chosen(p))
	must(t, err)
	q := upstream.Query()
	for name, want := range map[string]string{
		"client_id": s.IDP.ClientID, "redirect_uri": s.URL + "/callback/staff", "response_type": "code", "code_challenge_method": "S256",
		"login_hint": "alice@example.test", "scope": "openid profile email",
	} {
		if q.Get(name) != want {
			t.Errorf("upstream %s: %q, want %q", name, q.Get(name), want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(q.Get(name)) < 43 {
			t.Errorf("upstream %s: %q, want 256 bits", name, q.Get(name))
		}
	}
	if q.Get("state") == "s1" || q.Get("nonce") == "n1" || q.Get("code_challenge") == challengeOf(verifier) {
		t.Errorf("upstream %v: state, nonce and challenge of the client are handed on", q)
	}
	// Cancel tells the client, from this browser alone.
	at := slices.IndexFunc(p.attributes(t, "a", "href"), func(href string) bool { return strings.Contains(href, "/authorize/cancel?") })
	if at < 0 {
		t.Fatal("no link for a person who goes back")
	}
	cancel := p.attributes(t, "a", "href")[at]
	newBrowser(t).get(cancel).isPage(t, http.StatusBadRequest)
	b.get(cancel)
	if told := b.answer.Query(); told.Get("error") != oidc.CodeAccessDenied || told.Get("state") != "s1" || told.Get("iss") != s.URL {
		t.Errorf("the client was told %v, want that the person went back", told)
	}
}

// TestSignInLanguage: people read pages in their language, and a cache knows.
func TestSignInLanguage(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for accept, want := range map[string]string{"": "en", "de-AT,de;q=0.9": "de", "xx": "en"} {
		p := ask(t, http.MethodGet, authorizeURL(s.URL, nil), header("Accept-Language", accept))
		if p.header.Get("Content-Language") != want || !strings.Contains(p.body, `<html lang="`+want+`"`) || p.header.Get("Vary") != "Accept-Language" {
			t.Errorf("Accept-Language %q: %q with Vary %q, want %s", accept, p.header.Get("Content-Language"), p.header.Get("Vary"), want)
		}
	}
}

// TestR3Cookie binds the sign-in to a browser; its name holds the tenant, because
// tenants by path share an origin.
func TestR3Cookie(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for issuer, want := range map[string]string{s.URL: "signpost-example", s.OtherURL(): "signpost-other"} {
		p := ask(t, http.MethodGet, authorizeURL(issuer, nil))
		cookies, err := http.ParseSetCookie(p.header.Get("Set-Cookie"))
		must(t, err)
		if cookies.Name != want || !cookies.HttpOnly || cookies.SameSite != http.SameSiteLaxMode || cookies.Path != "/" || cookies.Domain != "" || len(cookies.Value) != 43 {
			t.Errorf("cookie %v, want %s with 256 bits, HttpOnly, SameSite=Lax", cookies, want)
		}
		again := ask(t, http.MethodGet, authorizeURL(issuer, nil), header("Cookie", want+"="+cookies.Value))
		if got := again.header.Get("Set-Cookie"); got != "" {
			t.Errorf("a browser with a cookie gets another: %q", got)
		}
		planted := ask(t, http.MethodGet, authorizeURL(issuer, nil), header("Cookie", want+"=x"))
		if got := planted.header.Get("Set-Cookie"); !strings.HasPrefix(got, want+"=") {
			t.Errorf("a cookie that is none of ours is kept: %q", got)
		}
	}
}

// TestLoginHintChoosesTheIdentityProvider by the domains it is responsible for.
func TestLoginHintChoosesTheIdentityProvider(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declareTwoProviders(t, s)
	for hint, want := range map[string][]string{
		"":                     {"staff", "partners"},
		"alice@example.test":   {"staff"},
		"dora@partner.test":    {"partners"},
		"dora@PARTNER.test":    {"partners"},
		"x@elsewhere.example":  {"staff", "partners"},
		"alice":                {"staff", "partners"},
		"@partner.test":        {"staff", "partners"},
		"a@example.test@x.net": {"staff", "partners"},
	} {
		b := newBrowser(t)
		p := b.get(authorizeURL(s.URL, set("login_hint", hint)))
		for _, idp := range []string{"staff", "partners"} {
			offered := strings.Contains(p.body, "/sign-in/"+idp+"?")
			if wanted := slices.Contains(want, idp); offered != wanted {
				t.Errorf("login_hint %q: %s offered %v, want %v", hint, idp, offered, wanted)
			}
			// What is not offered cannot be had by changing the link.
			to := strings.NewReplacer("/sign-in/staff", "/sign-in/"+idp, "/sign-in/partners", "/sign-in/"+idp).Replace(upstreamLink(t, p))
			if got := ask(t, http.MethodGet, to, b.cookies); (got.status == http.StatusSeeOther) != offered {
				t.Errorf("login_hint %q: %s by its link: %d, offered %v", hint, idp, got.status, offered)
			}
		}
	}
}

// declareTwoProviders gives the first tenant a second identity provider and domain.
func declareTwoProviders(t testing.TB, s *servertest.Server) {
	t.Helper()
	declare(t, s, twoProviders(s), func(now *directory.Snapshot) bool {
		r, ok := now.Realm(servertest.Tenant)
		return ok && len(r.IdentityProviders) == 2
	})
}

// twoProviders is the declaration with a second identity provider.
func twoProviders(s *servertest.Server) string {
	declaration := strings.Replace(s.Declaration(), "domains: [example.test]", "domains: [example.test, partner.test]", 1)
	staff := "address_trust: email_verified}\n"
	second := "      - {name: partners, title: Partners, issuer: \"" + s.FarIDP.Issuer + "\", client_id: \"" + s.FarIDP.ClientID +
		"\", client_secret: \"" + s.FarIDP.ClientSecret + "\", scopes: [openid, profile, email], address_trust: email_verified, domains: [partner.test]}\n"
	return strings.Replace(declaration, staff, "address_trust: email_verified, domains: [example.test]}\n"+second, 1)
}

func TestIdentityProviderIsDown(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.IDP.Set(func(f *idptest.Faults) { f.FailAt = idptest.PathDiscovery })
	b := newBrowser(t)
	link := upstreamLink(t, b.get(authorizeURL(s.URL, nil)))
	p := ask(t, http.MethodGet, link, b.cookies)
	p.isPage(t, http.StatusBadGateway)
	if strings.Contains(p.body, s.IDP.Issuer) {
		t.Errorf("the page shows what broke:\n%s", p.body)
	}
	// The tenant next door does not notice.
	signedIn(t, s.OtherURL(), nil)
	// When it is back, the same link works.
	s.IDP.Set(func(f *idptest.Faults) { f.FailAt = "" })
	s.Clock.Advance(time.Minute)
	if p = ask(t, http.MethodGet, link, b.cookies); p.status != http.StatusSeeOther {
		t.Errorf("the identity provider is back: %d, want to be led there", p.status)
	}
}

// TestR3ChoosingBelongsToOneBrowser: the link to the identity provider works
// where the request came from, and as often as the person goes back.
func TestR3ChoosingBelongsToOneBrowser(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b, other := newBrowser(t), newBrowser(t)
	link := upstreamLink(t, b.get(authorizeURL(s.URL, nil)))
	other.get(authorizeURL(s.URL, nil))
	b.get(authorizeURL(s.OtherURL(), nil))
	for name, c := range map[string]struct {
		link   string
		who    edit
		status int
	}{
		"without cookie":      {link, func(*http.Request) {}, http.StatusBadRequest},
		"in another browser":  {link, other.cookies, http.StatusBadRequest},
		"at another tenant":   {strings.Replace(link, s.URL+"/sign-in/staff", s.OtherURL()+"/sign-in/members", 1), b.cookies, http.StatusBadRequest},
		"to no provider":      {strings.Replace(link, "/staff", "/nobody", 1), b.cookies, http.StatusNotFound},
		"without ticket":      {s.URL + "/sign-in/staff", b.cookies, http.StatusBadRequest},
		"with a broken one":   {link + "x", b.cookies, http.StatusBadRequest},
		"with a broken query": {s.URL + "/sign-in/staff?ticket=%zz", b.cookies, http.StatusBadRequest},
	} {
		p := ask(t, http.MethodGet, c.link, c.who)
		p.isPage(t, c.status)
		if t.Failed() {
			t.Fatalf("case: %s", name)
		}
	}
	states := map[string]bool{}
	for range 3 {
		p := ask(t, http.MethodGet, link, b.cookies)
		to, err := url.Parse(p.header.Get("Location"))
		must(t, err)
		states[to.Query().Get("state")] = true
	}
	if len(states) != 3 || states[""] {
		t.Errorf("three times the same link gave the states %v, want three", states)
	}
}
