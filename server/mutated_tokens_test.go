package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/oidc/keys"
)

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// respelled are texts that differ from a good one by a character, a piece or a way of writing.
func respelled(good string) map[string]string {
	all := map[string]string{}
	for n := 1; n < len(good); n++ {
		// All short lengths, the one of a known incident, every remainder of 4, and around dots.
		if n <= 60 || n == 80 || n%7 == 0 || strings.ContainsRune(good[max(0, n-2):min(len(good), n+2)], '.') || n > len(good)-8 {
			all[fmt.Sprintf("cut to %d", n)] = good[:n]
		}
		if n%41 == 0 || n < 4 {
			all[fmt.Sprintf("without its first %d", n)] = good[n:]
		}
	}
	for at := range len(good) {
		last := at == len(good)-1 || good[at+1] == '.'
		if len(good) > 120 && at%5 != 0 && !last && at > 8 {
			continue
		}
		for bit := range 6 { // of a base64 character
			if last || bit == at%6 {
				value := max(strings.IndexByte(base64url, good[at]), 0)
				all[fmt.Sprintf("bit %d of %d", bit, at)] = good[:at] + base64url[value^1<<bit:][:1] + good[at+1:]
			}
		}
	}
	for _, at := range []int{0, 1, len(good) / 3, len(good) / 2, strings.LastIndexByte(good, '.') + 1, len(good) - 1, len(good)} {
		for _, put := range []string{"\n", "\r\n", " ", "\t", "=", "==", ".", "%0A", "%00", "\x00", "A", "AAAA", "é", good[:4]} {
			all[fmt.Sprintf("%q at %d", put, at)] = good[:at] + put + good[at:]
		}
	}
	for name, v := range map[string]string{
		"twice": good + good, "twice with a dot": good + "." + good, "quoted": `"` + good + `"`, "Bearer": "Bearer " + good, "escaped": url.QueryEscape(good) + "%",
		"in capitals": strings.ToUpper(good), "in small letters": strings.ToLower(good), "backwards": backwards(good), "very long": good + strings.Repeat("A", 9000),
		"in the other alphabet": strings.NewReplacer("-", "+", "_", "/").Replace(good),
	} {
		if v != good {
			all[name] = v
		}
	}
	delete(all, "")
	return all
}

func backwards(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// encoded is a part of a JWT.
func encoded(v any) string {
	if text, ok := v.(string); ok {
		return base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	b, _ := json.Marshal(v) // of maps that came from JSON
	return base64.RawURLEncoding.EncodeToString(b)
}

// forgeries are JWTs like a good one, made by somebody without the issuer's keys. jku is where that somebody
// publishes keys.
func (r *mutantsRig) forgeries(good, jku string) map[string]string {
	r.t.Helper()
	h, p := claims(r.t, good)
	parts := strings.Split(good, ".")
	far := signedIn(r.t, r.s.OtherURL(), set("scope", "openid offline_access "+mailScope))
	by := func(header map[string]any) string { return forged(r.t, header, p, jwt.SigningMethodES256, r.stranger) }
	own := jose.JSONWebKey{Key: r.stranger.Public(), KeyID: fmt.Sprint(h["kid"]), Algorithm: "ES256", Use: "sig"}
	es := with(h, "alg", "ES256")
	all := map[string]string{
		"by a stranger's key":         by(es),
		"another token's signature":   parts[0] + "." + parts[1] + "." + strings.Split(far.AccessToken, ".")[2],
		"another token's payload":     parts[0] + "." + strings.Split(far.AccessToken, ".")[1] + "." + parts[2],
		"the ID token's signature":    parts[0] + "." + parts[1] + "." + strings.Split(r.in.IDToken, ".")[2],
		"parts the wrong way round":   parts[1] + "." + parts[0] + "." + parts[2],
		"the other tenant's token":    far.AccessToken,
		"an ID token":                 r.in.IDToken,
		"without a signature":         parts[0] + "." + parts[1] + ".",
		"a signature of zeros":        parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"a signature of zeros, RSA":   parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 256)),
		"five parts, like a JWE":      good + ".AAAA.AAAA",
		"JSON serialisation":          `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"header with spaces":          encoded(strings.ReplaceAll(decodedPart(r.t, parts[0]), ":", ": ")) + "." + parts[1] + "." + parts[2],
		"a member twice":              parts[0] + "." + encoded(strings.TrimSuffix(decodedPart(r.t, parts[1]), "}")+`,"scope":"openid `+filesScope+`"}`) + "." + parts[2],
		"its end later":               parts[0] + "." + encoded(with(p, "exp", 4_000_000_000)) + "." + parts[2],
		"for the issuer":              parts[0] + "." + encoded(with(p, "aud", []string{r.s.URL, imap})) + "." + parts[2],
		"alg twice, none first":       encoded(`{"alg":"none",`+strings.TrimPrefix(decodedPart(r.t, parts[0]), "{")) + "." + parts[1] + ".",
		"alg twice, none last":        encoded(strings.TrimSuffix(decodedPart(r.t, parts[0]), "}")+`,"alg":"none"}`) + "." + parts[1] + "." + parts[2],
		"header an array":             encoded(`["ES256"]`) + "." + parts[1] + "." + parts[2],
		"header nested too deep":      encoded(strings.Repeat(`{"a":`, 500)+"1"+strings.Repeat("}", 500)) + "." + parts[1] + "." + parts[2],
		"keys in the header":          by(with(es, "jwk", own)),
		"keys at an address":          by(with(es, "jku", jku)),
		"a certificate at an address": by(with(es, "x5u", jku)),
		"a certificate in the header": by(with(es, "x5c", []string{"AAAA"})),
		"critical and unknown":        by(with(with(es, "crit", []string{"exp"}), "exp", 1)),
		"critical b64":                by(with(with(es, "crit", []string{"b64"}), "b64", false)),
		"compressed":                  by(with(es, "zip", "DEF")),
	}
	for _, alg := range []any{"none", "None", "NONE", "nOnE", "", nil, 0, []string{"none"}, "HS256", "ES384", "ES256K", "PS256", "EdDSA", "RSA-OAEP", " ES256", "es256"} {
		for name, signature := range map[string]string{"no signature": "", "its signature": parts[2], "one byte": "AA"} {
			all[fmt.Sprintf("alg %v with %s", alg, name)] = encoded(with(h, "alg", alg)) + "." + parts[1] + "." + signature
		}
	}
	for _, kid := range []any{
		"", nil, 0, true, []any{h["kid"]}, map[string]any{"kid": h["kid"]}, "unknown", "../../etc/passwd", "/dev/null", "..\\..\\x", "file:///dev/null", jku,
		"' OR '1'='1", "x' UNION SELECT 'k", "; ls", "$(id)", "\x00", fmt.Sprint(h["kid"], "\x00"), fmt.Sprint(h["kid"], " "), strings.ToUpper(fmt.Sprint(h["kid"])) + "x",
		strings.Repeat("k", 4000), r.kidOf(far.AccessToken), r.kidOf(r.in.IDToken),
	} {
		all[fmt.Sprintf("kid %.40v by a stranger", kid)] = by(with(es, "kid", kid))
		all[fmt.Sprintf("kid %.40v with its signature", kid)] = encoded(with(h, "kid", kid)) + "." + parts[1] + "." + parts[2]
	}
	without := with(h, "kid", nil)
	delete(without, "kid")
	all["without kid"] = encoded(without) + "." + parts[1] + "." + parts[2]
	for _, typ := range []any{"", nil, 1, "JWT", "at+jwt", "AT+JWT", "application/at+jwt", "dpop+jwt", "logout+jwt", "token-introspection+jwt", "id+jwt"} {
		if typ != h["typ"] {
			all[fmt.Sprintf("typ %v", typ)] = encoded(with(h, "typ", typ)) + "." + parts[1] + "." + parts[2]
		}
	}
	for name, secret := range r.publicForms() {
		for _, method := range []*jwt.SigningMethodHMAC{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
			all[method.Alg()+" with "+name] = forged(r.t, with(h, "alg", method.Alg()), p, method, secret)
		}
		all["ES256 in words, HMAC with "+name] = hmacAs(r.t, es, p, secret)
	}
	delete(all, "")
	return all
}

// hmacAs is a token whose header says one thing and whose signature is an HMAC.
func hmacAs(t testing.TB, header, payload map[string]any, secret []byte) string {
	t.Helper()
	signed := encoded(header) + "." + encoded(payload)
	mac, err := jwt.SigningMethodHS256.Sign(signed, secret)
	must(t, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac)
}

// decodedPart is the text of a part.
func decodedPart(t testing.TB, part string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(part)
	must(t, err)
	return string(b)
}

func (r *mutantsRig) kidOf(token string) any {
	h, _ := claims(r.t, token)
	return h["kid"]
}

// publicForms are the bytes in which the published keys are found.
func (r *mutantsRig) publicForms() map[string][]byte {
	r.t.Helper()
	forms := map[string][]byte{"nothing": {}, "the key set": []byte(ask(r.t, http.MethodGet, r.s.URL+"/jwks").body)}
	for _, k := range keySet(r.t, r.s.URL).Keys {
		der, err := x509.MarshalPKIXPublicKey(k.Key)
		must(r.t, err)
		jwk, err := k.MarshalJSON()
		must(r.t, err)
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		name := k.Algorithm + " " + k.KeyID
		forms[name+" DER"], forms[name+" PEM"], forms[name+" PEM, trimmed"], forms[name+" JWK"], forms[name+" kid"] = der, text, bytes.TrimSpace(text), jwk, []byte(k.KeyID)
		switch key := k.Key.(type) {
		case *ecdsa.PublicKey:
			raw, err := key.Bytes()
			must(r.t, err)
			forms[name+" point"], forms[name+" coordinates"] = raw, raw[1:]
		case *rsa.PublicKey:
			forms[name+" modulus"], forms[name+" PKCS #1"] = key.N.Bytes(), x509.MarshalPKCS1PublicKey(key)
		}
	}
	return forms
}

// TestIncidentZITADELCVE202627840: an opaque token that was cut to its first 80 characters was still
// good, because only so much of it was compared. Here every form of access token is good as it was
// sent and in no other spelling: cut, longer, with a bit turned, with line ends and padding.
// Source: https://github.com/golang/vulndb/issues/4573
func TestIncidentZITADELCVE202627840(t *testing.T) {
	t.Parallel()
	r := newMutantsRig(t)
	for form, good := range r.access {
		r.refuses(form, respelled(good))
	}
}

// TestR24ForgedTokens: whoever has no key of the issuer makes no token, whatever the header says and
// wherever it points; all of them get one answer, and nobody goes where a header points.
func TestR24ForgedTokens(t *testing.T) {
	t.Parallel()
	r := newMutantsRig(t)
	var fetched atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: r.stranger.Public(), KeyID: "x"}}})
	}))
	t.Cleanup(evil.Close)
	for form, good := range r.access {
		if strings.Count(good, ".") == 2 {
			r.refuses(form, r.forgeries(good, evil.URL+"/jwks"))
		}
	}
	if n := fetched.Load(); n != 0 {
		t.Errorf("an address in a header was fetched %d times", n)
	}
}

// TestR7SignedByUsAndNoAccessToken: what the issuer's other keys and the other tenant's sign is refused
// as what nobody signed, though it says what an access token says.
func TestR7SignedByUsAndNoAccessToken(t *testing.T) {
	t.Parallel()
	r := newMutantsRig(t)
	signing := r.s.Service.Keys
	c, err := signing.Verify(servertest.Tenant, r.s.URL, r.in.AccessToken)
	must(t, err)
	foreign, err := signing.Sign(servertest.Other, oidc.BuiltInProfiles()[0], keys.ES256, c)
	must(t, err)
	now := time.Now()
	all := map[string]string{"by the other tenant's key": foreign}
	for _, algorithm := range []string{keys.RS256, keys.ES256} {
		all["an ID token for the issuer by "+algorithm], err = signing.SignID(servertest.Tenant, keys.IDClaims{
			Issuer: r.s.URL, Subject: c.Subject, ClientID: r.s.URL, IssuedAt: now, ExpiresAt: now.Add(time.Hour), Algorithm: algorithm,
		})
		must(t, err)
	}
	_, inside := claims(t, r.in.AccessToken)
	all["a signed answer about it"], err = signing.SignIntrospection(servertest.Tenant, r.s.URL, r.s.URL, inside)
	must(t, err)
	far := signedIn(t, r.s.OtherURL(), set("scope", "openid offline_access "+mailScope))
	all["the other tenant's ID token"], all["the other tenant's token"] = far.IDToken, far.AccessToken
	r.refuses("broad", all)
}

// watching is a signing method that counts how often texts are checked that it was asked to watch.
type watching struct {
	jwt.SigningMethod
	watched *sync.Map // of signed texts to *atomic.Int64
}

func (c watching) Verify(signed string, signature []byte, key any) error {
	if n, found := c.watched.Load(signed); found {
		n.(*atomic.Int64).Add(1)
	}
	return c.SigningMethod.Verify(signed, signature, key)
}

// watchedSignatures puts itself in the place of the methods by which tokens are checked.
var watchedSignatures = sync.OnceValue(func() *sync.Map {
	watched := &sync.Map{}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodES256, jwt.SigningMethodRS256} {
		jwt.RegisterSigningMethod(method.Alg(), func() jwt.SigningMethod { return watching{method, watched} })
	}
	return watched
})

// TestR24ASignatureIsCheckedOfEveryWellFormedToken: one check for each token at each place, whether its
// "kid" is known, unknown, of another use or not there: so the time of a refusal tells nothing.
func TestR24ASignatureIsCheckedOfEveryWellFormedToken(t *testing.T) {
	t.Parallel()
	watched := watchedSignatures()
	r := newMutantsRig(t)
	h, p := claims(t, r.in.AccessToken)
	_, rs := claims(t, r.access["rfc9068 by RS256"])
	rsHeader, _ := claims(t, r.access["rfc9068 by RS256"])
	for kind, c := range map[string]struct{ header, payload map[string]any }{"ES256": {h, p}, "RS256": {rsHeader, rs}} {
		for name, kid := range map[string]any{
			"known": c.header["kid"], "unknown": "unknown", "empty": "", "an ID token's": r.kidOf(r.in.IDToken), "of the other algorithm": map[string]any{"ES256": rsHeader["kid"], "RS256": h["kid"]}[kind],
			"a path": "../../dev/null", "SQL": "' OR 1=1 --", "long": strings.Repeat("k", 500),
		} {
			header := with(c.header, "kid", kid)
			size := map[string]int{"ES256": 64, "RS256": 256}[kind]
			for place, says := range r.mutantPlaces() {
				// Another text each time: what was checked a moment ago must not stand for it.
				signed := encoded(header) + "." + encoded(with(c.payload, "jti", place))
				n := &atomic.Int64{}
				watched.Store(signed, n)
				if what := says(signed + "." + base64.RawURLEncoding.EncodeToString(make([]byte, size))); what != "" {
					t.Errorf("%s, kid %s at %s: %s", kind, name, place, what)
				}
				if n.Load() != 1 {
					t.Errorf("%s, kid %s at %s: %d signatures were checked, want 1", kind, name, place, n.Load())
				}
			}
		}
	}
}
