package keys_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
	"signpost/oidc/keys"
)

// TestR7ForgedBodiesAreGoodOtherwise makes sure that the refusals below come from what
// each of them changes: the same token without the change is taken.
func TestR7ForgedBodiesAreGoodOtherwise(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, token := range map[string]string{
		"ES256": forge(t, jwt.SigningMethodES256, r.access.signer, map[string]any{"kid": r.access.id, "typ": "at+jwt"}, body(nil)),
		"RS256": forge(t, jwt.SigningMethodRS256, r.rsa.signer, map[string]any{"kid": r.rsa.id, "typ": "at+jwt"}, body(nil)),
	} {
		if _, err := r.Verify("example", issuer, token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestR7OtherKinds: whatever else is signed here, or looks as if it were, is no access token.
func TestR7OtherKinds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id, err := r.SignID("example", keys.IDClaims{
		Issuer: issuer, Subject: "AAAAAAAAAAAAAAAAAAAAAA", ClientID: issuer, Nonce: "n", IssuedAt: start, ExpiresAt: start.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := r.Sign("other", profile(t, oidc.ProfileRFC9068), keys.ES256, claims())
	if err != nil {
		t.Fatal(err)
	}
	otherIssuer := claims()
	otherIssuer.Issuer = other
	stranger, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	es, rs := jwt.SigningMethodES256, jwt.SigningMethodRS256
	own := map[string]any{"kid": r.access.id, "typ": "at+jwt"}
	for name, token := range map[string]string{
		"ID token":                                    id,
		"ID token's key, access token's form":         forge(t, rs, r.id.signer, map[string]any{"kid": r.id.id, "typ": "at+jwt"}, body(nil)),
		"ID token's key under an access token's kid":  forge(t, rs, r.id.signer, map[string]any{"kid": r.rsa.id, "typ": "at+jwt"}, body(nil)),
		"access token's key under the ID token's kid": forge(t, rs, r.rsa.signer, map[string]any{"kid": r.id.id, "typ": "at+jwt"}, body(nil)),
		"other tenant's, with this issuer's claims":   foreign,
		"other tenant's key under this tenant's kid":  forge(t, es, r.foreign.signer, own, body(nil)),
		"this tenant's key, other issuer":             r.sign(t, oidc.ProfileRFC9068, keys.ES256, otherIssuer),
		"issuer with a slash":                         forge(t, es, r.access.signer, own, body(func(m jwt.MapClaims) { m["iss"] = issuer + "/" })),
		"no issuer":                                   forge(t, es, r.access.signer, own, body(func(m jwt.MapClaims) { delete(m, "iss") })),
		"no subject":                                  forge(t, es, r.access.signer, own, body(func(m jwt.MapClaims) { delete(m, "sub") })),
		"no jti":                                      forge(t, es, r.access.signer, own, body(func(m jwt.MapClaims) { delete(m, "jti") })),
		"no exp":                                      forge(t, es, r.access.signer, own, body(func(m jwt.MapClaims) { delete(m, "exp") })),
		"exp as text":                                 forge(t, es, r.access.signer, own, body(func(m jwt.MapClaims) { m["exp"] = "1795438800" })),
		"no audience":                                 forge(t, es, r.access.signer, own, body(func(m jwt.MapClaims) { delete(m, "aud") })),
		"audience of numbers":                         forge(t, es, r.access.signer, own, body(func(m jwt.MapClaims) { m["aud"] = []int{1} })),
		"with nonce":                                  forge(t, es, r.access.signer, own, body(func(m jwt.MapClaims) { m["nonce"] = "n" })),
		"with an empty nonce":                         forge(t, es, r.access.signer, own, body(func(m jwt.MapClaims) { m["nonce"] = "" })),
		"with nonce null":                             forge(t, es, r.access.signer, own, body(func(m jwt.MapClaims) { m["nonce"] = nil })),
		"with at_hash":                                forge(t, es, r.access.signer, own, body(func(m jwt.MapClaims) { m["at_hash"] = "h" })),
		"stranger's key":                              forge(t, es, stranger, own, body(nil)),
		"stranger's key, unknown kid":                 forge(t, es, stranger, map[string]any{"kid": "stranger"}, body(nil)),
		"stranger's key, no kid":                      forge(t, es, stranger, map[string]any{"kid": nil}, body(nil)),
		"stranger's key in the header":                forge(t, es, stranger, map[string]any{"kid": r.access.id, "jwk": publicJWK(t, stranger.Public(), r.access.id)}, body(nil)),
		"stranger's key behind jku":                   forge(t, es, stranger, map[string]any{"kid": r.access.id, "jku": "https://evil.test/jwks", "x5u": "https://evil.test/x"}, body(nil)),
		"own key, unknown kid":                        forge(t, es, r.access.signer, map[string]any{"kid": "unknown"}, body(nil)),
		"own key, no kid":                             forge(t, es, r.access.signer, map[string]any{"kid": nil}, body(nil)),
		"own key, empty kid":                          forge(t, es, r.access.signer, map[string]any{"kid": ""}, body(nil)),
		"own key, kid a number":                       forge(t, es, r.access.signer, map[string]any{"kid": 1}, body(nil)),
		"own key, kid a path":                         forge(t, es, r.access.signer, map[string]any{"kid": "../" + r.access.id}, body(nil)),
		"own key, kid of the other algorithm":         forge(t, es, r.access.signer, map[string]any{"kid": r.rsa.id}, body(nil)),
		"own key, kid of the other tenant":            forge(t, es, r.access.signer, map[string]any{"kid": r.foreign.id}, body(nil)),
		"PS256 by the RSA key":                        forge(t, jwt.SigningMethodPS256, r.rsa.signer, map[string]any{"kid": r.rsa.id}, body(nil)),
		"RS512 by the RSA key":                        forge(t, jwt.SigningMethodRS512, r.rsa.signer, map[string]any{"kid": r.rsa.id}, body(nil)),
		"refresh token":                               "spr_" + strings.Repeat("A", 43),
	} {
		wantInvalid(t, r, name, token)
	}
}

func publicJWK(t *testing.T, public any, kid string) map[string]any {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKey{Key: public, KeyID: kid})
	if err != nil {
		t.Fatal(err)
	}
	return object(t, string(text))
}

// TestRFC8725AlgorithmIsTheKeys: none, and HMAC with a public key as the secret
// (RFC 8725, section 2.1 and section 3.1).
func TestRFC8725AlgorithmIsTheKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, payload := parts(t, r.sign(t, oidc.ProfileRFC9068, keys.ES256, claims()))
	encode := base64.RawURLEncoding.EncodeToString
	for _, alg := range []string{`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `""`, `null`, `0`, `["none"]`, `"HS256"`, `"ES256"`, `"RS256"`, `"ES256K"`} {
		header := fmt.Sprintf(`{"typ":"at+jwt","alg":%s,"kid":%q}`, alg, r.access.id)
		for name, signature := range map[string]string{"no signature": "", "a signature of zeros": encode(make([]byte, 64)), "one byte": "AA"} {
			wantInvalid(t, r, "alg "+alg+" with "+name, encode([]byte(header))+"."+encode([]byte(payload))+"."+signature)
		}
	}
	none := forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, map[string]any{"kid": r.access.id}, body(nil))
	wantInvalid(t, r, "alg none", none)

	jwks, err := r.JWKS("example")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []kept{r.access, r.rsa} {
		for form, secret := range publicForms(t, k) {
			for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
				wantInvalid(t, r, method.Alg()+" with "+form, forge(t, method, secret, map[string]any{"kid": k.id}, body(nil)))
			}
		}
		wantInvalid(t, r, "HS256 with the JWK set", forge(t, jwt.SigningMethodHS256, jwks, map[string]any{"kid": k.id}, body(nil)))
	}
	wantInvalid(t, r, "HS256 with nothing", forge(t, jwt.SigningMethodHS256, []byte{}, map[string]any{"kid": r.access.id}, body(nil)))
}

// publicForms are the bytes in which a public key is found.
func publicForms(t *testing.T, k kept) map[string][]byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: k.signer.Public(), KeyID: k.id, Use: "sig"})
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return map[string][]byte{"DER": der, "PEM": text, "PEM without its last line end": bytes.TrimSpace(text), "JWK": jwk, "kid": []byte(k.id)}
}

// TestR7OneSpelling: a token is what was sent, character by character.
func TestR7OneSpelling(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, algorithm := range []string{keys.ES256, keys.RS256} {
		good := r.sign(t, oidc.ProfileRFC9068, algorithm, claims())
		if _, err := r.Verify("example", issuer, good); err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		for at := range len(good) {
			wantInvalid(t, r, fmt.Sprintf("%s cut at %d", algorithm, at), good[:at])
			wantInvalid(t, r, fmt.Sprintf("%s cut before %d", algorithm, at+1), good[at+1:])
			wantInvalid(t, r, fmt.Sprintf("%s without %d", algorithm, at), good[:at]+good[at+1:])
			value := strings.IndexByte(alphabet, good[at])
			for bit := range 6 { // of a base64 character; a dot has none and becomes one
				flipped := good[:at] + alphabet[max(value, 0)^1<<bit:][:1] + good[at+1:]
				wantInvalid(t, r, fmt.Sprintf("%s bit %d of %d flipped", algorithm, bit, at), flipped)
			}
			for _, c := range []string{"\n", "\r", "=", " ", ".", "\x00", "%0A"} {
				wantInvalid(t, r, fmt.Sprintf("%s with %q at %d", algorithm, c, at), good[:at]+c+good[at:])
			}
		}
		for _, c := range []string{"\n", "\r\n", "=", "==", " ", "A", "AA", ".", ".AAAA", "\x00", ",", good, "." + good} {
			wantInvalid(t, r, fmt.Sprintf("%s and %q", algorithm, c), good+c)
			wantInvalid(t, r, fmt.Sprintf("%q and %s", c, algorithm), c+good)
		}
	}
}

func TestR7StrangeTexts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.sign(t, oidc.ProfileRFC9068, keys.ES256, claims())
	p := strings.Split(good, ".")
	header, payload := parts(t, good)
	encode := base64.RawURLEncoding.EncodeToString
	spaced := strings.Replace(header, ":", ": ", 1)
	longer := strings.TrimSuffix(payload, "}") + `,"scope":"openid everything"}`
	signature, err := base64.RawURLEncoding.DecodeString(p[2])
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(p[0] + "." + p[1]))
	der, err := r.access.signer.Sign(rand.Reader, digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"nothing":                       "",
		"dots":                          "..",
		"one dot":                       ".",
		"Bearer":                        "Bearer " + good,
		"header encoded again":          encode([]byte(spaced)) + "." + p[1] + "." + p[2],
		"payload encoded again":         p[0] + "." + encode([]byte(longer)) + "." + p[2],
		"parts changed round":           p[1] + "." + p[0] + "." + p[2],
		"no signature":                  p[0] + "." + p[1] + ".",
		"signature of zeros":            p[0] + "." + p[1] + "." + encode(make([]byte, 64)),
		"signature with zeros before":   p[0] + "." + p[1] + "." + encode(append([]byte{0}, signature...)),
		"signature in ASN.1":            p[0] + "." + p[1] + "." + encode(der),
		"signature with padding":        good + "==",
		"header with padding":           p[0] + "=." + p[1] + "." + p[2],
		"alphabet of standard base64":   strings.NewReplacer("-", "+", "_", "/").Replace(good) + "+",
		"JSON serialization":            fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, p[0], p[1], p[2]),
		"five parts":                    good + "." + p[0] + "." + p[1],
		"longer than any token":         p[0] + "." + p[1] + "." + strings.Repeat("A", 16<<10),
		"a header that is an array":     encode([]byte(`["ES256"]`)) + "." + p[1] + "." + p[2],
		"a header that is null":         encode([]byte(`null`)) + "." + p[1] + "." + p[2],
		"a payload that is null":        p[0] + "." + encode([]byte(`null`)) + "." + p[2],
		"a payload with bytes after it": p[0] + "." + encode([]byte(payload+"{}")) + "." + p[2],
	} {
		wantInvalid(t, r, name, token)
	}
	for name, payload := range map[string]jwt.MapClaims{
		"all zero":         {},
		"null everywhere":  {"iss": nil, "sub": nil, "aud": nil, "exp": nil, "iat": nil, "jti": nil},
		"arrays as claims": {"iss": []string{issuer}, "sub": "s", "aud": "a", "exp": start.Add(time.Hour).Unix(), "jti": "j"},
	} {
		wantInvalid(t, r, name, forge(t, jwt.SigningMethodES256, r.access.signer, map[string]any{"kid": r.access.id}, payload))
	}
}

// TestVerifyBoundsItsWork: nothing of ours is this long, so nothing this long is looked at.
func TestVerifyBoundsItsWork(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := claims()
	c.Scope = strings.Repeat("a", 8<<10)
	wantInvalid(t, r, "well signed, too long", r.sign(t, oidc.ProfileRFC9068, keys.ES256, c))
}

func TestVerifyExpiry(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.sign(t, oidc.ProfileRFC9068, keys.ES256, claims())
	forged := token[:len(token)-4] + "AAAA"
	end := start.Add(time.Hour)
	for name, c := range map[string]struct {
		now  time.Time
		want error
	}{
		"at once":          {start, nil},
		"before it began":  {start.Add(-24 * time.Hour), nil},
		"just before exp":  {end.Add(-time.Nanosecond), nil},
		"at exp":           {end, keys.ErrExpired}, // "on or after which" (RFC 7519, section 4.1.4)
		"after exp":        {end.Add(time.Second), keys.ErrExpired},
		"a year after exp": {end.AddDate(1, 0, 0), keys.ErrExpired},
	} {
		r.now = c.now
		got, err := r.Verify("example", issuer, token)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		got.ExpiresAt, got.IssuedAt = got.ExpiresAt.UTC(), got.IssuedAt.UTC()
		if !reflect.DeepEqual(got, claims()) { // for the record, also when it is over
			t.Errorf("%s: claims %+v, want %+v", name, got, claims())
		}
		// Whether a forged token would have expired is nobody's business (R24).
		wantInvalid(t, r, name+", forged", forged)
	}
}

func TestVerifyUnknownTenant(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.sign(t, oidc.ProfileRFC9068, keys.ES256, claims())
	if _, err := r.Verify("nobody", issuer, token); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("unknown tenant: %v, want ErrNoKey", err)
	}
	if _, err := r.Verify("other", issuer, token); !errors.Is(err, keys.ErrInvalid) {
		t.Errorf("at the other tenant: %v, want ErrInvalid", err)
	}
}

// TestR24OneError: what is wrong with a token is not told, also not to the log.
func TestR24OneError(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.sign(t, oidc.ProfileRFC9068, keys.ES256, claims())
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{
		"", "x", good + "A", good[:40], forge(t, jwt.SigningMethodES256, stranger, map[string]any{"kid": "k"}, body(nil)),
		forge(t, jwt.SigningMethodES256, r.access.signer, map[string]any{"kid": r.access.id}, body(func(m jwt.MapClaims) { m["nonce"] = "n" })),
	} {
		if _, err := r.Verify("example", issuer, token); err != keys.ErrInvalid { //nolint:errorlint // the very error, with nothing around it
			t.Errorf("token %q: %v, want exactly ErrInvalid", token, err)
		}
	}
}

// FuzzVerify changes tokens that Sign made, and tries texts that it did not:
// nothing verifies but what Sign made, as it made it. Keys are new in each
// process, so an input says where to cut a good token and what to put there.
func FuzzVerify(f *testing.F) {
	r := newRig(f)
	made := []string{
		r.sign(f, oidc.ProfileRFC9068, keys.ES256, claims()), r.sign(f, oidc.ProfileDovecot, keys.ES256, claims()),
		r.sign(f, oidc.ProfileRFC9068, keys.RS256, claims()),
	}
	header, payload := parts(f, made[0])
	f.Add(uint8(0), uint16(0), uint16(0), "")
	f.Add(uint8(1), uint16(10), uint16(1), "A")
	f.Add(uint8(2), uint16(500), uint16(0), "\n")
	f.Add(uint8(0), uint16(0), uint16(4096), "eyJhbGciOiJub25lIn0."+base64.RawURLEncoding.EncodeToString([]byte(payload))+".")
	f.Add(uint8(0), uint16(0), uint16(4096), base64.RawURLEncoding.EncodeToString([]byte(header))+"..")
	f.Add(uint8(1), uint16(4096), uint16(0), "=")
	f.Fuzz(func(t *testing.T, which uint8, at, length uint16, put string) {
		good := made[int(which)%len(made)]
		from := min(int(at), len(good))
		to := min(from+int(length), len(good))
		token := good[:from] + put + good[to:]
		c, err := r.Verify("example", issuer, token)
		if err == nil && token != good {
			t.Fatalf("taken: %q\n from %q\nclaims %+v", token, good, c)
		}
		if err != nil && (token == good || !errors.Is(err, keys.ErrInvalid)) {
			t.Fatalf("%q: %v", token, err)
		}
	})
}
