package server_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/server"
)

// revoked sends a form to the revocation endpoint.
func revoked(t testing.TB, at string, form url.Values, edits ...edit) page {
	t.Helper()
	return ask(t, http.MethodPost, at+"/revoke", append([]edit{formBody(form)}, edits...)...)
}

// isRevoked checks for the one good answer.
func isRevoked(t testing.TB, p page) {
	t.Helper()
	if p.status != http.StatusOK || p.body != "" || p.header.Get("Cache-Control") != "no-store" {
		t.Errorf("revoke: %d %q %v, want 200, nothing, no-store", p.status, p.body, p.header)
	}
}

// giveBack is a revocation request of the client "open".
func giveBack(token string) url.Values {
	return url.Values{"client_id": {"open"}, "token": {token}}
}

// TestRFC7009Section2RevokingEndsTheGrant by each token that speaks for all of it.
func TestRFC7009Section2RevokingEndsTheGrant(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	for name, which := range map[string]func(in answer) string{
		"refresh token":              func(in answer) string { return in.RefreshToken },
		"token for the issuer alone": func(in answer) string { return forTheIssuer(t, s.URL, in) },
		"a refresh token that was replaced": func(in answer) string {
			token(t, s.URL, refreshForm(in.RefreshToken))
			return in.RefreshToken
		},
	} {
		in, other := signedIn(t, s.URL, nil), signedIn(t, s.URL, nil)
		form := giveBack(which(in))
		form.Set("token_type_hint", "whatever") // RFC 7009, section 2.1: it may be wrong
		isRevoked(t, revoked(t, s.URL, form))
		ended(t, s.URL, in, "revoking the "+name)
		alive(t, s.URL, other, "another sign-in was revoked")
		isRevoked(t, revoked(t, s.URL, form)) // again: nothing is wrong with that
	}
}

// forTheIssuer is an access token of a sign-in that no service takes.
func forTheIssuer(t testing.TB, issuer string, in answer) string {
	t.Helper()
	form := refreshForm(in.RefreshToken)
	form.Set("resource", issuer)
	a := token(t, issuer, form)
	if _, payload := claims(t, a.AccessToken); payload["aud"] != issuer {
		t.Fatalf("a token with resource=%s is for %v", issuer, payload["aud"])
	}
	return a.AccessToken
}

// TestRFC7009Section2_2UnknownTokensAreNoError: the client has what it wants.
func TestRFC7009Section2_2UnknownTokensAreNoError(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in, far := signedIn(t, s.URL, nil), signedIn(t, s.OtherURL(), set("scope", "openid offline_access "+mailScope))
	for _, unknown := range []string{"x", "spr_unknown", strings.Repeat("x", 10<<10), in.IDToken, far.RefreshToken, far.AccessToken, in.AccessToken + "x"} {
		isRevoked(t, revoked(t, s.URL, giveBack(unknown)))
	}
	alive(t, s.URL, in, "others were revoked")
	alive(t, s.OtherURL(), far, "its tokens were revoked at another tenant")
}

// TestRFC7009Section2_1OnlyTheOwnClientRevokes: it is told, and nothing ends.
func TestRFC7009Section2_1OnlyTheOwnClientRevokes(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedIn(t, s.URL, nil)
	for name, presented := range map[string]string{"refresh token": in.RefreshToken, "access token": forTheIssuer(t, s.URL, in)} {
		form := url.Values{"client_id": {"shop"}, "token": {presented}}
		tokenError(t, name, revoked(t, s.URL, form), http.StatusBadRequest, oidc.CodeInvalidGrant)
	}
	alive(t, s.URL, in, "another client revoked it")
	for name, c := range map[string]struct {
		form   url.Values
		edits  []edit
		status int
		code   string
	}{
		"no client":         {url.Values{"token": {in.RefreshToken}}, nil, 400, oidc.CodeInvalidRequest},
		"unknown client":    {url.Values{"client_id": {"stranger"}, "token": {in.RefreshToken}}, nil, 401, oidc.CodeInvalidClient},
		"a resource server": {url.Values{"token": {in.RefreshToken}}, []edit{asMail}, 401, oidc.CodeInvalidClient},
		"open with secret":  {giveBack(in.RefreshToken), []edit{basic("open", "x")}, 401, oidc.CodeInvalidClient},
		"no token":          {url.Values{"client_id": {"open"}}, nil, 400, oidc.CodeInvalidRequest},
		"two tokens":        {url.Values{"client_id": {"open"}, "token": {in.RefreshToken, "x"}}, nil, 400, oidc.CodeInvalidRequest},
	} {
		tokenError(t, name, revoked(t, s.URL, c.form, c.edits...), c.status, c.code)
	}
	alive(t, s.URL, in, "bad revocations")
}

// TestRFC7009Section2_2_1NarrowTokensAreNotRevoked: a mail server has its people's tokens too,
// and must not be able to sign them out everywhere.
func TestRFC7009Section2_2_1NarrowTokensAreNotRevoked(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedIn(t, s.URL, nil)
	for _, audience := range []string{"imap.example.test", "https://dav.example.test/calendars/"} {
		narrow := token(t, s.URL, exchangeForm(in.AccessToken, audience))
		tokenError(t, audience, revoked(t, s.URL, giveBack(narrow.AccessToken)), http.StatusBadRequest, oidc.CodeUnsupportedTokenType)
	}
	alive(t, s.URL, in, "its narrow tokens were revoked")
}

// TestRFC7009Section2_2_1BroadTokensOfServicesAreNotRevoked: a service that takes the broad
// token could sign its people out with it as well.
func TestRFC7009Section2_2_1BroadTokensOfServicesAreNotRevoked(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declare(t, s, strings.Replace(s.Declaration(), `scope:calendars"]`, `scope:calendars"], in_broad: true`, 1), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return slices.ContainsFunc(r.Services, func(s directory.Service) bool { return s.InBroad })
	})
	in := signedIn(t, s.URL, nil)
	if _, payload := claims(t, in.AccessToken); len(payload["aud"].([]any)) != 2 {
		t.Fatalf("the broad token is for %v, want the issuer and a service", payload["aud"])
	}
	tokenError(t, "broad token", revoked(t, s.URL, giveBack(in.AccessToken)), http.StatusBadRequest, oidc.CodeUnsupportedTokenType)
	alive(t, s.URL, in, "its broad token was revoked")
}

// TestRFC9449RevokingABoundTokenNeedsItsKey: who has stolen it ends nothing.
func TestRFC9449RevokingABoundTokenNeedsItsKey(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	owner, thief := newProver(t, s), newProver(t, s)
	in := owner.signedIn(s.URL, nil)
	thief.learn(s.URL)
	form := giveBack(in.AccessToken)
	by := func(p *prover) edit { return header("DPoP", p.proof(http.MethodPost, s.URL+"/revoke", "")) }
	tokenError(t, "without a proof", revoked(t, s.URL, form), http.StatusBadRequest, oidc.CodeInvalidDPoPProof)
	tokenError(t, "by another key", revoked(t, s.URL, form, by(thief)), http.StatusBadRequest, oidc.CodeInvalidDPoPProof)
	if a := owner.token(s.URL, refreshForm(in.RefreshToken)); a.Status != http.StatusOK {
		t.Errorf("refresh after the thief came: %d %s, want 200", a.Status, a.Error)
	}
	isRevoked(t, revoked(t, s.URL, form, by(owner)))
	if a := owner.token(s.URL, refreshForm(in.RefreshToken)); a.Error != oidc.CodeInvalidGrant {
		t.Errorf("refresh after its owner revoked it: %d %s, want invalid_grant", a.Status, a.Error)
	}
}

// TestRFC7009Section2_3CrossOrigin: clients that are web pages can revoke.
func TestRFC7009Section2_3CrossOrigin(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	p := ask(t, http.MethodOptions, s.URL+"/revoke", header("Origin", "https://app.example"), header("Access-Control-Request-Method", "POST"))
	if p.status != http.StatusNoContent || p.header.Get("Access-Control-Allow-Origin") != "*" || p.header.Get("Access-Control-Allow-Methods") != "POST" {
		t.Errorf("preflight: %d %v, want POST from anywhere", p.status, p.header)
	}
	if got := revoked(t, s.URL, giveBack("x"), header("Origin", "https://app.example")).header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("Access-Control-Allow-Origin %q, want *", got)
	}
}

// TestR7EveryKindOnlyWhereItBelongs: each kind of token at each endpoint that takes one.
func TestR7EveryKindOnlyWhereItBelongs(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	in := signedIn(t, s.URL, nil)
	far := signedIn(t, s.OtherURL(), set("scope", "openid offline_access "+mailScope))
	kinds := map[string]string{
		"ID token": in.IDToken, "broad": in.AccessToken, "refresh": in.RefreshToken,
		"for Dovecot": token(t, s.URL, exchangeForm(in.AccessToken, "imap.example.test")).AccessToken,
		"narrow":      token(t, s.URL, exchangeForm(in.AccessToken, "https://dav.example.test/calendars/")).AccessToken,
		"RS256":       token(t, s.URL, exchangeForm(in.AccessToken, "https://files.example.test/dav/")).AccessToken,
		"foreign ID":  far.IDToken, "foreign broad": far.AccessToken, "foreign refresh": far.RefreshToken,
		"foreign narrow": token(t, s.OtherURL(), exchangeForm(far.AccessToken, "imap.other.test")).AccessToken,
	}
	active := func(as edit) func(string) bool {
		return func(token string) bool {
			return strings.Contains(introspected(t, s.URL, token, as).body, `"active":true`)
		}
	}
	for endpoint, c := range map[string]struct {
		takes   []string
		accepts func(token string) bool
	}{
		"introspection by the mail server": {[]string{"for Dovecot"}, active(asMail)},
		"introspection by the DAV server":  {[]string{"broad", "narrow"}, active(asDav)},
		"userinfo": {[]string{"broad"}, func(token string) bool {
			return ask(t, http.MethodGet, s.URL+"/userinfo", header("Authorization", "Bearer "+token)).status == http.StatusOK
		}},
		"logout": {[]string{"ID token"}, func(token string) bool {
			p := ask(t, http.MethodGet, s.URL+"/logout?"+url.Values{"id_token_hint": {token}}.Encode())
			return p.header.Get("Set-Cookie") != ""
		}},
		"exchange": {[]string{"broad"}, func(subject string) bool {
			return token(t, s.URL, exchangeForm(subject, "imap.example.test")).Status == http.StatusOK
		}},
	} {
		for kind, presented := range kinds {
			want := false
			for _, taken := range c.takes {
				want = want || taken == kind
			}
			if got := c.accepts(presented); got != want {
				t.Errorf("%s at %s: taken %v, want %v", kind, endpoint, got, want)
			}
		}
	}
	// Revoking at last: none but one ends anything.
	for _, kind := range []string{"broad", "ID token", "for Dovecot", "narrow", "RS256", "foreign ID", "foreign broad", "foreign refresh", "foreign narrow"} {
		revoked(t, s.URL, giveBack(kinds[kind]))
	}
	alive(t, s.URL, in, "revoking what does not speak for it")
	alive(t, s.OtherURL(), far, "revoking at another tenant")
	isRevoked(t, revoked(t, s.URL, giveBack(kinds["refresh"])))
	ended(t, s.URL, in, "revoking its refresh token")
}

// TestRFC7009Section2_2_1Unavailable: 503 says that the token still lives, so nothing may
// have ended without SQL; what SQL has ended stays ended, whatever fails after it.
func TestRFC7009Section2_2_1Unavailable(t *testing.T) {
	t.Parallel()
	var i *issuer.Issuer
	a := newAlone(t, https, declared, func(d *server.Deps) { i = d.Issuer })
	var in answer
	a.ask(http.MethodPost, https+"/token", formBody(codeForm(a.code(https)))).json(t, &in)
	revoke := func() page { return a.ask(http.MethodPost, https+"/revoke", formBody(giveBack(in.RefreshToken))) }
	refresh := func() int { status, _ := a.token(https, refreshForm(in.RefreshToken)); return status }
	kept, recorded := i.Store, i.Audit
	i.Store = &askedStore{}
	tokenError(t, "without a database", revoke(), http.StatusServiceUnavailable, oidc.CodeTemporarilyUnavailable)
	i.Store = kept
	if got := refresh(); got != http.StatusOK {
		t.Errorf("refresh after a revocation that failed: %d, want 200", got)
	}
	i.Audit = noAudit{}
	tokenError(t, "without a record", revoke(), http.StatusServiceUnavailable, oidc.CodeTemporarilyUnavailable)
	i.Audit = recorded
	if got := refresh(); got != http.StatusBadRequest {
		t.Errorf("refresh after SQL ended it: %d, want 400", got)
	}
}

// TestRFC7009WhoHangsUpRevokes all the same: a program that is closed sends it last.
func TestRFC7009WhoHangsUpRevokes(t *testing.T) {
	t.Parallel()
	a := newAlone(t, https, declared, nil)
	var in answer
	a.ask(http.MethodPost, https+"/token", formBody(codeForm(a.code(https)))).json(t, &in)
	a.ask(http.MethodPost, https+"/revoke", formBody(giveBack(in.RefreshToken)), func(r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		*r = *r.WithContext(ctx)
	})
	if status, code := a.token(https, refreshForm(in.RefreshToken)); code != oidc.CodeInvalidGrant {
		t.Errorf("refresh: %d %s, want invalid_grant", status, code)
	}
}
