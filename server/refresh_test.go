package server_test

import (
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"signpost/internal/servertest"
	"signpost/oidc"
)

// TestR18Rotation: a lost response signs nobody out, a copied token ends the family.
// Each case tells what comes after the first use of the refresh token r0.
func TestR18Rotation(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	again := func(r string) answer { return token(t, s.URL, refreshForm(r)) }
	for _, c := range []struct {
		name string
		then func(r0, r1 string) answer // returns the last answer
		same bool                       // it holds r1
		ends bool                       // the family has ended
	}{
		{name: "at once", then: func(r0, _ string) answer { return again(r0) }, same: true},
		{name: "after 29 s", then: func(r0, _ string) answer {
			s.Clock.Advance(29 * time.Second)
			return again(r0)
		}, same: true},
		{name: "ten times", then: func(r0, _ string) answer {
			for range 9 {
				again(r0)
			}
			return again(r0)
		}, same: true},
		{name: "eleven times", then: func(r0, _ string) answer {
			for range 10 {
				again(r0)
			}
			return again(r0)
		}, ends: true},
		{name: "after 31 s", then: func(r0, _ string) answer {
			s.Clock.Advance(31 * time.Second)
			return again(r0)
		}, ends: true},
		{name: "a repetition does not lengthen the window", then: func(r0, _ string) answer {
			s.Clock.Advance(20 * time.Second)
			again(r0)
			s.Clock.Advance(20 * time.Second)
			return again(r0)
		}, ends: true},
		{name: "after the successor was used", then: func(r0, r1 string) answer {
			again(r1)
			return again(r0)
		}, ends: true},
		{name: "asking for what the policy refuses, after the successor was used", then: func(r0, r1 string) answer {
			again(r1)
			form := refreshForm(r0)
			form.Set("resource", "https://elsewhere.example/")
			return token(t, s.URL, form)
		}, ends: true},
	} {
		first := signedIn(t, s.URL, nil)
		r0 := first.RefreshToken
		next := again(r0)
		r1 := next.RefreshToken
		if next.Status != http.StatusOK || r1 == "" || r1 == r0 || next.AccessToken == first.AccessToken {
			t.Fatalf("%s: first use: %d %s, want a new pair", c.name, next.Status, next.Error)
		}
		last := c.then(r0, r1)
		if c.ends {
			if last.Status != http.StatusBadRequest || last.Error != oidc.CodeInvalidGrant {
				t.Errorf("%s: %d %s, want invalid_grant", c.name, last.Status, last.Error)
			}
			next.RefreshToken = r1
			ended(t, s.URL, next, "reuse, "+c.name)
			ended(t, s.URL, first, "reuse, "+c.name)
			continue
		}
		if got := last.RefreshToken == r1; last.Status != http.StatusOK || got != c.same {
			t.Errorf("%s: %d %s, the same successor %v, want %v", c.name, last.Status, last.Error, got, c.same)
		}
		if after := again(r1); after.Status != http.StatusOK || after.RefreshToken == r1 {
			t.Errorf("%s: the successor afterwards: %d %s, want a new pair", c.name, after.Status, after.Error)
		}
	}
}

// TestR18RepetitionIsForThisRequest: the same successor, but an access token for
// what is asked now.
func TestR18RepetitionIsForThisRequest(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	r0 := signedIn(t, s.URL, nil).RefreshToken
	first := token(t, s.URL, refreshForm(r0))
	form := refreshForm(r0)
	form.Set("resource", "imap.example.test")
	again := token(t, s.URL, form)
	if _, payload := claims(t, again.AccessToken); again.RefreshToken != first.RefreshToken || payload["aud"] != "imap.example.test" || again.Scope != mailScope {
		t.Errorf("aud %v, scope %q, same successor %v; want imap.example.test with the same", payload["aud"], again.Scope, again.RefreshToken == first.RefreshToken)
	}
}

// TestRFC6749Section6ScopeNeverWidens: a refresh may ask for less, never for more
// than the grant, and less now is not less for ever.
func TestRFC6749Section6ScopeNeverWidens(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const granted = "openid offline_access " + mailScope
	refresh := signedIn(t, s.URL, set("scope", granted)).RefreshToken
	for _, c := range []struct{ name, scope, want, code string }{
		{"less", mailScope, mailScope, ""},
		{"nothing said", "", granted, ""},
		{"another order", mailScope + " openid offline_access", granted, ""},
		{"more", granted + " " + calendarScope, "", oidc.CodeInvalidScope},
		{"something else", calendarScope, "", oidc.CodeInvalidScope},
		{"everything after all", "", granted, ""},
	} {
		form := refreshForm(refresh)
		if c.scope != "" {
			form.Set("scope", c.scope)
		}
		a := token(t, s.URL, form)
		if a.Error != c.code || !sameWords(a.Scope, c.want) {
			t.Errorf("%s: %d %s, scope %q; want %q %q", c.name, a.Status, a.Error, a.Scope, c.code, c.want)
		}
		if a.Status != http.StatusOK {
			continue // nothing was used up
		}
		refresh = a.RefreshToken
		if _, payload := claims(t, a.AccessToken); !sameWords(payload["scope"].(string), c.want) {
			t.Errorf("%s: the token carries %v, want %q", c.name, payload["scope"], c.want)
		}
	}
}

// TestRefreshedTokens live an hour from now (R6), and the old ones go on until they end.
func TestRefreshedTokens(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	first := signedIn(t, s.URL, nil)
	s.Clock.Advance(50 * time.Minute)
	next := token(t, s.URL, refreshForm(first.RefreshToken))
	if next.ExpiresIn != 3600 || !sameWords(next.Scope, allScopes) || next.TokenType != "Bearer" || next.IDToken == "" {
		t.Errorf("refreshed: %+v, want an hour for everything", next)
	}
	alive(t, s.URL, first, "a refresh")
	s.Clock.Advance(10*time.Minute + time.Second)
	if p := configuration(t, s.URL, first.AccessToken, ""); p.status != http.StatusUnauthorized {
		t.Errorf("the first token after an hour: %d, want 401", p.status)
	}
	alive(t, s.URL, next, "ten minutes")
	s.Clock.Advance(90 * 24 * time.Hour)
	if a := token(t, s.URL, refreshForm(next.RefreshToken)); a.Status != http.StatusOK {
		t.Errorf("refresh after three months: %d %s, want 200: refresh tokens do not expire by themselves", a.Status, a.Error)
	}
}

func TestBadRefreshTokens(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	good := signedIn(t, s.URL, nil)
	for name, refresh := range map[string]string{
		"unknown": "spr_x", "cut short": good.RefreshToken[:len(good.RefreshToken)-1], "with more": good.RefreshToken + "x",
		"access token": good.AccessToken, "ID token": good.IDToken, "with a blank": " " + good.RefreshToken,
	} {
		tokenError(t, name, posted(t, s.URL, refreshForm(refresh)), http.StatusBadRequest, oidc.CodeInvalidGrant)
	}
	if a := token(t, s.URL, refreshForm(good.RefreshToken)); a.Status != http.StatusOK {
		t.Errorf("the right one afterwards: %d %s", a.Status, a.Error)
	}
}

// TestRFC8707ResourceNarrows what code and refresh give: one service, its scope, an hour.
func TestRFC8707ResourceNarrows(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for resource, want := range map[string]struct {
		aud      any
		scope    string
		username any
	}{
		"":                                      {[]any{s.URL, "https://dav.example.test/calendars/"}, allScopes, "alice@example.test"}, // R4: in_broad
		s.URL:                                   {s.URL, allScopes, "alice@example.test"},
		s.URL + "/configuration":                {s.URL, allScopes, "alice@example.test"},
		"imap.example.test":                     {"imap.example.test", mailScope, "alice@example.test"},
		"https://dav.example.test/calendars/":   {"https://dav.example.test/calendars/", calendarScope, "alice@example.test"},
		"https://dav.example.test/calendars":    {"https://dav.example.test/calendars/", calendarScope, "alice@example.test"},
		"https://files.example.test/dav/a/b.md": {"https://files.example.test/dav/", filesScope, "alice@example.test"},
	} {
		form := codeForm(newCode(t, s.URL, nil))
		if resource != "" {
			form.Set("resource", resource)
		}
		a := token(t, s.URL, form)
		if a.Status != http.StatusOK {
			t.Errorf("resource %q: %d %s", resource, a.Status, a.Error)
			continue
		}
		_, payload := claims(t, a.AccessToken)
		if !reflect.DeepEqual(payload["aud"], want.aud) || a.Scope != want.scope || payload["preferred_username"] != want.username || a.ExpiresIn != 3600 {
			t.Errorf("resource %q: aud %v, scope %q, for %d s; want %+v for 3600 s", resource, payload["aud"], a.Scope, a.ExpiresIn, want)
		}
		// The refresh token keeps the whole grant (RFC 8707, section 2.2).
		if next := token(t, s.URL, refreshForm(a.RefreshToken)); next.Scope != allScopes {
			t.Errorf("resource %q: refreshed scope %q, want %q", resource, next.Scope, allScopes)
		}
	}
}

// TestRFC8707OneListOfResources: what was named at the authorization endpoint is
// what the token endpoint and the exchange give.
func TestRFC8707OneListOfResources(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	named := func(q url.Values) {
		q["resource"] = []string{"imap.example.test", "https://dav.example.test/calendars/alice/"}
	}
	a := signedIn(t, s.URL, named)
	for resource, code := range map[string]string{
		"imap.example.test": "", "https://dav.example.test/calendars/": "", "submission.example.test": oidc.CodeInvalidTarget, "https://files.example.test/dav/": oidc.CodeInvalidTarget,
	} {
		form := refreshForm(a.RefreshToken)
		form.Set("resource", resource)
		next := token(t, s.URL, form)
		if next.Error != code {
			t.Errorf("refresh for %s: %d %s, want %q", resource, next.Status, next.Error, code)
		}
		if next.RefreshToken != "" {
			a.RefreshToken = next.RefreshToken
		}
		if got := token(t, s.URL, exchangeForm(a.AccessToken, resource)); got.Error != code {
			t.Errorf("exchange for %s: %d %s, want %q", resource, got.Status, got.Error, code)
		}
	}
	form := codeForm(newCode(t, s.URL, named))
	form.Set("resource", "submission.example.test")
	tokenError(t, "code for a resource that was not named", posted(t, s.URL, form), http.StatusBadRequest, oidc.CodeInvalidTarget)
	form.Set("resource", "imap.example.test")
	if got := token(t, s.URL, form); got.Status != http.StatusOK {
		t.Errorf("code for a resource that was named: %d %s", got.Status, got.Error)
	}
}
