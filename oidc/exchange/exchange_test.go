package exchange_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"reflect"
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

// TestRFC8693Parameters goes through RFC 8693, section 2.1.
func TestRFC8693Parameters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	broad := r.signedIn(t, r.realm, all).AccessToken
	const calendar = "https://dav.example.test/calendars/"
	for name, c := range map[string]struct {
		edit  func(f url.Values)
		code  string // empty if it succeeds
		scope string
		lives int64
	}{
		"audience":                       {nil, "", scopes.Mail, 900},
		"resource":                       {func(f url.Values) { f.Del("audience"); f.Set("resource", calendar) }, "", scopes.Calendars, 300},
		"resource below the service":     {func(f url.Values) { f.Del("audience"); f.Set("resource", calendar+"alice/") }, "", scopes.Calendars, 300},
		"requested_token_type":           {with("requested_token_type", oidc.TokenTypeAccessToken), "", scopes.Mail, 900},
		"scope of the service":           {with("scope", scopes.Mail), "", scopes.Mail, 900},
		"unknown parameters":             {with("x", "y"), "", scopes.Mail, 900},
		"no subject_token":               {with("subject_token"), oidc.CodeInvalidRequest, "", 0},
		"empty subject_token":            {with("subject_token", ""), oidc.CodeInvalidRequest, "", 0},
		"subject_token twice":            {with("subject_token", broad, broad), oidc.CodeInvalidRequest, "", 0},
		"no subject_token_type":          {with("subject_token_type"), oidc.CodeInvalidRequest, "", 0},
		"empty subject_token_type":       {with("subject_token_type", ""), oidc.CodeInvalidRequest, "", 0},
		"subject_token_type twice":       {with("subject_token_type", oidc.TokenTypeAccessToken, oidc.TokenTypeAccessToken), oidc.CodeInvalidRequest, "", 0},
		"subject_token_type jwt":         {with("subject_token_type", oidc.TokenTypeJWT), oidc.CodeInvalidRequest, "", 0},
		"subject_token_type id_token":    {with("subject_token_type", oidc.TokenTypeIDToken), oidc.CodeInvalidRequest, "", 0},
		"subject_token_type refresh":     {with("subject_token_type", oidc.TokenTypeRefreshToken), oidc.CodeInvalidRequest, "", 0},
		"subject_token_type in capitals": {with("subject_token_type", strings.ToUpper(oidc.TokenTypeAccessToken)), oidc.CodeInvalidRequest, "", 0},
		"actor_token": {func(f url.Values) {
			f.Set("actor_token", broad)
			f.Set("actor_token_type", oidc.TokenTypeAccessToken)
		}, oidc.CodeInvalidRequest, "", 0},
		"actor_token without its type":     {with("actor_token", broad), oidc.CodeInvalidRequest, "", 0},
		"actor_token_type without a token": {with("actor_token_type", oidc.TokenTypeAccessToken), oidc.CodeInvalidRequest, "", 0},
		"empty actor_token":                {with("actor_token", ""), oidc.CodeInvalidRequest, "", 0},
		"requested_token_type refresh":     {with("requested_token_type", oidc.TokenTypeRefreshToken), oidc.CodeInvalidRequest, "", 0},
		"requested_token_type id_token":    {with("requested_token_type", oidc.TokenTypeIDToken), oidc.CodeInvalidRequest, "", 0},
		"requested_token_type jwt":         {with("requested_token_type", oidc.TokenTypeJWT), oidc.CodeInvalidRequest, "", 0},
		"empty requested_token_type":       {with("requested_token_type", ""), oidc.CodeInvalidRequest, "", 0},
		"no target":                        {with("audience"), oidc.CodeInvalidTarget, "", 0},
		"empty audience":                   {with("audience", ""), oidc.CodeInvalidTarget, "", 0},
		"audience twice":                   {with("audience", "imap.example.test", "imap.example.test"), oidc.CodeInvalidTarget, "", 0},
		"two audiences":                    {with("audience", "imap.example.test", calendar), oidc.CodeInvalidTarget, "", 0},
		"audience and resource":            {with("resource", "imap.example.test"), oidc.CodeInvalidTarget, "", 0},
		"the issuer":                       {with("audience", base), oidc.CodeInvalidTarget, "", 0},
		"the configuration":                {with("audience", base+oidc.ConfigurationPath), oidc.CodeInvalidTarget, "", 0},
		"another tenant's service":         {with("audience", "imap.other.test"), oidc.CodeInvalidTarget, "", 0},
		"a client":                         {with("audience", "open"), oidc.CodeInvalidTarget, "", 0},
		"a service's id instead":           {with("audience", "imap"), oidc.CodeInvalidTarget, "", 0},
		"resource with a fragment":         {func(f url.Values) { f.Del("audience"); f.Set("resource", calendar+"#x") }, oidc.CodeInvalidTarget, "", 0},
		"resource with dot segments":       {func(f url.Values) { f.Del("audience"); f.Set("resource", calendar+"../") }, oidc.CodeInvalidTarget, "", 0},
		"a service outside the scope":      {with("audience", "https://files.example.test/dav/"), oidc.CodeInvalidScope, "", 0},
		"empty scope":                      {with("scope", ""), oidc.CodeInvalidScope, "", 0},
		"malformed scope":                  {with("scope", scopes.Mail+"  openid"), oidc.CodeInvalidScope, "", 0},
		"scope beyond the subject":         {with("scope", scopes.Files), oidc.CodeInvalidScope, "", 0},
		"scope beyond the service":         {with("scope", scopes.Mail+" "+scopes.Calendars), oidc.CodeInvalidScope, "", 0},
		"the whole broad scope":            {with("scope", all), oidc.CodeInvalidScope, "", 0},
		"no client_id":                     {with("client_id"), oidc.CodeInvalidRequest, "", 0},
		"unknown client":                   {with("client_id", "nobody"), oidc.CodeInvalidClient, "", 0},
		"another client":                   {with("client_id", "thunderbird"), oidc.CodeInvalidRequest, "", 0},
		"a client secret":                  {with("client_secret", "x"), oidc.CodeInvalidClient, "", 0},
		"grant type in another spelling":   {with("grant_type", "token-exchange"), oidc.CodeUnsupportedGrantType, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := form(broad, c.edit)
			a, err := r.Token(t.Context(), r.realm, issuer.Call{Form: f, Method: "POST", URL: r.realm.URL("/token")})
			if c.code != "" {
				if e, ok := errors.AsType[*oidc.Error](err); !ok || e.Code != c.code || e.Description == "" || !reflect.DeepEqual(a, issuer.TokenResponse{}) {
					t.Fatalf("answer %+v, error %v, want %s; form %v", a, err, c.code, f)
				}
				return
			}
			want := issuer.TokenResponse{
				AccessToken: a.AccessToken, IssuedTokenType: oidc.TokenTypeAccessToken, TokenType: "Bearer", ExpiresIn: c.lives, Scope: c.scope,
			}
			if err != nil || a != want {
				t.Fatalf("\n got %+v, %v\nwant %+v", a, err, want)
			}
			got, err := r.Keys.Verify("example", base, a.AccessToken)
			if err != nil || got.Broad() || len(got.Audience) != 1 || got.Scope != c.scope {
				t.Errorf("token: %+v, %v", got, err)
			}
		})
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
	want.Scope, want.Rule, want.Outcome = scopes.Files, "exchange/scope", audit.Refused
	if _, err := r.Token(t.Context(), r.realm, issuer.Call{Form: form(in.AccessToken, with("scope", scopes.Files)), Method: "POST", URL: r.realm.URL("/token")}); err == nil {
		t.Fatal("a scope beyond the subject was given")
	}
	if got := r.audit.last(); got != want {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	want.Service, want.Scope, want.Rule = "", "", "exchange/target"
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
