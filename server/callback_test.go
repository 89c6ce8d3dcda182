package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"signpost/internal/idptest"
	"signpost/internal/servertest"
	"signpost/oidc"
)

// atCallback goes to the identity provider and returns the parameters with which
// it sends the browser back.
func (b *browser) atCallback(idp *idptest.Provider, authorize string) url.Values {
	b.t.Helper()
	return idp.Visit(b.t, b.chosen(b.get(authorize)))
}

// comesBack brings the identity provider's answer and returns the page where the
// browser ends, and what the client was told, if anything.
func (b *browser) comesBack(issuer, idp string, q url.Values) (page, url.Values) {
	b.t.Helper()
	p := b.get(issuer + "/callback/" + idp + "?" + q.Encode())
	if b.answer == nil {
		return p, nil
	}
	return p, b.answer.Query()
}

// TestR3CallbackComparesEverything: state names the identity provider, the tenant
// and the browser.
func TestR3CallbackComparesEverything(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declareTwoProviders(t, s)
	s.FarIDP.SignInAs("c3")
	start := authorizeURL(s.URL, set("login_hint", "alice@example.test"))
	for name, c := range map[string]struct {
		comes  func(b *browser, q url.Values) (page, url.Values)
		status int
		says   string
	}{
		"in another browser": {func(_ *browser, q url.Values) (page, url.Values) {
			return newBrowser(t).comesBack(s.URL, "staff", q)
		}, 400, "another browser"},
		"in another browser with a sign-in of its own": {func(_ *browser, q url.Values) (page, url.Values) {
			other := newBrowser(t)
			other.get(start)
			return other.comesBack(s.URL, "staff", q)
		}, 400, "another browser"},
		"from another identity provider": {func(b *browser, q url.Values) (page, url.Values) {
			return b.comesBack(s.URL, "partners", q)
		}, 400, "has ended"},
		"from no identity provider": {func(b *browser, q url.Values) (page, url.Values) {
			return b.comesBack(s.URL, "nobody", q)
		}, 404, "no page"},
		"at another tenant": {func(b *browser, q url.Values) (page, url.Values) {
			return b.comesBack(s.OtherURL(), "members", q)
		}, 400, "has ended"},
		"without state": {func(b *browser, q url.Values) (page, url.Values) {
			q.Del("state")
			return b.comesBack(s.URL, "staff", q)
		}, 400, "has ended"},
		"with another state": {func(b *browser, q url.Values) (page, url.Values) {
			q.Set("state", strings.Repeat("x", 43))
			return b.comesBack(s.URL, "staff", q)
		}, 400, "has ended"},
		"with two states": {func(b *browser, q url.Values) (page, url.Values) {
			q.Add("state", "x")
			return b.comesBack(s.URL, "staff", q)
		}, 400, "does not work"},
		"with two codes": {func(b *browser, q url.Values) (page, url.Values) {
			q.Add("code", "x")
			return b.comesBack(s.URL, "staff", q)
		}, 400, "does not work"},
		"a second time": {func(b *browser, q url.Values) (page, url.Values) {
			b.comesBack(s.URL, "staff", q)
			return b.comesBack(s.URL, "staff", q)
		}, 400, "has ended"},
		"with a broken query": {func(b *browser, q url.Values) (page, url.Values) {
			return b.get(s.URL + "/callback/staff?%zz&" + q.Encode()), nil
		}, 400, "does not work"},
	} {
		b := newBrowser(t)
		p, told := c.comes(b, b.atCallback(s.IDP, start))
		if told != nil {
			t.Errorf("%s: the client was told %v, want a page", name, told)
			continue
		}
		p.isPage(t, c.status)
		if !strings.Contains(p.body, c.says) {
			t.Errorf("%s: the page does not say %q:\n%s", name, c.says, p.body)
		}
		if !strings.HasPrefix(p.url.Path, "/callback/") && !strings.HasPrefix(p.url.Path, "/t/other/callback/") {
			t.Errorf("%s: refused at %s only, want at the callback, before anything is written", name, p.url.Path)
		}
	}
}

// TestWrongAnswersOfTheIdentityProvider end without a code, and the client is told.
func TestWrongAnswersOfTheIdentityProvider(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for name, c := range map[string]struct {
		fault func(*idptest.Faults)
		want  string // error code; empty if the answer is right
	}{
		"token endpoint fails":      {func(f *idptest.Faults) { f.FailAt = idptest.PathToken }, oidc.CodeTemporarilyUnavailable},
		"userinfo fails":            {func(f *idptest.Faults) { f.FailAt = idptest.PathUserinfo }, oidc.CodeTemporarilyUnavailable},
		"token endpoint redirects":  {func(f *idptest.Faults) { f.RedirectAt = idptest.PathToken }, oidc.CodeTemporarilyUnavailable},
		"iss is another":            {func(f *idptest.Faults) { f.ResponseIssuer = true }, oidc.CodeServerError}, // RFC 9207, section 2.4
		"iss is missing":            {func(f *idptest.Faults) { f.NoResponseIssuer = true }, oidc.CodeServerError},
		"no ID token":               {func(f *idptest.Faults) { f.NoIDToken = true }, oidc.CodeServerError},
		"wrong nonce":               {func(f *idptest.Faults) { f.WrongNonce = true }, oidc.CodeServerError},
		"no nonce":                  {func(f *idptest.Faults) { f.NoNonce = true }, oidc.CodeServerError},
		"wrong issuer":              {func(f *idptest.Faults) { f.WrongIssuer = true }, oidc.CodeServerError},
		"wrong audience":            {func(f *idptest.Faults) { f.WrongAudience = true }, oidc.CodeServerError},
		"two audiences, no azp":     {func(f *idptest.Faults) { f.ExtraAudienceNoAzp = true }, oidc.CodeServerError},
		"wrong azp":                 {func(f *idptest.Faults) { f.WrongAzp = true }, oidc.CodeServerError},
		"expired":                   {func(f *idptest.Faults) { f.Expired = true }, oidc.CodeServerError},
		"other key":                 {func(f *idptest.Faults) { f.OtherKey = true }, oidc.CodeServerError},
		"alg none":                  {func(f *idptest.Faults) { f.AlgNone = true }, oidc.CodeServerError},
		"alg HS256":                 {func(f *idptest.Faults) { f.AlgHS256 = true }, oidc.CodeServerError},
		"wrong at_hash":             {func(f *idptest.Faults) { f.WrongAtHash = true }, oidc.CodeServerError},
		"no subject":                {func(f *idptest.Faults) { f.NoSubject = true }, oidc.CodeServerError},
		"userinfo of somebody else": {func(f *idptest.Faults) { f.OtherSubject = true }, oidc.CodeServerError},
		"two audiences and our azp": {func(f *idptest.Faults) { f.ExtraAudience = true }, ""},
		"no at_hash":                {func(f *idptest.Faults) { f.NoAtHash = true }, ""},
		"no auth_time":              {func(f *idptest.Faults) { f.NoAuthTime = true }, ""},
		"nothing wrong":             {func(*idptest.Faults) {}, ""},
	} {
		s.IDP.Set(func(f *idptest.Faults) { *f = idptest.Faults{}; c.fault(f) })
		b := newBrowser(t)
		p, told := b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorizeURL(s.URL, nil)))
		if c.want == "" {
			if told != nil || !strings.Contains(p.body, `name="ticket"`) {
				t.Errorf("%s: told %v, want the consent page", name, told)
			}
			continue
		}
		if told.Get("error") != c.want || told.Has("code") || told.Get("state") != "s1" || told.Get("iss") != s.URL {
			t.Errorf("%s: the client was told %v (page %d), want %s", name, told, p.status, c.want)
		}
	}
}

// TestErrorsOfTheIdentityProvider: the few that mean the same to the client are passed on.
func TestErrorsOfTheIdentityProvider(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for code, want := range map[string]string{
		"access_denied": oidc.CodeAccessDenied, "login_required": oidc.CodeLoginRequired, "interaction_required": oidc.CodeLoginRequired,
		"consent_required": oidc.CodeLoginRequired, "temporarily_unavailable": oidc.CodeTemporarilyUnavailable,
		"invalid_scope": oidc.CodeServerError, "unauthorized_client": oidc.CodeServerError, "<script>": oidc.CodeServerError,
	} {
		s.IDP.Deny(code)
		b := newBrowser(t)
		_, told := b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorizeURL(s.URL, nil)))
		if told.Get("error") != want || told.Has("code") || told.Get("iss") != s.URL || told.Get("state") != "s1" {
			t.Errorf("%s: the client was told %v, want %s", code, told, want)
		}
	}
	// An error in another issuer's name is not believed (RFC 9207, section 2.4).
	s.IDP.Deny("access_denied")
	s.IDP.Set(func(f *idptest.Faults) { f.ResponseIssuer = true })
	b := newBrowser(t)
	_, told := b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorizeURL(s.URL, nil)))
	if told.Get("error") != oidc.CodeServerError {
		t.Errorf("access_denied of another issuer: the client was told %v, want server_error", told)
	}
	// Neither code nor error is no answer.
	s.IDP.Deny("")
	s.IDP.Set(func(f *idptest.Faults) { *f = idptest.Faults{} })
	b = newBrowser(t)
	q := b.atCallback(s.IDP, authorizeURL(s.URL, nil))
	q.Del("code")
	if _, told := b.comesBack(s.URL, "staff", q); told.Get("error") != oidc.CodeServerError {
		t.Errorf("an answer without code and error: the client was told %v, want server_error", told)
	}
}

// TestPromptAndMaxAgeGoToTheIdentityProvider: who wants a fresh sign-in gets one, or an error.
func TestPromptAndMaxAgeGoToTheIdentityProvider(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for name, c := range map[string]struct {
		edit           func(url.Values)
		prompt, maxAge string
	}{
		"nothing":                {func(url.Values) {}, "", ""},
		"login":                  {set("prompt", "login"), "login", ""},
		"select_account":         {set("prompt", "select_account"), "select_account", ""},
		"consent":                {set("prompt", "consent"), "", ""}, // asked here anyway (R12)
		"login consent":          {set("prompt", "login consent"), "login", ""},
		"consent select_account": {set("prompt", "consent select_account"), "select_account", ""},
		"select_account login":   {set("prompt", "select_account login"), "login", ""},
		"max_age":                {set("max_age", "300"), "", "300"},
		"max_age 0":              {set("max_age", "0"), "", "0"},
	} {
		b := newBrowser(t)
		p, told := b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorizeURL(s.URL, c.edit)))
		last := s.IDP.LastRequest()
		if last.Get("prompt") != c.prompt || last.Get("max_age") != c.maxAge {
			t.Errorf("%s: upstream prompt %q and max_age %q, want %q and %q", name, last.Get("prompt"), last.Get("max_age"), c.prompt, c.maxAge)
		}
		if told != nil || p.status != http.StatusOK {
			t.Errorf("%s: %d, told %v, want the consent page", name, p.status, told)
		}
	}
}

// TestR17MaxAgeNeedsAuthTime: an identity provider that does not say when, or too
// long ago, did not sign the person in freshly.
func TestR17MaxAgeNeedsAuthTime(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.IDP.Set(func(f *idptest.Faults) { f.NoAuthTime = true })
	b := newBrowser(t)
	_, told := b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorizeURL(s.URL, set("max_age", "300"))))
	if told.Get("error") != oidc.CodeLoginRequired || told.Has("code") {
		t.Errorf("no auth_time: the client was told %v, want login_required", told)
	}
	b = newBrowser(t)
	_, told = b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorizeURL(s.URL, set("prompt", "login"))))
	if told.Get("error") != oidc.CodeLoginRequired || told.Has("code") {
		t.Errorf("prompt=login and no auth_time: the client was told %v, want login_required", told)
	}
	_, id := claims(t, signedIn(t, s.URL, nil).IDToken)
	if id["auth_time"] != nil {
		t.Errorf("auth_time %v was invented", id["auth_time"])
	}
	s.IDP.Set(func(f *idptest.Faults) { f.NoAuthTime = false })
	_, id = claims(t, signedIn(t, s.URL, set("max_age", "300")).IDToken)
	if id["auth_time"] == nil {
		t.Error("auth_time of the identity provider is not in the ID token")
	}
	// Who takes half a minute to type the password has just signed in all the same.
	b = newBrowser(t)
	q := b.atCallback(s.IDP, authorizeURL(s.URL, set("max_age", "0")))
	s.Clock.Advance(30 * time.Second)
	if p, told := b.comesBack(s.URL, "staff", q); told != nil || p.status != http.StatusOK {
		t.Errorf("a slow sign-in with max_age=0: %d, told %v, want the consent page", p.status, told)
	}
	s.Clock.Advance(70 * time.Second) // our clock says that the sign-in lies 100 s back
	b = newBrowser(t)
	_, told = b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorizeURL(s.URL, set("max_age", "60"))))
	if told.Get("error") != oidc.CodeLoginRequired || told.Has("code") {
		t.Errorf("old auth_time: the client was told %v, want login_required", told)
	}
}
