package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
)

// TestIncidentStalwart2959: a scope that was asked for and allowed at the authorization endpoint was
// not in the token, so a mail program signed in and could do nothing. Here what is asked,
// allowed, answered, written into the token, told to servers and refreshed is one list.
// Source: https://github.com/stalwartlabs/stalwart/issues/2959
func TestIncidentStalwart2959(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	for asked, granted := range map[string]string{
		"openid offline_access " + mailScope:                       "openid offline_access " + mailScope,
		mailScope + " offline_access":                              mailScope + " offline_access",
		calendarScope + " " + mailScope + " offline_access openid": calendarScope + " " + mailScope + " offline_access openid",
		allScopes:                          allScopes,
		allScopes + " urn:example:unknown": allScopes, // and the answer says so (RFC 6749, section 3.3)
		"offline_access " + calendarScope + " urn:example:x profile":   "offline_access " + calendarScope + " profile",
		"email profile openid offline_access " + filesScope:            "email profile openid offline_access " + filesScope,
		mailScope + " " + filesScope + " " + calendarScope + " openid": mailScope + " " + filesScope + " " + calendarScope + " openid",
	} {
		in := signedIn(t, s.URL, set("scope", asked))
		answers := map[string]answer{"code": in}
		if in.RefreshToken != "" {
			answers["refresh"] = token(t, s.URL, refreshForm(in.RefreshToken))
		}
		for way, a := range answers {
			if _, inside := claims(t, a.AccessToken); a.Scope != granted || inside["scope"] != granted {
				t.Errorf("asked %q, by %s: the answer says %q and the token %q, want %q", asked, way, a.Scope, inside["scope"], granted)
			}
		}
		kept := rows(t, s, `SELECT scopes FROM grants ORDER BY created_at DESC LIMIT 1`)
		if !slices.Equal(kept, []string{granted}) {
			t.Errorf("asked %q: the sign-in is kept with %q, want %q", asked, kept, granted)
		}
		if strings.Contains(granted, calendarScope) {
			if got := introspected(t, s.URL, in.AccessToken, asDav).isActive(t, asked); got["scope"] != calendarScope {
				t.Errorf("asked %q: the calendar is told of the scope %q, want %q", asked, got["scope"], calendarScope)
			}
		}
	}
}

// TestIncidentDexGHSA7qjx: what the operator had decided about a connector was asked at sign-in and
// not at token exchange, which had a way of its own. Here every way to a token asks one policy: a
// program that is switched off gets nothing by any of them, and a resource that was not granted is
// refused by all.
// Source: https://github.com/dexidp/dex/security/advisories/GHSA-7qjx-gp9h-65qj
func TestIncidentDexGHSA7qjx(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	named := set("resource", calendar)
	ways := func(resource string) map[string]url.Values {
		in, code := signedIn(t, s.URL, named), codeForm(newCode(t, s.URL, named))
		refresh := refreshForm(in.RefreshToken)
		code.Set("resource", resource)
		refresh.Set("resource", resource)
		byAudience, byResource := exchangeForm(in.AccessToken, resource), exchangeForm(in.AccessToken, "")
		byResource.Del("audience")
		byResource.Set("resource", resource)
		return map[string]url.Values{"code": code, "refresh": refresh, "exchange by audience": byAudience, "exchange by resource": byResource}
	}
	for way, form := range ways("https://files.example.test/dav/") {
		notExchanged(t, way+", for what the sign-in was not for", token(t, s.URL, form), oidc.CodeInvalidTarget)
	}
	for way, form := range ways(calendar) {
		if a := token(t, s.URL, form); a.Status != http.StatusOK {
			t.Errorf("%s, for what the sign-in was for: %d %s", way, a.Status, a.Error)
		}
	}
	// A service that the person has no more, by a condition of the operator.
	in, pending := signedIn(t, s.URL, nil), codeForm(newCode(t, s.URL, nil))
	introspected(t, s.URL, in.AccessToken, asDav).isActive(t, "before the condition")
	kept := strings.Replace(withPrograms(s.Declaration()), "address_trust: email_verified}", "address_trust: email_verified, keep_claims: [groups]}", 1)
	applied(t, s, strings.Replace(kept, "title: Calendar,", `title: Calendar, condition: '"staff" in claims.groups',`, 1))
	pending.Set("resource", calendar)
	refresh := refreshForm(in.RefreshToken)
	refresh.Set("resource", calendar)
	for way, form := range map[string]url.Values{"code": pending, "refresh": refresh, "exchange": exchangeForm(in.AccessToken, calendar)} {
		notExchanged(t, way+", against the condition", token(t, s.URL, form), oidc.CodeInvalidTarget)
	}
	if bundle := bundled(t, s.URL, in.AccessToken, url.Values{}); bundle.status != http.StatusOK || strings.Contains(bundle.body, calendar) {
		t.Errorf("bundle, against the condition: %d with the calendar %v, want it without", bundle.status, strings.Contains(bundle.body, calendar))
	}
	if aud := audiences(t, token(t, s.URL, refreshForm(in.RefreshToken)).AccessToken); slices.Contains(aud, calendar) {
		t.Errorf("a new broad token is for %v, against the condition", aud)
	}
	introspected(t, s.URL, in.AccessToken, asDav).isInactive(t, "against the condition")
	applied(t, s, withPolicy(s, "", ""))

	p := &program{t: t, s: s, id: "shop", redirect: redirectURI}
	p.signsIn()
	p.works("before it is switched off")
	code := p.code(newBrowser(t).signIn(p.asks()))
	applied(t, s, withPolicy(s, "      deny: [{id: shop}]\n", ""))
	p.isUnknown("switched off")
	tokenError(t, "code of a program that is switched off", p.sends("/token", code), http.StatusUnauthorized, oidc.CodeInvalidClient)
	applied(t, s, withPolicy(s, "", ""))
	p.works("switched on again")
}

// TestIncidentAuthelia12970: the resource of a request was compared with one list at the
// authorization endpoint and with another at the token endpoint, so nothing fitted both. Here there
// is one list: what the first takes the second takes, in each spelling that names the service.
// Source: https://github.com/authelia/authelia/issues/12970
func TestIncidentAuthelia12970(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, at := range append(everyAudience, calendar+"alice/work", strings.TrimSuffix(calendar, "/")) {
		for _, then := range append(everyAudience, calendar+"bob/", strings.TrimSuffix(calendar, "/")) {
			form := codeForm(newCode(t, s.URL, set("resource", at)))
			form.Set("resource", then)
			same := strings.HasPrefix(at, strings.TrimSuffix(calendar, "/")) && strings.HasPrefix(then, strings.TrimSuffix(calendar, "/")) || at == then
			a := token(t, s.URL, form)
			if got := a.Status == http.StatusOK; got != same || !same && a.Error != oidc.CodeInvalidTarget {
				t.Errorf("%s at /authorize and %s at /token: %d %s, want it taken %v", at, then, a.Status, a.Error, same)
			}
		}
	}
	for _, unknown := range []string{"https://elsewhere.test/", "imap.other.test", "imap"} {
		if told := asked(t, s.URL, set("resource", unknown)); told.Get("error") != oidc.CodeInvalidTarget {
			t.Errorf("%s at /authorize: %v, want invalid_target", unknown, told)
		}
		form := codeForm(newCode(t, s.URL, nil))
		form.Set("resource", unknown)
		notExchanged(t, unknown+" at /token", token(t, s.URL, form), oidc.CodeInvalidTarget)
	}
}

// TestIncidentOctoSTSPatterns: issuers and subjects were allowed by patterns that were not anchored
// or whose wildcard crossed a slash, and an allow-list that was missing allowed everybody. Here
// nothing that lets somebody in is a pattern, and what cannot be read is an error that leaves the
// last declaration in force.
// Source: https://github.com/octo-sts/app#readme
func TestIncidentOctoSTSPatterns(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	id := func(redirect string) string {
		return registered(t, s.URL+"/register", fmt.Sprintf(`{"redirect_uris":[%q],"client_name":"Example"}`, redirect))
	}
	allowed, longer, other := id("com.example.mail:/cb"), id("com.example.mail.evil:/cb"), id("evil.com.example.mail:/cb")
	applied(t, s, withPolicy(s, "      allow: [{redirect: com.example.mail}]\n", ""))
	for client, redirect := range map[string]string{allowed: "com.example.mail:/cb", longer: "com.example.mail.evil:/cb", other: "evil.com.example.mail:/cb"} {
		p := ask(t, http.MethodGet, authorizeURL(s.URL, together(set("client_id", client), set("redirect_uri", redirect))))
		if got := p.status == http.StatusOK; got != (client == allowed) {
			t.Errorf("allowed is com.example.mail; the program at %s: %d", redirect, p.status)
		}
	}
	noEnv := func(string) (string, bool) { return "", false }
	for name, change := range map[string]func(string) string{
		"an issuer with a wildcard host": func(d string) string { return strings.Replace(d, s.IDP.Issuer, "https://*.example.test", 1) },
		"an issuer that is a pattern":    func(d string) string { return strings.Replace(d, s.IDP.Issuer, "https://(a|b).example.test/.*", 1) },
		"a host that is a pattern":       func(string) string { return withPolicy(s, "      allow: [{host: \"*.example.com\"}]\n", "") },
		"a redirect that is a pattern":   func(string) string { return withPolicy(s, "      allow: [{redirect: \"com.*\"}]\n", "") },
		"an entry with nothing in it":    func(string) string { return withPolicy(s, "      allow: [{}]\n", "") },
		"keys in a file that is missing": func(string) string {
			return withPolicy(s, "", "        - {id: lost, name: Lost, redirect_uris: [\""+redirectURI+"\"], authentication: private_key_jwt, jwks_file: /nowhere/keys.json}\n")
		},
		"a secret in a variable that is missing": func(string) string {
			return withPolicy(s, "", "        - {id: lost, name: Lost, redirect_uris: [\""+redirectURI+"\"], authentication: client_secret_post, secret_env: NOT_THERE}\n")
		},
		"nothing at all": func(string) string { return "" },
	} {
		tenants, err := directory.Parse("tenants.yaml", []byte(change(withPrograms(s.Declaration()))), noEnv, os.ReadFile)
		if err == nil {
			t.Errorf("%s: taken as %+v, want it refused", name, tenants)
		}
	}
	// What was declared last goes on: still only that one program.
	ask(t, http.MethodGet, authorizeURL(s.URL, together(set("client_id", longer), set("redirect_uri", "com.example.mail.evil:/cb")))).isPage(t, http.StatusBadRequest)
}

// TestIncidentFormbricks9300: whoever registered without credentials could name an https redirect of
// their own, and got people's codes there. Here who registers so gets answers on the person's device
// alone: at a loopback address or a private-use scheme.
// Source: https://github.com/formbricks/formbricks/pull/9300
func TestIncidentFormbricks9300(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for redirect, taken := range map[string]bool{
		"http://127.0.0.1/cb": true, "http://[::1]:49152/cb": true, "com.example.mail:/cb": true,
		"https://evil.test/cb": false, "https://127.0.0.1/cb": false, "http://evil.test/cb": false, "http://127.0.0.1.evil.test/cb": false,
		"http://evil.test@127.0.0.1/cb": false, "http://127.0.0.1@evil.test/cb": false, "http://localhost.evil.test/": false, "//evil.test/": false,
		"javascript:alert(1)": false, "data:text/html,x": false, "file:///etc/passwd": false, "https://accounts.google.com/": false,
		"http://127.0.0.1/cb#x": false, "mailto:evil@evil.test": false, "http://10.0.0.1/": false, "https://" + "example.test/": false,
	} {
		p := ask(t, http.MethodPost, s.URL+"/register", body("application/json", fmt.Sprintf(`{"redirect_uris":[%q],"client_name":"Example"}`, redirect)))
		if got := p.status == http.StatusCreated; got != taken {
			t.Errorf("%s: %d %s, want it registered %v", redirect, p.status, p.body, taken)
		}
		// One good redirect does not carry a bad one in.
		p = ask(t, http.MethodPost, s.URL+"/register", body("application/json", fmt.Sprintf(`{"redirect_uris":["http://127.0.0.1/cb",%q]}`, redirect)))
		if got := p.status == http.StatusCreated; got != taken && redirect != "http://127.0.0.1/cb" {
			t.Errorf("%s beside a good one: %d %s, want it registered %v", redirect, p.status, p.body, taken)
		}
	}
	good := registered(t, s.URL+"/register", `{"redirect_uris":["http://127.0.0.1/cb"]}`)
	for _, redirect := range []string{"https://evil.test/cb", "http://127.0.0.1/other", "http://127.0.0.1.evil.test/cb"} {
		ask(t, http.MethodGet, authorizeURL(s.URL, together(set("client_id", good), set("redirect_uri", redirect)))).isPage(t, http.StatusBadRequest)
	}
}

// TestIncidentMetagraphed11569: the page that asks for consent named a program as it called itself in
// the document behind its client_id, so anybody was "Your Bank". Here it is named by the host of that
// URL, and as what it says of itself nowhere.
// Source: https://github.com/JSONbored/metagraphed/issues/11569
func TestIncidentMetagraphed11569(t *testing.T) {
	t.Parallel()
	s, _ := described(t) // every program there calls itself "Trusty Bank"
	for id, redirect := range map[string]string{siteID: siteReply, nativeID: redirectURI} {
		p := &program{t: t, s: s, id: id, redirect: redirect}
		_, consent := newBrowser(t).toConsent(p.asks())
		if !strings.Contains(consent.body, documentHost) || strings.Contains(consent.body, "Trusty Bank") {
			t.Errorf("%s: the page must name %s and never Trusty Bank:\n%s", id, documentHost, consent.body)
		}
	}
	// Who registers has no host. What such a program says of itself stands there as that and no more.
	id := registered(t, s.URL+"/register", `{"redirect_uris":["`+redirectURI+`"],"client_name":"Example Organisation"}`)
	_, consent := newBrowser(t).toConsent(authorizeURL(s.URL, set("client_id", id)))
	if !strings.Contains(consent.body, "It calls itself “Example Organisation”. This cannot be checked.") {
		t.Errorf("a registered program with the organisation's name is shown as if somebody vouched for it:\n%s", consent.body)
	}
}
