package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/internal/idptest"
	"signpost/internal/servertest"
	"signpost/oidc"
)

// TestNothingCrossesBetweenTenants: whatever one tenant gave out is worth nothing
// at the other, and still works at home.
func TestNothingCrossesBetweenTenants(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	audience := map[string]string{s.URL: "imap.example.test", s.OtherURL(): "imap.other.test"}
	for _, way := range [][2]string{{s.URL, s.OtherURL()}, {s.OtherURL(), s.URL}} {
		home, abroad := way[0], way[1]
		code := codeForm(newCode(t, home, nil))
		tokenError(t, "code abroad", posted(t, abroad, code), http.StatusBadRequest, oidc.CodeInvalidGrant)
		mine := token(t, home, code)
		if mine.Status != http.StatusOK {
			t.Fatalf("code at home afterwards: %d %s", mine.Status, mine.Error)
		}
		// A replay abroad ends nothing at home.
		tokenError(t, "redeemed code abroad", posted(t, abroad, code), http.StatusBadRequest, oidc.CodeInvalidGrant)
		tokenError(t, "refresh token abroad", posted(t, abroad, refreshForm(mine.RefreshToken)), http.StatusBadRequest, oidc.CodeInvalidGrant)
		for _, target := range []string{audience[home], audience[abroad]} {
			tokenError(t, "broad token abroad for "+target, posted(t, abroad, exchangeForm(mine.AccessToken, target)), http.StatusBadRequest, oidc.CodeInvalidRequest)
		}
		tokenError(t, "foreign audience at home", posted(t, home, exchangeForm(mine.AccessToken, audience[abroad])), http.StatusBadRequest, oidc.CodeInvalidTarget)
		narrow := token(t, home, exchangeForm(mine.AccessToken, audience[home]))
		for name, presented := range map[string]string{"broad": mine.AccessToken, "narrow": narrow.AccessToken, "ID": mine.IDToken, "refresh": mine.RefreshToken} {
			if p := configuration(t, abroad, presented, ""); p.status != http.StatusUnauthorized {
				t.Errorf("%s token of %s at the configuration of %s: %d, want 401", name, home, abroad, p.status)
			}
		}
		alive(t, home, mine, "all that")
		if next := token(t, home, refreshForm(mine.RefreshToken)); next.Status != http.StatusOK {
			t.Errorf("refresh at home afterwards: %d %s", next.Status, next.Error)
		}
	}
}

// TestSignInsDoNotCrossBetweenTenants: state, ticket and cookie belong to one.
func TestSignInsDoNotCrossBetweenTenants(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	b.get(authorizeURL(s.OtherURL(), nil)) // the browser has a cookie of either tenant
	ticket, _ := b.toConsent(authorizeURL(s.URL, nil))
	b.get(s.OtherURL()+"/consent?ticket="+ticket).isPage(t, http.StatusBadRequest)
	b.post(s.OtherURL()+"/consent", allow(ticket)).isPage(t, http.StatusBadRequest)
	if b.answer != nil {
		t.Errorf("the client was told %v", b.answer)
	}
	// Cookies are told apart by name, and a ticket also by its tenant.
	home, err := url.Parse(s.URL)
	must(t, err)
	value := map[string]string{}
	for _, c := range b.Jar.Cookies(home) {
		value[c.Name] = c.Value
	}
	for name, c := range map[string]struct{ issuer, cookie string }{
		"the other tenant's cookie here": {s.URL, "signpost-example=" + value["signpost-other"]},
		"this tenant's cookie there":     {s.OtherURL(), "signpost-other=" + value["signpost-example"]},
	} {
		p := ask(t, http.MethodPost, c.issuer+"/consent", formBody(allow(ticket)), header("Cookie", c.cookie))
		p.isPage(t, http.StatusBadRequest)
		if p.status == http.StatusSeeOther {
			t.Errorf("%s was taken", name)
		}
	}
	if b.post(s.URL+"/consent", allow(ticket)); b.answer.Query().Get("code") == "" {
		t.Errorf("at home afterwards: %v, want a code", b.answer)
	}
}

// TestSamePersonAtTwoTenants is two people: subjects say nothing across tenants.
func TestSamePersonAtTwoTenants(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	// Both tenants trust one identity provider now.
	declaration := strings.NewReplacer(s.FarIDP.Issuer, s.IDP.Issuer, s.FarIDP.ClientSecret, s.IDP.ClientSecret).Replace(s.Declaration())
	declare(t, s, declaration, func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Other)
		return r.IdentityProviders[0].Issuer == s.IDP.Issuer
	})
	_, here := claims(t, signedIn(t, s.URL, nil).AccessToken)
	s.IDP.AddPerson(idptest.Person{Subject: "a1", Name: "Alice Example", Email: "alice@other.test", EmailVerified: true, Login: "alice"})
	there := signedIn(t, s.OtherURL(), nil)
	_, p := claims(t, there.AccessToken)
	if here["sub"] == p["sub"] {
		t.Errorf("one subject %v at two tenants", here["sub"])
	}
	// What is known of her at one is not at the other (R1).
	if got := configuration(t, s.OtherURL(), there.AccessToken, ""); strings.Contains(got.body, "example.test") {
		t.Errorf("configuration at the other tenant: %s", got.body)
	}
	if p["preferred_username"] != "alice@other.test" {
		t.Errorf("login name %v at the other tenant, want alice@other.test", p["preferred_username"])
	}
}

// TestApplyBesideARunningServer: new things are seen, and gone ones are gone.
func TestApplyBesideARunningServer(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	before := signedIn(t, s.URL, nil)
	more := strings.Replace(s.Declaration(), "domains: [example.test]", "domains: [example.test, second.test]", 1) + `  - name: third
    issuer: path
    title: Third Organisation
    domains: [third.test]
    identity_providers:
      - {name: own, title: Own, issuer: "` + s.IDP.Issuer + `", client_id: signpost, client_secret: "` + s.IDP.ClientSecret + `", scopes: [openid, profile, email], address_trust: email_verified}
    services:
      - {id: notes, protocol: https, title: Notes, endpoints: [{url: "https://notes.third.test/api/"}], scopes: ["urn:signpost:scope:files"]}
  - name: hosted
    issuer: https://id.hosted.test
    title: Hosted Organisation
    domains: [hosted.test]
    identity_providers:
      - {name: own, title: Own, issuer: "` + s.IDP.Issuer + `", client_id: signpost, client_secret: "` + s.IDP.ClientSecret + `", scopes: [openid, profile, email], address_trust: email_verified}
    services:
      - {id: mail, protocol: imap, title: Mail, endpoints: [{host: imap.hosted.test, port: 993, security: tls}]}
`
	status := func(resource string) int {
		return ask(t, http.MethodGet, finger(s.URL, "resource", resource)).status
	}
	for _, resource := range []string{"acct:x@second.test", "acct:x@third.test", "acct:x@hosted.test"} {
		if got := status(resource); got != http.StatusNotFound {
			t.Errorf("%s before: %d, want 404", resource, got)
		}
	}
	s.Apply(t, more)
	eventually(t, "the new tenant is served", func() bool { return status("acct:x@third.test") == http.StatusOK })
	if got := status("acct:x@second.test"); got != http.StatusOK {
		t.Errorf("the new domain: %d, want 200", got)
	}
	s.IDP.AddPerson(idptest.Person{Subject: "d4", Name: "Dora Third", Email: "dora@third.test", EmailVerified: true, Login: "dora"})
	s.IDP.SignInAs("d4")
	third := signedIn(t, s.URL+"/t/third", nil)
	if a := token(t, s.URL+"/t/third", exchangeForm(third.AccessToken, "https://notes.third.test/api/")); a.Status != http.StatusOK {
		t.Errorf("exchange at the new tenant: %d %s", a.Status, a.Error)
	}
	alive(t, s.URL, before, "an apply")

	// A tenant with a host of its own answers there, and only there.
	at := host("id.hosted.test")
	if got := jsonAt(t, s.URL+"/.well-known/openid-configuration", at)["issuer"]; got != "https://id.hosted.test" {
		t.Errorf("issuer at its own host: %v", got)
	}
	if got := jsonAt(t, s.URL+"/.well-known/oauth-protected-resource/configuration", at)["resource"]; got != "https://id.hosted.test/configuration" {
		t.Errorf("resource at its own host: %v", got)
	}
	ask(t, http.MethodGet, s.URL+"/t/hosted/authorize").isNotFound(t)
	ask(t, http.MethodGet, s.URL+"/t/other/authorize", at).isNotFound(t)
	tokenError(t, "base token at the host", ask(t, http.MethodGet, s.URL+"/configuration", at, header("Authorization", "Bearer "+before.AccessToken)), http.StatusUnauthorized, "invalid_token")

	s.Apply(t, s.Declaration())
	eventually(t, "the removed domain is gone", func() bool { return status("acct:x@second.test") == http.StatusNotFound })
	if got := status("acct:alice@example.test"); got != http.StatusOK {
		t.Errorf("the domain that stays: %d, want 200", got)
	}
	alive(t, s.URL, before, "another apply")
}

// TestServiceIsSeenBesideARunningServer without a new sign-in, and leaves the same way.
func TestServiceIsSeenBesideARunningServer(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := signedIn(t, s.URL, nil)
	const audience = "pop.example.test"
	service := `      - {id: pop, protocol: pop3, title: Mail by POP, endpoints: [{host: pop.example.test, port: 995, security: tls}], scopes: ["urn:ietf:params:oauth:scope:mail"]}
      - {id: calendar,`
	more := strings.Replace(s.Declaration(), "      - {id: calendar,", service, 1)
	tokenError(t, "before", posted(t, s.URL, exchangeForm(broad.AccessToken, audience)), http.StatusBadRequest, oidc.CodeInvalidTarget)
	s.Apply(t, more)
	eventually(t, "the new service is in the configuration", func() bool {
		return strings.Contains(configuration(t, s.URL, broad.AccessToken, "").body, audience)
	})
	if a := token(t, s.URL, exchangeForm(broad.AccessToken, audience)); a.Status != http.StatusOK {
		t.Errorf("exchange for the new service: %d %s", a.Status, a.Error)
	}
	s.Apply(t, s.Declaration())
	eventually(t, "the removed service is gone", func() bool {
		return token(t, s.URL, exchangeForm(broad.AccessToken, audience)).Error == oidc.CodeInvalidTarget
	})
	if p := configuration(t, s.URL, broad.AccessToken, ""); strings.Contains(p.body, audience) {
		t.Errorf("the configuration still has it: %s", p.body)
	}
}

// TestR1RemovedIdentityProviderSpeaksForNobody: what it vouched for opens nothing
// while it is not declared.
func TestR1RemovedIdentityProviderSpeaksForNobody(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	a := signedIn(t, s.URL, nil)
	provider := func(issuer string) func(*directory.Snapshot) bool {
		return func(now *directory.Snapshot) bool {
			r, _ := now.Realm(servertest.Tenant)
			return r.IdentityProviders[0].Issuer == issuer
		}
	}
	replaced := strings.Replace(s.Declaration(), s.IDP.Issuer, s.FarIDP.Issuer, 1)
	declare(t, s, replaced, provider(s.FarIDP.Issuer))
	ended(t, s.URL, a, "its identity provider was replaced")
	declare(t, s, s.Declaration(), provider(s.IDP.Issuer))
	alive(t, s.URL, a, "its identity provider came back")
}
