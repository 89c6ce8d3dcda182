package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
)

func userinfo(t testing.TB, method, issuer, token string, edits ...edit) page {
	t.Helper()
	return ask(t, method, issuer+"/userinfo", append([]edit{header("Authorization", "Bearer "+token)}, edits...)...)
}

// TestOpenIDCoreUserInfoClaims: those of the granted scopes and no others, sub always
// (OpenID Connect Core 1.0, section 5.3.2 and section 5.4).
func TestOpenIDCoreUserInfoClaims(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for scope, more := range map[string]object{
		"openid":               {},
		"openid profile":       {"name": "Alice Example", "preferred_username": "alice@example.test"},
		"openid email":         {"email": "alice@example.test", "email_verified": true},
		"openid profile email": {"name": "Alice Example", "preferred_username": "alice@example.test", "email": "alice@example.test", "email_verified": true},
	} {
		in := signedIn(t, s.URL, set("scope", scope))
		_, id := claims(t, in.IDToken)
		want := object{"sub": id["sub"]}
		maps.Copy(want, more)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			p := userinfo(t, method, s.URL, in.AccessToken)
			var got object
			p.json(t, &got)
			if p.status != http.StatusOK || p.header.Get("Content-Type") != "application/json" || !maps.Equal(got, want) {
				t.Errorf("%s with %q: %d %s, want %v", method, scope, p.status, p.body, want)
			}
			if p.header.Get("Cache-Control") != "no-store" || p.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s with %q: headers %v, want no-store, and any origin (section 5.3.1)", method, scope, p.header)
			}
		}
	}
}

// TestR7UserInfoSaysTheNameOfTheBroadToken: a client that reads both sees one person.
func TestR7UserInfoSaysTheNameOfTheBroadToken(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	in := signedIn(t, s.URL, set("scope", "openid profile "+mailScope))
	var got object
	userinfo(t, http.MethodGet, s.URL, in.AccessToken).json(t, &got)
	if _, inside := claims(t, in.AccessToken); got["preferred_username"] != inside["preferred_username"] || got["sub"] != inside["sub"] {
		t.Errorf("userinfo %v, broad token %v", got, inside)
	}
}

// TestOpenIDCoreUserInfoErrors are those of bearer tokens (OpenID Connect Core 1.0, section 5.3.3;
// RFC 6750, section 3).
func TestOpenIDCoreUserInfoErrors(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	in := signedIn(t, s.URL, set("scope", mailScope))
	for name, c := range map[string]struct {
		edits  []edit
		status int
		code   string
	}{
		"no token":       {nil, 401, oidc.CodeInvalidToken},
		"nonsense":       {[]edit{header("Authorization", "Bearer x")}, 401, oidc.CodeInvalidToken},
		"in a form":      {[]edit{formBody(url.Values{"access_token": {in.AccessToken}})}, 401, oidc.CodeInvalidToken},
		"without openid": {[]edit{header("Authorization", "Bearer "+in.AccessToken)}, 403, oidc.CodeInsufficientScope},
	} {
		p := ask(t, http.MethodPost, s.URL+"/userinfo", c.edits...)
		tokenError(t, name, p, c.status, c.code)
		if !strings.HasPrefix(p.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: WWW-Authenticate %q, want a challenge", name, p.header.Get("WWW-Authenticate"))
		}
	}
}

// TestR1UserInfoOfNobody: an account that no declared identity provider speaks for has no claims.
func TestR1UserInfoOfNobody(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	in := signedIn(t, s.URL, set("scope", "openid profile email"))
	removed := strings.Replace(s.Declaration(), s.IDP.Issuer, "https://login.example.test", 1)
	declare(t, s, removed, func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return r.IdentityProviders[0].Issuer != s.IDP.Issuer
	})
	tokenError(t, "nobody", userinfo(t, http.MethodGet, s.URL, in.AccessToken), http.StatusUnauthorized, oidc.CodeInvalidToken)
}

// TestRFC9449Section7UserInfo takes a bound token with a proof of its key for this endpoint and method.
func TestRFC9449Section7UserInfo(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p := newProver(t, s)
	bound := p.signedIn(s.URL, nil).AccessToken
	for method, sent := range map[string]string{http.MethodGet: http.MethodGet, http.MethodPost: http.MethodPost, http.MethodHead: http.MethodPost} {
		want := http.StatusOK
		if method != sent {
			want = http.StatusUnauthorized
		}
		got := ask(t, sent, s.URL+"/userinfo", header("Authorization", "DPoP "+bound), header("DPoP", p.proof(method, s.URL+"/userinfo", bound)))
		if got.status != want || got.header.Get("DPoP-Nonce") == "" {
			t.Errorf("%s with a proof for %s: %d %s, want %d and a nonce", sent, method, got.status, got.body, want)
		}
	}
	if got := userinfo(t, http.MethodGet, s.URL, bound); got.status != http.StatusUnauthorized {
		t.Errorf("as a bearer token: %d, want 401", got.status)
	}
}
