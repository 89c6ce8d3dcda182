package exchange_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/scopes"
)

// with is an edit that sets one parameter, or takes it away if there are no values.
func with(name string, values ...string) func(url.Values) {
	return func(f url.Values) {
		f[name] = values
		if values == nil {
			f.Del(name)
		}
	}
}

// TestR24SubjectTokens: every subject token that cannot be vouched for gets the same
// answer; after a good signature the answer may say more.
func TestR24SubjectTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.signedIn(t, r.realm, all)
	far := r.signedIn(t, r.other, "openid offline_access "+scopes.Mail)
	exchanged, err := r.Token(t.Context(), r.realm, issuer.Call{Form: form(in.AccessToken, nil), Method: "POST", URL: r.realm.URL("/token")})
	if err != nil {
		t.Fatal(err)
	}
	byResource := codeForm(r.code(t, r.realm, all))
	byResource.Set("resource", "imap.example.test")
	narrow, err := r.Token(t.Context(), r.realm, issuer.Call{Form: byResource, Method: "POST", URL: r.realm.URL("/token")})
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]*oidc.Error{}
	for name, subject := range map[string]string{
		"text": "x", "refresh token": in.RefreshToken, "ID token": in.IDToken, "other tenant's": far.AccessToken,
		"cut": in.AccessToken[:len(in.AccessToken)-1], "longer": in.AccessToken + "A", "line end": in.AccessToken + "\n", "Bearer": "Bearer " + in.AccessToken,
		"narrow": narrow.AccessToken, "exchanged": exchanged.AccessToken,
	} {
		_, err := r.Token(t.Context(), r.realm, issuer.Call{Form: form(subject, nil), Method: "POST", URL: r.realm.URL("/token")})
		e, ok := errors.AsType[*oidc.Error](err)
		if !ok || e.Code != oidc.CodeInvalidRequest {
			t.Fatalf("%s: %v, want invalid_request", name, err)
		}
		if strings.Contains(e.Error(), subject) && len(subject) > 1 {
			t.Errorf("%s: the error repeats the token", name)
		}
		answers[name] = e
	}
	for _, name := range []string{"refresh token", "ID token", "other tenant's", "cut", "longer", "line end", "Bearer"} {
		if answers[name].Description != answers["text"].Description {
			t.Errorf("%s is answered %q, text %q", name, answers[name].Description, answers["text"].Description)
		}
	}
	for _, name := range []string{"narrow", "exchanged"} {
		if !slices.Contains([]string{policyNotBroad, policyOtherClient}, answers[name].Description) {
			t.Errorf("%s is answered %q", name, answers[name].Description)
		}
	}
	r.now = r.now.Add(2 * time.Hour)
	_, err = r.Token(t.Context(), r.realm, issuer.Call{Form: form(in.AccessToken, nil), Method: "POST", URL: r.realm.URL("/token")})
	if e, ok := errors.AsType[*oidc.Error](err); !ok || e.Code != oidc.CodeInvalidRequest || !strings.Contains(e.Description, "expired") {
		t.Errorf("expired: %v, want invalid_request that says so", err)
	}
}

// What is said after a good signature. A Dovecot token has no client_id, so it is
// another client's before it is narrow.
const (
	policyNotBroad    = "the subject token is not broad: only a token for the issuer itself can be exchanged"
	policyOtherClient = "it was issued to another client"
)

func TestR22EndedGrantEndsItsTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.signedIn(t, r.realm, all)
	claims, err := r.Keys.Verify("example", base, in.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Store.EndGrant(t.Context(), "example", claims.GrantID, "revoked", r.now); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Token(t.Context(), r.realm, issuer.Call{Form: form(in.AccessToken, nil), Method: "POST", URL: r.realm.URL("/token")}); oidc.CodeOf(err) != oidc.CodeInvalidRequest {
		t.Errorf("token of an ended grant: %v, want invalid_request", err)
	}
	if e := r.audit.last(); e.Rule != "exchange/grant" || e.Outcome != audit.Refused {
		t.Errorf("audited as %+v", e)
	}
}

func TestRFC8707GrantedResourcesHoldForExchange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.signedIn(t, r.realm, all, "imap.example.test")
	if _, err := r.Token(t.Context(), r.realm, issuer.Call{Form: form(in.AccessToken, nil), Method: "POST", URL: r.realm.URL("/token")}); err != nil {
		t.Errorf("a granted resource: %v", err)
	}
	_, err := r.Token(t.Context(), r.realm, issuer.Call{Form: form(in.AccessToken, with("audience", "https://dav.example.test/calendars/")), Method: "POST", URL: r.realm.URL("/token")})
	if oidc.CodeOf(err) != oidc.CodeInvalidTarget {
		t.Errorf("a resource that was not granted: %v, want invalid_target", err)
	}
}

// TestExchangeIsAudited: every decision leaves an event with the hash of the subject
// token, and none with the token.
func TestExchangeIsAudited(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.signedIn(t, r.realm, all)
	claims, err := r.Keys.Verify("example", base, in.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	// Without the signature, of which ES256 allows two.
	sum := sha256.Sum256([]byte(in.AccessToken[:strings.LastIndexByte(in.AccessToken, '.')]))
	want := audit.Event{
		At: r.now, Kind: audit.KindToken, Tenant: "example", Account: claims.Subject, Client: "open", Grant: claims.GrantID,
		Service: "imap.example.test", Scope: scopes.Mail, Rule: "exchange/allow-narrow", Outcome: audit.Allowed, SubjectHash: hex.EncodeToString(sum[:]),
	}
	if _, err := r.Token(t.Context(), r.realm, issuer.Call{Form: form(in.AccessToken, nil), Method: "POST", URL: r.realm.URL("/token")}); err != nil {
		t.Fatal(err)
	}
	if got := r.audit.last(); got != want {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	want.Asked, want.Scope, want.Rule, want.Outcome = scopes.Files, "", "exchange/scope", audit.Refused
	if _, err := r.Token(t.Context(), r.realm, issuer.Call{Form: form(in.AccessToken, with("scope", scopes.Files)), Method: "POST", URL: r.realm.URL("/token")}); err == nil {
		t.Fatal("a scope beyond the subject was given")
	}
	if got := r.audit.last(); got != want {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	want.Service, want.Asked, want.Rule = "", "", "exchange/target"
	if _, err := r.Token(t.Context(), r.realm, issuer.Call{Form: form(in.AccessToken, with("audience", "alice@evil.test")), Method: "POST", URL: r.realm.URL("/token")}); err == nil {
		t.Fatal("a foreign target was given")
	}
	if got := r.audit.last(); got != want {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	// What cannot be audited does not happen.
	r.audit.err = errors.New("audit is away")
	if a, err := r.Token(t.Context(), r.realm, issuer.Call{Form: form(in.AccessToken, nil), Method: "POST", URL: r.realm.URL("/token")}); oidc.CodeOf(err) != oidc.CodeTemporarilyUnavailable || a.AccessToken != "" {
		t.Errorf("without audit: %+v, %v, want temporarily_unavailable", a, err)
	}
}
