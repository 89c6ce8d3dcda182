package keys_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
	"signpost/oidc/keys"
)

func idClaims(edit func(*keys.IDClaims)) keys.IDClaims {
	c := keys.IDClaims{Issuer: issuer, Subject: "alice-id", ClientID: "open", IssuedAt: start, ExpiresAt: start.Add(time.Hour)}
	if edit != nil {
		edit(&c)
	}
	return c
}

func (r *rig) signID(t testing.TB, edit func(*keys.IDClaims)) string {
	t.Helper()
	token, err := r.SignID("example", idClaims(edit))
	if err != nil {
		t.Fatalf("sign an ID token: %v", err)
	}
	return token
}

func (r *rig) signAnswer(t testing.TB) string {
	t.Helper()
	token, err := r.SignIntrospection("example", issuer, "imap", map[string]any{"active": true, "sub": "alice-id", "client_id": "open"})
	if err != nil {
		t.Fatalf("sign an answer: %v", err)
	}
	return token
}

// TestR7EveryKindAtEveryDoor: each kind of token is taken only where it belongs.
func TestR7EveryKindAtEveryDoor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	narrow, bound := claims(), claims()
	narrow.Audience = []string{"imap.example.org"}
	bound.Key = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	foreignID, err := r.SignID("other", idClaims(nil))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := r.Sign("other", profile(t, oidc.ProfileRFC9068), keys.ES256, claims())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token        string
		access, hint bool
	}{
		"broad":             {r.sign(t, oidc.ProfileRFC9068, keys.ES256, claims()), true, false},
		"narrow":            {r.sign(t, oidc.ProfileRFC9068, keys.ES256, narrow), true, false},
		"narrow, RS256":     {r.sign(t, oidc.ProfileRFC9068, keys.RS256, narrow), true, false},
		"bound":             {r.sign(t, oidc.ProfileRFC9068, keys.ES256, bound), true, false},
		"Dovecot's":         {r.sign(t, oidc.ProfileDovecot, keys.ES256, narrow), true, false},
		"Dovecot's, RS256":  {r.sign(t, oidc.ProfileDovecot, keys.RS256, narrow), true, false},
		"ID token":          {r.signID(t, nil), false, true},
		"ID token, ES256":   {r.signID(t, func(c *keys.IDClaims) { c.Algorithm = keys.ES256 }), false, true},
		"signed answer":     {r.signAnswer(t), false, false},
		"foreign":           {foreign, false, false},
		"foreign ID token":  {foreignID, false, false},
		"refresh token":     {"spr_" + strings.Repeat("A", 43), false, false},
		"nothing":           {"", false, false},
		"text with 2 dots":  {"a.b.c", false, false},
		"JWT without a key": {forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, map[string]any{"kid": r.id.id}, body(nil)), false, false},
	} {
		if _, err := r.Verify("example", issuer, c.token); (err == nil) != c.access || err != nil && !errors.Is(err, keys.ErrInvalid) {
			t.Errorf("%s as an access token: %v, want it taken: %v", name, err, c.access)
		}
		hint, err := r.VerifyHint("example", issuer, c.token)
		if (err == nil) != c.hint || err != nil && (!errors.Is(err, keys.ErrInvalid) || hint != keys.Hint{}) {
			t.Errorf("%s as a hint: %+v, %v, want it taken: %v", name, hint, err, c.hint)
		}
	}
}

// TestR7ClaimsKeyAndTypeAgree: claims of one kind, signed by the key of a second, under the
// "typ" of a third. Nobody but Signpost could make them; they are refused all the
// same unless all three agree.
func TestR7ClaimsKeyAndTypeAgree(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const access, id, answer = "access", "id", "answer"
	bodies := map[string]jwt.MapClaims{
		access: body(nil),
		id:     {"iss": issuer, "sub": "alice-id", "aud": "open", "exp": start.Add(time.Hour).Unix(), "iat": start.Unix()},
		answer: {"iss": issuer, "aud": "imap", "iat": start.Unix(), "token_introspection": map[string]any{"active": true}},
		// What one kind never carries, in a body that is good otherwise.
		access + " with an answer": body(func(m jwt.MapClaims) { m["token_introspection"] = map[string]any{"active": true} }),
		access + " with a nonce":   body(func(m jwt.MapClaims) { m["nonce"] = "n" }),
		id + " with a scope":       {"iss": issuer, "sub": "s", "aud": "open", "exp": start.Unix(), "iat": start.Unix(), "scope": "openid"},
		id + " with a client":      {"iss": issuer, "sub": "s", "aud": "open", "exp": start.Unix(), "iat": start.Unix(), "client_id": "open"},
		id + " with a jti":         {"iss": issuer, "sub": "s", "aud": "open", "exp": start.Unix(), "iat": start.Unix(), "jti": "j"},
		id + " with a grant":       {"iss": issuer, "sub": "s", "aud": "open", "exp": start.Unix(), "iat": start.Unix(), "grant": "g"},
		id + " with a key":         {"iss": issuer, "sub": "s", "aud": "open", "exp": start.Unix(), "iat": start.Unix(), "cnf": map[string]any{"jkt": "k"}},
		id + " with an answer":     {"iss": issuer, "sub": "s", "aud": "open", "exp": start.Unix(), "iat": start.Unix(), "token_introspection": map[string]any{}},
	}
	signers := map[string]struct {
		kept
		kind   string
		method jwt.SigningMethod
	}{
		"access ES256": {r.access, access, jwt.SigningMethodES256}, "access RS256": {r.rsa, access, jwt.SigningMethodRS256},
		"id RS256": {r.id, id, jwt.SigningMethodRS256}, "id ES256": {r.idES, id, jwt.SigningMethodES256},
		"answers ES256": {r.answers, answer, jwt.SigningMethodES256},
	}
	taken := 0
	for claimed, payload := range bodies {
		for signedBy, s := range signers {
			for _, typ := range []any{"at+jwt", "JWT", "token-introspection+jwt", "jwt", "dpop+jwt", "logout+jwt", "", nil, 1, []string{"JWT"}} {
				token := forge(t, s.method, s.signer, map[string]any{"kid": s.id, "typ": typ}, payload)
				name := fmt.Sprintf("claims of %s by %s as %v", claimed, signedBy, typ)
				wantAccess := claimed == access && s.kind == access && (typ == "at+jwt" || typ == "JWT")
				wantHint := claimed == id && s.kind == id && typ == "JWT"
				if _, err := r.Verify("example", issuer, token); (err == nil) != wantAccess {
					t.Errorf("%s, as an access token: %v, want it taken: %v", name, err, wantAccess)
				}
				if _, err := r.VerifyHint("example", issuer, token); (err == nil) != wantHint {
					t.Errorf("%s, as a hint: %v, want it taken: %v", name, err, wantHint)
				}
				if wantAccess || wantHint {
					taken++
				}
			}
		}
	}
	if taken != 6 {
		t.Errorf("%d were to be taken, want 6: access by two keys as two types, ID by two keys", taken)
	}
}

// TestRFC9449AccessTokenIsBound: "cnf" with "jkt" (RFC 9449, section 6.1), there and back.
func TestRFC9449AccessTokenIsBound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	want := claims()
	want.Key = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	token := r.sign(t, oidc.ProfileRFC9068, keys.ES256, want)
	_, payload := parts(t, token)
	if got := object(t, payload)["cnf"]; !reflect.DeepEqual(got, map[string]any{"jkt": want.Key}) {
		t.Errorf("cnf %v, want the thumbprint as jkt: %s", got, payload)
	}
	got, err := r.Verify("example", issuer, token)
	if err != nil || got.Key != want.Key {
		t.Errorf("key %q, error %v, want %q", got.Key, err, want.Key)
	}
	if token, err := r.Sign("example", profile(t, oidc.ProfileDovecot), keys.ES256, want); err == nil || token != "" {
		t.Errorf("a bound token for Dovecot: %q, want an error", token)
	}
	// Bound to something that is not understood is not the same as not bound.
	for name, cnf := range map[string]any{
		"nothing": map[string]any{}, "empty": map[string]any{"jkt": ""}, "a certificate": map[string]any{"x5t#S256": "x"},
		"text": "x", "a list": []string{"x"}, "a number": map[string]any{"jkt": 1},
	} {
		wantInvalid(t, r, "bound to "+name, forge(t, jwt.SigningMethodES256, r.access.signer, map[string]any{"kid": r.access.id}, body(func(m jwt.MapClaims) { m["cnf"] = cnf })))
	}
}

// TestRFC9701SignedAnswer: RFC 9701, section 5: iss, aud, iat and token_introspection
// MUST be there; sub and exp SHOULD NOT, so that nobody takes it for a token.
func TestRFC9701SignedAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	header, payload := parts(t, r.signAnswer(t))
	if want := map[string]any{"typ": "token-introspection+jwt", "alg": "ES256", "kid": r.answers.id}; !maps.Equal(object(t, header), want) {
		t.Errorf("header %s, want %v", header, want)
	}
	const want = `{"iss":"https://id.example.org","aud":"imap","iat":1795435200,"token_introspection":{"active":true,"client_id":"open","sub":"alice-id"}}`
	if payload != want {
		t.Errorf("payload\n got %s\nwant %s", payload, want)
	}
	if token, err := r.SignIntrospection("nobody", issuer, "imap", nil); !errors.Is(err, keys.ErrNoKey) || token != "" {
		t.Errorf("unknown tenant: %q, %v, want ErrNoKey", token, err)
	}
	if _, err := r.SignIntrospection("example", issuer, "imap", map[string]any{"exp": func() {}}); err == nil {
		t.Error("an answer that is no JSON was signed")
	}
}

// TestOpenIDConnectAccessTokenHash: the example of OpenID Connect Core 1.0, appendix A.4.
func TestOpenIDConnectAccessTokenHash(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, algorithm := range []string{"", keys.RS256, keys.ES256} {
		_, payload := parts(t, r.signID(t, func(c *keys.IDClaims) {
			c.AccessToken, c.Algorithm = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", algorithm
		}))
		if got, want := object(t, payload)["at_hash"], "77QmUPtjPfzWtF2AnpK9RQ"; got != want {
			t.Errorf("%q: at_hash %v, want %s", algorithm, got, want)
		}
	}
}

func TestR17VerifyHint(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	want := keys.Hint{Subject: "alice-id", ClientID: "open"}
	for _, algorithm := range []string{keys.RS256, keys.ES256} {
		token := r.signID(t, func(c *keys.IDClaims) { c.Algorithm, c.Nonce, c.AccessToken = algorithm, "n", "a" })
		check := func(when string) {
			t.Helper()
			if got, err := r.VerifyHint("example", issuer, token); err != nil || got != want {
				t.Errorf("%s, %s: %+v, %v, want %+v", algorithm, when, got, err, want)
			}
		}
		check("at once")
		r.now = start.AddDate(5, 0, 0)
		check("long expired")
		done := r.rotate(t, keys.Line{Use: keys.UseID, Algorithm: algorithm}, false)
		check("replaced")
		r.now = done.RemovedAt.AddDate(1, 0, 0)
		check("removed")
		r.ensure(t)
		check("removed, and loaded again")
		r.rotate(t, keys.Line{Use: keys.UseID, Algorithm: algorithm}, true)
		if got, err := r.VerifyHint("example", issuer, token); !errors.Is(err, keys.ErrInvalid) || got != (keys.Hint{}) {
			t.Errorf("%s, compromised: %+v, %v, want ErrInvalid", algorithm, got, err)
		}
		r.now = start
	}
}

func TestR17VerifyHintRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.signID(t, nil)
	p := strings.Split(good, ".")
	stranger, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	forged := func(edit func(jwt.MapClaims)) string {
		m := jwt.MapClaims{"iss": issuer, "sub": "alice-id", "aud": "open", "exp": start.Add(time.Hour).Unix(), "iat": start.Unix()}
		edit(m)
		return forge(t, jwt.SigningMethodRS256, r.id.signer, map[string]any{"kid": r.id.id}, m)
	}
	if _, err := r.VerifyHint("example", issuer, forged(func(m jwt.MapClaims) { m["aud"] = []string{"open"} })); err != nil {
		t.Errorf("one audience in a list: %v; else the refusals below prove nothing", err)
	}
	tokens := map[string]string{
		"two audiences":           forged(func(m jwt.MapClaims) { m["aud"] = []string{"open", "other"} }),
		"an empty audience":       forged(func(m jwt.MapClaims) { m["aud"] = "" }),
		"an empty list":           forged(func(m jwt.MapClaims) { m["aud"] = []string{} }),
		"no audience":             forged(func(m jwt.MapClaims) { delete(m, "aud") }),
		"no subject":              forged(func(m jwt.MapClaims) { delete(m, "sub") }),
		"a subject that is a map": forged(func(m jwt.MapClaims) { m["sub"] = map[string]any{} }),
		"no exp":                  forged(func(m jwt.MapClaims) { delete(m, "exp") }),
		"no iat":                  forged(func(m jwt.MapClaims) { delete(m, "iat") }),
		"no issuer":               forged(func(m jwt.MapClaims) { delete(m, "iss") }),
		"another issuer":          forged(func(m jwt.MapClaims) { m["iss"] = other }),
		"unknown kid":             forge(t, jwt.SigningMethodRS256, r.id.signer, map[string]any{"kid": "unknown"}, jwt.MapClaims{}),
		"stranger's key":          forge(t, jwt.SigningMethodES256, stranger, map[string]any{"kid": r.idES.id}, jwt.MapClaims{}),
		"kid of the other line":   forge(t, jwt.SigningMethodRS256, r.id.signer, map[string]any{"kid": r.idES.id}, jwt.MapClaims{}),
		"line end inside":         p[0] + "." + p[1] + ".\n" + p[2],
		"return at the end":       good + "\r",
		"padding":                 good + "=",
		"no signature":            p[0] + "." + p[1] + ".",
		"header alg none":         base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"none","kid":"`+r.id.id+`"}`)) + "." + p[1] + ".",
		"too long":                r.signID(t, func(c *keys.IDClaims) { c.Nonce = strings.Repeat("n", 8<<10) }),
		"cut":                     good[:len(good)-1],
	}
	for form, secret := range publicForms(t, r.id) {
		tokens["HS256 with "+form] = forge(t, jwt.SigningMethodHS256, secret, map[string]any{"kid": r.id.id}, jwt.MapClaims{
			"iss": issuer, "sub": "alice-id", "aud": "open", "exp": start.Unix(), "iat": start.Unix(),
		})
	}
	for name, token := range tokens {
		if got, err := r.VerifyHint("example", issuer, token); err != keys.ErrInvalid || got != (keys.Hint{}) { //nolint:errorlint // the very error, with nothing around it (R24)
			t.Errorf("%s: %+v, %v, want exactly ErrInvalid", name, got, err)
		}
	}
	if _, err := r.VerifyHint("nobody", issuer, good); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("unknown tenant: %v, want ErrNoKey", err)
	}
}

// TestR17OneSpellingOfAHint: a hint is what was sent, character by character.
func TestR17OneSpellingOfAHint(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.signID(t, func(c *keys.IDClaims) { c.Algorithm = keys.ES256 })
	for at := range len(good) {
		for _, c := range []string{"\n", "\r", "=", ".", "A", ""} {
			token := good[:at] + c + good[at+1:]
			if _, err := r.VerifyHint("example", issuer, token); token != good && !errors.Is(err, keys.ErrInvalid) {
				t.Errorf("%q at %d: %v, want ErrInvalid", c, at, err)
			}
		}
	}
}

// FuzzVerifyHint changes ID tokens that SignID made, as FuzzVerify does access tokens.
func FuzzVerifyHint(f *testing.F) {
	r := newRig(f)
	made := []string{r.signID(f, nil), r.signID(f, func(c *keys.IDClaims) { c.Algorithm, c.Nonce = keys.ES256, "n" })}
	access := r.sign(f, oidc.ProfileDovecot, keys.ES256, oidc.Claims{Issuer: issuer, Subject: "s", Audience: []string{"open"}, ExpiresAt: start, IssuedAt: start, ID: "j"})
	f.Add(uint8(0), uint16(0), uint16(0), "")
	f.Add(uint8(1), uint16(40), uint16(1), "A")
	f.Add(uint8(1), uint16(500), uint16(0), "\n")
	f.Add(uint8(0), uint16(0), uint16(4096), access)
	f.Add(uint8(0), uint16(0), uint16(4096), r.signAnswer(f))
	f.Add(uint8(1), uint16(4096), uint16(0), "=")
	f.Fuzz(func(t *testing.T, which uint8, at, length uint16, put string) {
		good := made[int(which)%len(made)]
		from := min(int(at), len(good))
		to := min(from+int(length), len(good))
		token := good[:from] + put + good[to:]
		hint, err := r.VerifyHint("example", issuer, token)
		if err == nil && (token != good || hint != keys.Hint{Subject: "alice-id", ClientID: "open"}) {
			t.Fatalf("taken: %q\n from %q\nhint %+v", token, good, hint)
		}
		if err != nil && (token == good || !errors.Is(err, keys.ErrInvalid)) {
			t.Fatalf("%q: %v", token, err)
		}
	})
}
