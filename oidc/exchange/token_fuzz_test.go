package exchange_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/scopes"
)

// FuzzTokenRequest sends any form to the token endpoint. Secrets are new in each
// process, so an input names them: "{code}", "{refresh}", "{broad}". No token comes without
// the one that its grant type asks for, rightly presented, and no error but *oidc.Error.
func FuzzTokenRequest(f *testing.F) {
	r := newRig(f)
	in := r.signedIn(f, r.realm, all)
	narrow, err := r.Token(f.Context(), r.realm, r.call(form(in.AccessToken, nil)))
	if err != nil {
		f.Fatal(err)
	}
	secrets := map[string]string{
		"{broad}": in.AccessToken, "{refresh}": in.RefreshToken, "{narrow}": narrow.AccessToken, "{id}": in.IDToken,
		"{far}": r.signedIn(f, r.other, "openid offline_access "+scopes.Mail).AccessToken, "{code}": r.code(f, r.realm, all),
	}
	seeds := []url.Values{
		codeForm("{code}"), codeForm("{refresh}"),
		{"grant_type": {oidc.GrantTypeRefreshToken}, "client_id": {"open"}, "refresh_token": {"{refresh}"}},
		{"grant_type": {oidc.GrantTypeRefreshToken}, "client_id": {"open"}, "refresh_token": {"{broad}"}, "scope": {scopes.Mail}},
		form("{broad}", nil), form("{narrow}", nil), form("{id}", nil), form("{far}", nil),
		form("{broad}", with("scope", all)), form("{broad}", with("resource", "https://dav.example.test/calendars/")),
	}
	for _, seed := range seeds {
		f.Add(seed.Encode(), false)
	}
	f.Add(codeForm("{code}").Encode(), true)
	f.Add("grant_type=%00&client_id=open&;", false)

	f.Fuzz(func(t *testing.T, body string, header bool) {
		parsed, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		sent := url.Values{}
		for name, values := range parsed {
			for _, v := range values {
				for placeholder, secret := range secrets {
					v = strings.ReplaceAll(v, placeholder, secret)
				}
				sent.Add(name, v)
			}
		}
		call := r.call(sent)
		if header {
			call.Authorization = []string{"Basic b3Blbjo="}
		}
		a, err := r.Token(t.Context(), r.realm, call)
		if err != nil {
			if _, ok := errors.AsType[*oidc.Error](err); !ok || a != (issuer.TokenResponse{}) {
				t.Fatalf("%s: answer %+v, error %T %v", body, a, err, err)
			}
		} else {
			wantEarned(t, r, secrets, sent, header, a)
		}
		// A code is used up by whoever presents it, a refresh token gets a successor.
		if slices.Contains(sent["code"], secrets["{code}"]) {
			secrets["{code}"] = r.code(t, r.realm, all)
		}
		if err == nil && sent.Get("grant_type") == oidc.GrantTypeRefreshToken {
			secrets["{refresh}"] = a.RefreshToken
		}
	})
}

// wantEarned checks that a token was due, and that it is no more than was granted.
func wantEarned(t *testing.T, r *rig, secrets map[string]string, sent url.Values, header bool, a issuer.TokenResponse) {
	t.Helper()
	is := func(name, value string) bool { return slices.Equal(sent[name], []string{value}) }
	earned := false
	switch sent.Get("grant_type") {
	case oidc.GrantTypeAuthorizationCode:
		earned = is("code", secrets["{code}"]) && is("code_verifier", verifier) && is("redirect_uri", redirectURI)
	case oidc.GrantTypeRefreshToken:
		earned = is("refresh_token", secrets["{refresh}"])
	case oidc.GrantTypeTokenExchange:
		earned = is("subject_token", secrets["{broad}"]) && is("subject_token_type", oidc.TokenTypeAccessToken) && len(sent["audience"])+len(sent["resource"]) == 1
	}
	if !earned || header || !is("client_id", "open") {
		t.Fatalf("a token for nothing: %+v for %v, header %v", a, sent, header)
	}
	claims, err := r.Keys.Verify("example", base, a.AccessToken)
	if err != nil {
		t.Fatalf("the token does not verify: %v", err)
	}
	scope, err := scopes.Parse(claims.Scope)
	if err != nil || !scopes.Default().Cover(scopes.Of(strings.Fields(all)...), scope) || claims.Scope != a.Scope {
		t.Errorf("scope %q in the token, %q in the answer, granted %q", claims.Scope, a.Scope, all)
	}
	exchanged := sent.Get("grant_type") == oidc.GrantTypeTokenExchange
	if exchanged && (claims.Broad() || a.RefreshToken != "" || a.IDToken != "" || a.ExpiresIn > 900) {
		t.Errorf("exchange gave %+v", a)
	}
	if !exchanged && a.ExpiresIn != 3600 {
		t.Errorf("lives %d seconds, want 3600", a.ExpiresIn)
	}
}
