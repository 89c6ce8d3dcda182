package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/oidc/keys"
)

// forged is a token with the given header and payload, signed with a key of our own.
func forged(t testing.TB, header, payload map[string]any, method jwt.SigningMethod, key any) string {
	t.Helper()
	token := jwt.Token{Header: header, Claims: jwt.MapClaims(payload), Method: method}
	signed, err := token.SignedString(key)
	must(t, err)
	return signed
}

// unsigned is a token without a signature.
func unsigned(t testing.TB, header, payload map[string]any) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{header, payload} {
		b, err := json.Marshal(part)
		must(t, err)
		parts = append(parts, base64.RawURLEncoding.EncodeToString(b))
	}
	return strings.Join(parts, ".") + "."
}

// with is a copy of a map with one member more.
func with(m map[string]any, name string, value any) map[string]any {
	c := map[string]any{name: value}
	for k, v := range m {
		if k != name {
			c[k] = v
		}
	}
	return c
}

// TestR24SubjectTokensThatAreNotOurs get invalid_request and one text, whatever is
// wrong with them.
func TestR24SubjectTokensThatAreNotOurs(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := signedIn(t, s.URL, nil)
	far := signedIn(t, s.OtherURL(), nil)
	h, p := claims(t, broad.AccessToken)
	ours, err := keys.Generate(keys.ES256)
	must(t, err)
	parts := strings.Split(broad.AccessToken, ".")
	published := publishedKey(t, s.URL, h["kid"])
	subjects := map[string]string{
		"truncated":                 broad.AccessToken[:len(broad.AccessToken)-4],
		"without signature":         parts[0] + "." + parts[1] + ".",
		"two parts":                 parts[0] + "." + parts[1],
		"another signature":         parts[0] + "." + parts[1] + "." + strings.Split(far.AccessToken, ".")[2],
		"another payload":           parts[0] + "." + strings.Split(far.AccessToken, ".")[1] + "." + parts[2],
		"more after it":             broad.AccessToken + ".x",
		"padded":                    broad.AccessToken + "=",
		"of another tenant":         far.AccessToken,
		"of another issuer":         forged(t, h, with(p, "iss", "https://evil.example"), jwt.SigningMethodES256, ours),
		"by another key":            forged(t, h, p, jwt.SigningMethodES256, ours),
		"by a key of no name":       forged(t, with(h, "kid", "unknown"), p, jwt.SigningMethodES256, ours),
		"by a key in its header":    forged(t, with(with(h, "kid", "x"), "jwk", map[string]any{"kty": "EC"}), p, jwt.SigningMethodES256, ours),
		"HS256 with our public key": forged(t, with(h, "alg", "HS256"), p, jwt.SigningMethodHS256, published),
		"alg none":                  unsigned(t, with(h, "alg", "none"), p),
		"alg None":                  unsigned(t, with(h, "alg", "None"), p),
		"no alg":                    unsigned(t, map[string]any{"typ": "at+jwt"}, p),
		"our ID token":              broad.IDToken,
		"our refresh token":         broad.RefreshToken,
		"opaque":                    "mF_9.B5f-4.1JqM",
		"nonsense":                  "x",
		"very long":                 strings.Repeat("x.", 4500),
		"not ASCII":                 "ä.ö.ü",
	}
	const text = "the subject token is not valid here; send an access token of this issuer, whole and as received"
	for name, subject := range subjects {
		a := token(t, s.URL, exchangeForm(subject, "imap.example.test"))
		if a.Status != http.StatusBadRequest || a.Error != oidc.CodeInvalidRequest || a.Description != text {
			t.Errorf("%s: %d %s %q, want invalid_request with %q", name, a.Status, a.Error, a.Description, text)
		}
		if a.AccessToken != "" {
			t.Errorf("%s: a token was issued", name)
		}
		challenge := configuration(t, s.URL, subject, "")
		if challenge.status != http.StatusUnauthorized || !strings.Contains(challenge.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%s at the configuration: %d %q, want 401 invalid_token", name, challenge.status, challenge.header.Get("WWW-Authenticate"))
		}
	}
}

// publishedKey is the public key of a JWK set in the form that the algorithm
// confusion of HS256 would use.
func publishedKey(t testing.TB, issuer string, kid any) []byte {
	t.Helper()
	for _, key := range keySet(t, issuer).Keys {
		if key.KeyID == kid {
			b, err := key.MarshalJSON()
			must(t, err)
			return b
		}
	}
	t.Fatalf("key %v is not published", kid)
	return nil
}

// TestR4OnlyBroadTokensAreExchanged: narrow ones, whatever made them, neither
// exchange nor open the configuration.
func TestR4OnlyBroadTokensAreExchanged(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := signedIn(t, s.URL, nil)
	narrowed := codeForm(newCode(t, s.URL, nil))
	narrowed.Set("resource", "https://files.example.test/dav/")
	for name, narrow := range map[string]answer{
		"exchanged, dovecot":   token(t, s.URL, exchangeForm(broad.AccessToken, "imap.example.test")),
		"exchanged, rfc9068":   token(t, s.URL, exchangeForm(broad.AccessToken, "https://dav.example.test/calendars/")),
		"narrowed at the code": token(t, s.URL, narrowed),
	} {
		if narrow.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, narrow.Status, narrow.Error)
		}
		for _, audience := range []string{"imap.example.test", "https://dav.example.test/calendars/", "https://files.example.test/dav/"} {
			a := token(t, s.URL, exchangeForm(narrow.AccessToken, audience))
			if a.Error != oidc.CodeInvalidRequest || a.AccessToken != "" {
				t.Errorf("%s for %s: %d %s, want invalid_request", name, audience, a.Status, a.Error)
			}
		}
		if p := configuration(t, s.URL, narrow.AccessToken, ""); p.status != http.StatusUnauthorized {
			t.Errorf("%s at the configuration: %d, want 401", name, p.status)
		}
	}
}

func TestExchangedTokens(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := signedIn(t, s.URL, nil)
	_, subject := claims(t, broad.AccessToken)
	for audience, want := range map[string]struct {
		typ, alg, scope string
		lifetime        int64
		client          any
	}{
		"imap.example.test":                   {"JWT", "ES256", mailScope, 900, nil},
		"submission.example.test":             {"JWT", "ES256", mailScope, 300, nil},
		"https://dav.example.test/calendars/": {"at+jwt", "ES256", calendarScope, 900, "open"},
		"https://files.example.test/dav/":     {"at+jwt", "RS256", filesScope, 900, "open"},
	} {
		a := token(t, s.URL, exchangeForm(broad.AccessToken, audience))
		h, p := claims(t, a.AccessToken)
		if a.Status != http.StatusOK || a.ExpiresIn != want.lifetime || a.Scope != want.scope || a.TokenType != "Bearer" || a.IssuedTokenType != oidc.TokenTypeAccessToken {
			t.Errorf("%s: %+v, want %+v", audience, a, want)
		}
		if h["typ"] != want.typ || h["alg"] != want.alg || p["client_id"] != want.client || p["aud"] != audience || p["scope"] != want.scope {
			t.Errorf("%s: token %v %v, want %+v", audience, h, p, want)
		}
		if p["sub"] != subject["sub"] || p["iss"] != subject["iss"] || p["grant"] != subject["grant"] || p["jti"] == subject["jti"] || p["preferred_username"] != "alice@example.test" {
			t.Errorf("%s: payload %v, want person, issuer and grant of %v and an id of its own", audience, p, subject)
		}
		if a.RefreshToken != "" || a.IDToken != "" {
			t.Errorf("%s: refresh or ID token with an exchange", audience)
		}
	}
}

// TestR6ExchangedTokensEndWithTheirSubject, and an ended subject gives nothing.
func TestR6ExchangedTokensEndWithTheirSubject(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := signedIn(t, s.URL, nil)
	s.Clock.Advance(50 * time.Minute)
	a := token(t, s.URL, exchangeForm(broad.AccessToken, "imap.example.test"))
	_, subject := claims(t, broad.AccessToken)
	_, narrow := claims(t, a.AccessToken)
	if a.ExpiresIn > 600 || a.ExpiresIn < 500 || narrow["exp"].(float64) > subject["exp"].(float64) {
		t.Errorf("ten minutes before its end: for %d s, exp %v; want no later than %v", a.ExpiresIn, narrow["exp"], subject["exp"])
	}
	s.Clock.Advance(10*time.Minute + time.Second)
	tokenError(t, "expired", posted(t, s.URL, exchangeForm(broad.AccessToken, "imap.example.test")), http.StatusBadRequest, oidc.CodeInvalidRequest)
	if got := token(t, s.URL, exchangeForm(broad.AccessToken, "imap.example.test")).Description; !strings.Contains(got, "expired") {
		t.Errorf("description %q, want it to say expired (R24)", got)
	}
}

// TestExchangeNeverLeavesTheGrant: what was not granted cannot be exchanged for.
func TestExchangeNeverLeavesTheGrant(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	mail := signedIn(t, s.URL, set("scope", "openid offline_access "+mailScope))
	for audience, code := range map[string]string{
		"imap.example.test": "", "submission.example.test": "",
		"https://dav.example.test/calendars/": oidc.CodeInvalidScope, "https://files.example.test/dav/": oidc.CodeInvalidScope,
	} {
		if a := token(t, s.URL, exchangeForm(mail.AccessToken, audience)); a.Error != code {
			t.Errorf("%s: %d %s, want %q", audience, a.Status, a.Error, code)
		}
	}
	// A broad token that was narrowed in scope does not grow again.
	all := signedIn(t, s.URL, nil)
	form := refreshForm(all.RefreshToken)
	form.Set("scope", "openid")
	poor := token(t, s.URL, form)
	if a := token(t, s.URL, exchangeForm(poor.AccessToken, "imap.example.test")); a.Error != oidc.CodeInvalidScope {
		t.Errorf("a broad token for openid alone: %d %s, want invalid_scope", a.Status, a.Error)
	}
}

// TestR30TargetsOfAnExchange: audience, host name or a URL below the prefix, by whole path segments.
func TestR30TargetsOfAnExchange(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declaration := strings.NewReplacer(
		"host: imap.example.test, port: 993, security: tls}]", `host: mail.example.test, port: 993, security: tls}], audience: mail-token.example.test`,
		"host: submission.example.test, port: 465, security: tls}]", `host: mail.example.test, port: 465, security: tls}], audience: send-token.example.test`,
	).Replace(s.Declaration())
	declare(t, s, declaration, func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		_, ok := r.Service("mail-token.example.test")
		return ok
	})
	broad := signedIn(t, s.URL, nil)
	const calendars, files = "https://dav.example.test/calendars/", "https://files.example.test/dav/"
	for target, want := range map[string]string{
		"mail-token.example.test":                   "mail-token.example.test",
		"mail.example.test":                         "", // two audiences live there
		calendars:                                   calendars,
		"https://dav.example.test/calendars":        calendars,
		calendars + "alice/work":                    calendars,
		files + "a/b/c.txt":                         files,
		"https://dav.example.test/":                 "",
		"https://dav.example.test/calendarsX":       "",
		"https://dav.example.test/Calendars/":       "",
		calendars + "../contacts":                   "",
		calendars + "a%2f..%2fb":                    "",
		calendars + "./x":                           "",
		calendars + "?x=1":                          "",
		calendars + "#x":                            "",
		"http://dav.example.test/calendars/":        "",
		"https://dav.example.test:8443/calendars/x": "",
		"https://x@dav.example.test/calendars/x":    "",
		"https://dav.example.test.evil/calendars/":  "",
		"dav.example.test":                          "", // HTTP services are named by URL
		"MAIL-TOKEN.example.test":                   "",
		" " + calendars:                             "",
	} {
		for _, parameter := range []string{"audience", "resource"} {
			form := exchangeForm(broad.AccessToken, target)
			if parameter == "resource" {
				form.Del("audience")
				form.Set("resource", target)
			}
			a := token(t, s.URL, form)
			if want == "" {
				if a.Error != oidc.CodeInvalidTarget || a.AccessToken != "" {
					t.Errorf("%s=%s: %d %s, want invalid_target", parameter, target, a.Status, a.Error)
				}
				continue
			}
			if a.Status != http.StatusOK {
				t.Errorf("%s=%s: %d %s, want a token for %s", parameter, target, a.Status, a.Error, want)
				continue
			}
			if _, p := claims(t, a.AccessToken); p["aud"] != want {
				t.Errorf("%s=%s: aud %v, want %s", parameter, target, p["aud"], want)
			}
		}
	}
	// One audience on the host: the host name works.
	if a := token(t, s.OtherURL(), exchangeForm(signedIn(t, s.OtherURL(), nil).AccessToken, "imap.other.test")); a.Status != http.StatusOK {
		t.Errorf("host name: %d %s", a.Status, a.Error)
	}
}
