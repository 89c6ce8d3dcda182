package clients_test

import (
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"signpost/oidc"
	"signpost/oidc/clients"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

var serial atomic.Int64

// algorithms by which the test keys sign.
var algorithms = map[string]jose.SignatureAlgorithm{"ec": jose.ES256, "ec384": jose.ES384, "ed": jose.EdDSA, "rsa": jose.RS256, "stranger": jose.ES256}

// assertion is a good one of the client by-key; edit replaces claims, and nil removes one.
func assertion(t testing.TB, key string, edit map[string]any) url.Values {
	t.Helper()
	return signed(t, jose.SigningKey{Algorithm: algorithms[key], Key: testKeys()[key]}, key, edit)
}

func signed(t testing.TB, key jose.SigningKey, kid string, edit map[string]any) url.Values {
	t.Helper()
	options := &jose.SignerOptions{}
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{
		"iss": "by-key", "sub": "by-key", "aud": base + "/t/example", "jti": "id-" + strconv.FormatInt(serial.Add(1), 10),
		"exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(),
	}
	for name, value := range edit {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	s, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return form("client_assertion_type", assertionType, "client_assertion", s)
}

func TestRFC7523Assertions(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), authRealm(t)
	now := time.Now()
	for name, f := range map[string]url.Values{
		"ES256": assertion(t, "ec", nil), "EdDSA": assertion(t, "ed", nil), "RS256": assertion(t, "rsa", nil),
		"PS256":           signed(t, jose.SigningKey{Algorithm: jose.PS256, Key: testKeys()["rsa"]}, "rsa", nil),
		"without kid":     signed(t, jose.SigningKey{Algorithm: jose.ES256, Key: testKeys()["ec"]}, "", nil),
		"for the issuer":  assertion(t, "ec", map[string]any{"aud": r.Issuer}),
		"for /token":      assertion(t, "ec", map[string]any{"aud": []string{r.URL("/token")}}),
		"for /par":        assertion(t, "ec", map[string]any{"aud": par}), // RFC 9126, section 2
		"without iat":     assertion(t, "ec", map[string]any{"iat": nil}),
		"ten minutes":     assertion(t, "ec", map[string]any{"exp": now.Add(10 * time.Minute).Unix()}),
		"a clock behind":  assertion(t, "ec", map[string]any{"iat": now.Add(20 * time.Second).Unix(), "nbf": now.Add(20 * time.Second).Unix()}),
		"fractional time": assertion(t, "ec", map[string]any{"exp": float64(now.Add(time.Minute).UnixMilli()) / 1000}),
		"claims of more":  assertion(t, "ec", map[string]any{"x": map[string]any{"y": 1}}),
	} {
		if got, err := c.Authenticate(t.Context(), r, clients.Credentials{Form: f, Endpoint: par}); err != nil || got.ID != "by-key" {
			t.Errorf("%s: %q, %v; want by-key", name, got.ID, err)
		}
	}
}

func TestRFC7523AssertionsRefused(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), authRealm(t)
	now := time.Now()
	good := assertion(t, "ec", nil).Get("client_assertion")
	parts := strings.Split(good, ".")
	raw := func(s string) url.Values {
		return form("client_id", "by-key", "client_assertion_type", assertionType, "client_assertion", s)
	}
	claim := func(name string, value any) url.Values { return assertion(t, "ec", map[string]any{name: value}) }
	secretKey := jose.SigningKey{Algorithm: jose.HS256, Key: []byte(jwks(t, "ec"))}
	for name, f := range map[string]url.Values{
		"iss of another": claim("iss", "public"), "no iss": claim("iss", nil), "sub of another": claim("sub", "public"), "no sub": with(claim("sub", nil), "client_id", "by-key"),
		"no aud": claim("aud", nil), "aud of another": claim("aud", "https://evil.test"), "aud of another tenant": claim("aud", base+"/t/other"), "aud below": claim("aud", base+"/t/example/"), "aud above": claim("aud", base),
		"two audiences": claim("aud", []string{base + "/t/example", "https://evil.test"}), "empty aud": claim("aud", ""), "no audiences": claim("aud", []string{}),
		"no exp": claim("exp", nil), "over": claim("exp", now.Add(-time.Second).Unix()), "too far": claim("exp", now.Add(12*time.Minute).Unix()), "exp is a text": claim("exp", "soon"),
		"iat in the future": claim("iat", now.Add(3*time.Minute).Unix()), "iat long ago": claim("iat", now.Add(-time.Hour).Unix()), "nbf in the future": claim("nbf", now.Add(3*time.Minute).Unix()),
		"no jti": claim("jti", nil), "empty jti": claim("jti", ""), "a huge jti": claim("jti", strings.Repeat("x", 257)), "jti is a number": claim("jti", 7),
		"a stranger's key": assertion(t, "stranger", nil), "a stranger's key by our name": signed(t, jose.SigningKey{Algorithm: jose.ES256, Key: testKeys()["stranger"]}, "ec", nil),
		"ES384": assertion(t, "ec384", nil), "RS512": signed(t, jose.SigningKey{Algorithm: jose.RS512, Key: testKeys()["rsa"]}, "rsa", nil), "HS256 with the public key": signed(t, secretKey, "ec", nil),
		"unsigned": raw("eyJhbGciOiJub25lIn0." + parts[1] + "."), "no signature": raw(parts[0] + "." + parts[1] + "."), "another's signature": raw(parts[0] + "." + strings.Split(assertion(t, "ec", nil).Get("client_assertion"), ".")[1] + "." + parts[2]),
		"no JWT": raw("x"), "two parts": raw(parts[0] + "." + parts[1]), "too long": raw(good + strings.Repeat("A", 5<<10)),
	} {
		_, err := c.Authenticate(t.Context(), r, clients.Credentials{Form: f, Endpoint: par})
		wantCode(t, err, oidc.CodeInvalidClient, name)
	}
}

// TestRFC7523AssertionOnce: an assertion is used once, for as long as it lives.
func TestRFC7523AssertionOnce(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), authRealm(t)
	p := clients.Credentials{Form: assertion(t, "ec", nil), Endpoint: par}
	if _, err := c.Authenticate(t.Context(), r, p); err != nil {
		t.Fatal(err)
	}
	_, err := c.Authenticate(t.Context(), r, p)
	wantCode(t, err, oidc.CodeInvalidClient, "the second time")
	other := clients.Credentials{Form: assertion(t, "ed", map[string]any{"jti": "same"}), Endpoint: par}
	same := clients.Credentials{Form: assertion(t, "ec", map[string]any{"jti": "same", "exp": time.Now().Add(time.Hour / 8).Unix()}), Endpoint: par}
	if _, err := c.Authenticate(t.Context(), r, other); err != nil {
		t.Fatal(err)
	}
	_, err = c.Authenticate(t.Context(), r, same)
	wantCode(t, err, oidc.CodeInvalidClient, "another assertion with the same jti")

	// One that is refused is not used up.
	late := assertion(t, "ec", nil)
	c.Now = func() time.Time { return time.Now().Add(time.Hour) }
	_, err = c.Authenticate(t.Context(), r, clients.Credentials{Form: late, Endpoint: par})
	wantCode(t, err, oidc.CodeInvalidClient, "an hour later")
	c.Now = time.Now
	c.Marks = lost{}
	_, err = c.Authenticate(t.Context(), r, clients.Credentials{Form: late, Endpoint: par})
	wantCode(t, err, oidc.CodeTemporarilyUnavailable, "without the cache")
	c.Marks = c.cache
	if _, err := c.Authenticate(t.Context(), r, clients.Credentials{Form: late, Endpoint: par}); err != nil {
		t.Errorf("with the cache again: %v", err)
	}
}

// TestRFC7523KeysOfADocument: a client with a URL for an id signs with the keys of its document.
func TestRFC7523KeysOfADocument(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := authRealm(t)
	h.set(described(func(d map[string]any) {
		d["token_endpoint_auth_method"] = "private_key_jwt"
		d["jwks"] = map[string]any{"keys": []any{map[string]any{"kty": "future", "x": "y"}, jose.JSONWebKey{Key: testKeys()["ed"].Public(), KeyID: "ed"}}}
	}))
	claims := map[string]any{"iss": urlID, "sub": urlID}
	got, err := c.Authenticate(t.Context(), r, clients.Credentials{Form: assertion(t, "ed", claims), Endpoint: par})
	if err != nil || got.ID != urlID || got.Kind != clients.URL {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = c.Authenticate(t.Context(), r, clients.Credentials{Form: assertion(t, "ec", claims), Endpoint: par})
	wantCode(t, err, oidc.CodeInvalidClient, "a key that is not in the document")
	_, err = c.Authenticate(t.Context(), r, clients.Credentials{Form: form("client_id", urlID), Endpoint: par})
	wantCode(t, err, oidc.CodeInvalidClient, "no assertion")
}

// FuzzAssertion: nothing but what the client's key signed is taken.
func FuzzAssertion(f *testing.F) {
	c, r := newRig(f), authRealm(f)
	good := assertion(f, "ec", nil).Get("client_assertion")
	for _, s := range []string{good, good + ".", "", "..", "eyJhbGciOiJub25lIn0.e30.", strings.Replace(good, ".", "..", 1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := form("client_id", "by-key", "client_assertion_type", assertionType, "client_assertion", s)
		if _, err := c.Authenticate(t.Context(), r, clients.Credentials{Form: p, Endpoint: par}); err == nil && signedPart(s) != signedPart(good) {
			t.Errorf("%q was taken", s)
		}
	})
}

// signedPart is an assertion without its signature, whose last bits a decoder
// forgives, and without white space, which go-jose leaves out.
func signedPart(s string) string {
	s = strings.Join(strings.Fields(s), "")
	return s[:max(0, strings.LastIndexByte(s, '.'))]
}
