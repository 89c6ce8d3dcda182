package exchange_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/scopes"
)

const calendar = "https://dav.example.test/calendars/"

// exchanged is what an exchange with a change comes to.
type exchanged struct {
	edit  func(f url.Values)
	code  string // empty if it succeeds
	scope string
	lives int64
}

func refusedWith(code string, edit func(f url.Values)) exchanged {
	return exchanged{edit: edit, code: code}
}

// tries goes through exchanges of one broad token.
func tries(t *testing.T, cases map[string]exchanged) {
	t.Helper()
	r := newRig(t)
	broad := r.signedIn(t, r.realm, all).AccessToken
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := form(broad, c.edit)
			a, err := r.Token(t.Context(), r.realm, r.call(f))
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

// TestRFC8693Section2_1SubjectTokenIsRequired, once, with its type, which is that of an access
// token: our own refresh tokens and ID tokens are never subject tokens (R20).
func TestRFC8693Section2_1SubjectTokenIsRequired(t *testing.T) {
	t.Parallel()
	refused := func(edit func(url.Values)) exchanged { return refusedWith(oidc.CodeInvalidRequest, edit) }
	tries(t, map[string]exchanged{
		"no token":          refused(with("subject_token")),
		"empty token":       refused(with("subject_token", "")),
		"the token twice":   refused(func(f url.Values) { f.Add("subject_token", f.Get("subject_token")) }),
		"another token":     refused(func(f url.Values) { f.Add("subject_token", "x") }),
		"no type":           refused(with("subject_token_type")),
		"empty type":        refused(with("subject_token_type", "")),
		"the type twice":    refused(with("subject_token_type", oidc.TokenTypeAccessToken, oidc.TokenTypeAccessToken)),
		"jwt":               refused(with("subject_token_type", oidc.TokenTypeJWT)),
		"id_token":          refused(with("subject_token_type", oidc.TokenTypeIDToken)),
		"refresh_token":     refused(with("subject_token_type", oidc.TokenTypeRefreshToken)),
		"app-password":      refused(with("subject_token_type", oidc.TokenTypeAppPassword)),
		"saml2":             refused(with("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")),
		"type in capitals":  refused(with("subject_token_type", strings.ToUpper(oidc.TokenTypeAccessToken))),
		"type with a space": refused(with("subject_token_type", oidc.TokenTypeAccessToken+" ")),
	})
}

// TestRFC8693Section2_1ActorTokens: "actor_token_type ... is REQUIRED when the actor_token parameter
// is present ... but MUST NOT be included otherwise". We support none, with the type or without.
func TestRFC8693Section2_1ActorTokens(t *testing.T) {
	t.Parallel()
	refused := func(edit func(url.Values)) exchanged { return refusedWith(oidc.CodeInvalidRequest, edit) }
	tries(t, map[string]exchanged{
		"with its type": refused(func(f url.Values) {
			f.Set("actor_token", f.Get("subject_token"))
			f.Set("actor_token_type", oidc.TokenTypeAccessToken)
		}),
		"without its type":     refused(func(f url.Values) { f.Set("actor_token", f.Get("subject_token")) }),
		"a type without token": refused(with("actor_token_type", oidc.TokenTypeAccessToken)),
		"empty":                refused(with("actor_token", "")),
		"empty type":           refused(with("actor_token_type", "")),
	})
}

// TestRFC8693Section2_1RequestedTokenType: an access token, which is what comes if nothing is
// asked, or a password, of which this sign-in may make none. Nothing by which one
// stays signed in, nor an assertion of who somebody is.
func TestRFC8693Section2_1RequestedTokenType(t *testing.T) {
	t.Parallel()
	refused := func(values ...string) exchanged {
		return refusedWith(oidc.CodeInvalidRequest, with("requested_token_type", values...))
	}
	tries(t, map[string]exchanged{
		"access_token":  {with("requested_token_type", oidc.TokenTypeAccessToken), "", scopes.Mail, 900},
		"none":          {with("requested_token_type"), "", scopes.Mail, 900},
		"refresh_token": refused(oidc.TokenTypeRefreshToken),
		"id_token":      refused(oidc.TokenTypeIDToken),
		"jwt":           refused(oidc.TokenTypeJWT),
		"saml1":         refused("urn:ietf:params:oauth:token-type:saml1"),
		"unknown":       refused("urn:example:token"),
		"empty":         refused(""),
		"twice":         refused(oidc.TokenTypeAccessToken, oidc.TokenTypeAccessToken),
		"two":           refused(oidc.TokenTypeAccessToken, oidc.TokenTypeRefreshToken),
	})
}

// TestRFC8693Section2_1Targets: exactly one, that the account has. A resource "MUST NOT include a
// fragment component".
func TestRFC8693Section2_1Targets(t *testing.T) {
	t.Parallel()
	refused := func(edit func(url.Values)) exchanged { return refusedWith(oidc.CodeInvalidTarget, edit) }
	resource := func(value string) func(url.Values) {
		return func(f url.Values) { f.Del("audience"); f.Set("resource", value) }
	}
	tries(t, map[string]exchanged{
		"audience":                   {nil, "", scopes.Mail, 900},
		"resource":                   {resource(calendar), "", scopes.Calendars, 300},
		"resource below the service": {resource(calendar + "alice/"), "", scopes.Calendars, 300},
		"none":                       refused(with("audience")),
		"empty":                      refused(with("audience", "")),
		"audience twice":             refused(with("audience", "imap.example.test", "imap.example.test")),
		"two audiences":              refused(with("audience", "imap.example.test", calendar)),
		"audience and resource":      refused(with("resource", "imap.example.test")),
		"two resources":              refused(func(f url.Values) { f.Del("audience"); f["resource"] = []string{calendar, calendar} }),
		"the issuer":                 refused(with("audience", base)),
		"the configuration":          refused(with("audience", base+oidc.ConfigurationPath)),
		"another tenant's service":   refused(with("audience", "imap.other.test")),
		"a client":                   refused(with("audience", "open")),
		"a service's id instead":     refused(with("audience", "imap")),
		"resource with a fragment":   refused(resource(calendar + "#x")),
		"an empty fragment":          refused(resource(calendar + "#")),
		"resource with dot segments": refused(resource(calendar + "../")),
	})
}

// TestRFC8693Section2_1Scope: within the subject token's, and what the service has a use for.
func TestRFC8693Section2_1Scope(t *testing.T) {
	t.Parallel()
	refused := func(edit func(url.Values)) exchanged { return refusedWith(oidc.CodeInvalidScope, edit) }
	tries(t, map[string]exchanged{
		"of the service":              {with("scope", scopes.Mail), "", scopes.Mail, 900},
		"empty":                       refused(with("scope", "")),
		"malformed":                   refused(with("scope", scopes.Mail+"  openid")),
		"beyond the subject":          refused(with("scope", scopes.Files)),
		"beyond the service":          refused(with("scope", scopes.Mail+" "+scopes.Calendars)),
		"the whole broad scope":       refused(with("scope", all)),
		"a service outside the scope": refused(with("audience", "https://files.example.test/dav/")),
	})
}

// TestRFC8693Section2_1Clients: who asks is whom the token was issued to, and what is not
// known of a request is ignored (RFC 6749, section 3.2).
func TestRFC8693Section2_1Clients(t *testing.T) {
	t.Parallel()
	tries(t, map[string]exchanged{
		"unknown parameters":             {with("x", "y"), "", scopes.Mail, 900},
		"no client_id":                   refusedWith(oidc.CodeInvalidRequest, with("client_id")),
		"unknown client":                 refusedWith(oidc.CodeInvalidClient, with("client_id", "nobody")),
		"another client":                 refusedWith(oidc.CodeInvalidRequest, with("client_id", "thunderbird")),
		"a client secret":                refusedWith(oidc.CodeInvalidClient, with("client_secret", "x")),
		"grant type in another spelling": refusedWith(oidc.CodeUnsupportedGrantType, with("grant_type", "token-exchange")),
	})
}

// TestRFC8693Section2_2_1Answer: "access_token", "issued_token_type" and "token_type" are REQUIRED,
// "expires_in" RECOMMENDED, "scope" REQUIRED where it is not what was asked for, and "a refresh token
// will typically not be issued".
func TestRFC8693Section2_2_1Answer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, err := r.Token(t.Context(), r.realm, r.call(form(r.signedIn(t, r.realm, all).AccessToken, nil)))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"access_token": a.AccessToken, "issued_token_type": oidc.TokenTypeAccessToken, "token_type": "Bearer", "expires_in": 900.0, "scope": scopes.Mail,
	}
	if !reflect.DeepEqual(got, want) || a.AccessToken == "" {
		t.Errorf("\n got %v\nwant %v", got, want)
	}
}
