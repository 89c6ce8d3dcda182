package dpop_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
	"signpost/oidc/dpop"
)

const (
	tenant   = "example"
	endpoint = "https://id.example.test/t/example/token"
)

type object = map[string]any

// namer names with a hash, so that a test needs no server key.
type namer struct{ err error }

func (n namer) Name(purpose string, data []byte) ([]byte, error) {
	sum := sha256.Sum256([]byte(purpose + "|" + string(data)))
	return sum[:], n.err
}

// marks remembers in a map, and for how long.
type marks struct {
	kept map[string]time.Duration
	err  error
}

func (m *marks) Add(_ context.Context, key string, _ []byte, ttl time.Duration) (bool, error) {
	if _, has := m.kept[key]; has || m.err != nil {
		return false, m.err
	}
	m.kept[key] = ttl
	return true, nil
}

// rig is a checker with a clock, and a key to make proofs with.
type rig struct {
	*dpop.Checker
	now   time.Time
	marks *marks
	key   *ecdsa.PrivateKey
}

func newRig(t testing.TB) *rig {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{now: time.Date(2026, 11, 23, 12, 2, 0, 0, time.UTC), marks: &marks{kept: map[string]time.Duration{}}, key: key}
	r.Checker = &dpop.Checker{Namer: namer{}, Marks: r.marks, Now: func() time.Time { return r.now }}
	return r
}

func (r *rig) header() object {
	return object{"typ": "dpop+jwt", "alg": "ES256", "jwk": public(r.key.Public())}
}

func (r *rig) claims() object {
	return object{"jti": rand.Text(), "htm": "POST", "htu": endpoint, "iat": r.now.Unix(), "nonce": r.Nonce(tenant)}
}

// proof is a good one but for what edit changes.
func (r *rig) proof(t testing.TB, edit func(header, claims object)) string {
	t.Helper()
	h, c := r.header(), r.claims()
	if edit != nil {
		edit(h, c)
	}
	return sign(t, h, c, jwt.SigningMethodES256, r.key)
}

func (r *rig) check(t testing.TB, headers ...string) (string, error) {
	t.Helper()
	return r.Check(t.Context(), tenant, dpop.Request{Headers: headers, Method: "POST", URL: endpoint})
}

// want checks a proof and compares the answer's code; "" is accepted.
func (r *rig) want(t testing.TB, what, code string, headers ...string) {
	t.Helper()
	key, err := r.check(t, headers...)
	if got := oidc.CodeOf(err); got != code || err != nil && code == "" || (key == "") != (code != "") {
		t.Errorf("%s: key %q, error %v; want code %q", what, key, err, code)
	}
}

// public is a key as a JWK.
func public(key crypto.PublicKey) object {
	b, err := (&jose.JSONWebKey{Key: key}).MarshalJSON()
	if err != nil {
		panic(err) // a kind of key that no test has
	}
	var o object
	if err := json.Unmarshal(b, &o); err != nil {
		panic(err)
	}
	return o
}

func sign(t testing.TB, header, claims object, method jwt.SigningMethod, key any) string {
	t.Helper()
	s, err := (&jwt.Token{Header: header, Claims: jwt.MapClaims(claims), Method: method}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func set(name string, value any) func(h, c object) {
	return func(_, c object) { c[name] = value }
}

func without(name string) func(h, c object) {
	return func(_, c object) { delete(c, name) }
}

func setHeader(name string, value any) func(h, c object) {
	return func(h, _ object) { h[name] = value }
}

func TestRFC7638Thumbprint(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, err := r.check(t, r.proof(t, nil))
	sum, hashErr := (&jose.JSONWebKey{Key: r.key.Public()}).Thumbprint(crypto.SHA256)
	if want := base64.RawURLEncoding.EncodeToString(sum); err != nil || hashErr != nil || key != want || len(key) != 43 {
		t.Errorf("key %q, errors %v and %v; want %q", key, err, hashErr, want)
	}
	if key, err := r.check(t); key != "" || err != nil {
		t.Errorf("no proof: %q, %v; want none and no error", key, err)
	}
}

func TestRFC9449Section4_3_1OneHeader(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one := r.proof(t, nil)
	r.want(t, "two headers", oidc.CodeInvalidDPoPProof, one, r.proof(t, nil))
	r.want(t, "the same twice", oidc.CodeInvalidDPoPProof, one, one)
	r.want(t, "an empty one beside", oidc.CodeInvalidDPoPProof, one, "")
	r.want(t, "two in one line", oidc.CodeInvalidDPoPProof, one+", "+r.proof(t, nil))
	r.want(t, "one", "", one)
}

func TestRFC9449Section4_3_2WellFormed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.proof(t, nil)
	parts := strings.Split(good, ".")
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for what, s := range map[string]string{
		"empty": "", "dots": "..", "two parts": parts[0] + "." + parts[1], "four parts": good + ".", "not base64": "%" + good, "a blank": " " + good,
		"a line end": parts[0] + "." + parts[1] + ".\n" + parts[2], "padding": good + "=", "flattened JSON": `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"header is no object": encode(`"x"`) + "." + parts[1] + "." + parts[2], "payload is no object": sign(t, r.header(), nil, jwt.SigningMethodES256, r.key),
		"member twice":                     encode(`{"typ":"dpop+jwt","typ":"dpop+jwt","alg":"ES256"}`) + "." + parts[1] + "." + parts[2],
		"too long":                         r.proof(t, set("x", strings.Repeat("x", 4<<10))),
		"critical headers":                 r.proof(t, setHeader("crit", []string{"b64"})),
		"claims in another case":           r.proof(t, func(_, c object) { c["HTM"] = c["htm"]; delete(c, "htm") }),
		"claims of another kind":           r.proof(t, set("jti", 7)),
		"the time of issue is a string":    r.proof(t, set("iat", "now")),
		"the time of issue is an exponent": r.proof(t, set("iat", 1e300)),
	} {
		r.want(t, what, oidc.CodeInvalidDPoPProof, s)
	}
	r.want(t, "the one that all were made of", "", good)
	r.want(t, "with claims that mean nothing here", "", r.proof(t, set("sub", "alice")))
}

func TestRFC9449Section4_3_3Claims(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"jti", "htm", "htu", "iat"} {
		r.want(t, "without "+name, oidc.CodeInvalidDPoPProof, r.proof(t, without(name)))
	}
	r.want(t, "empty jti", oidc.CodeInvalidDPoPProof, r.proof(t, set("jti", "")))
	r.want(t, "jti of 257 bytes", oidc.CodeInvalidDPoPProof, r.proof(t, set("jti", strings.Repeat("j", 257))))
	r.want(t, "jti of 256 bytes", "", r.proof(t, set("jti", strings.Repeat("j", 256))))
}

func TestRFC9449Section4_3_4Type(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, typ := range []any{"JWT", "at+jwt", "DPOP+JWT", "application/dpop+jwt", "", nil, 1} {
		r.want(t, "typ", oidc.CodeInvalidDPoPProof, r.proof(t, setHeader("typ", typ)))
	}
	r.want(t, "no typ", oidc.CodeInvalidDPoPProof, r.proof(t, func(h, _ object) { delete(h, "typ") }))
}

func TestRFC9449Section4_3_5Algorithm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	rsaKey, weak := rsaKey(t, 2048), rsaKey(t, 1024)
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	none := strings.Split(r.proof(t, setHeader("alg", "none")), ".")
	r.want(t, "none without a signature", oidc.CodeInvalidDPoPProof, none[0]+"."+none[1]+".")
	r.want(t, "none with a signature", oidc.CodeInvalidDPoPProof, strings.Join(none, "."))
	for _, c := range []struct {
		what   string
		method jwt.SigningMethod
		key    any
		public crypto.PublicKey
		ok     bool
	}{
		{"ES256", jwt.SigningMethodES256, r.key, r.key.Public(), true},
		{"RS256", jwt.SigningMethodRS256, rsaKey, rsaKey.Public(), true},
		{"PS256", jwt.SigningMethodPS256, rsaKey, rsaKey.Public(), true},
		{"EdDSA", jwt.SigningMethodEdDSA, edKey, edPublic, true},
		{"HMAC with the public key", jwt.SigningMethodHS256, []byte("x"), r.key.Public(), false},
		{"HMAC with a key of its own", jwt.SigningMethodHS256, []byte("x"), []byte("x"), false},
		{"ES384", jwt.SigningMethodES384, p384, p384.Public(), false},
		{"RS512", jwt.SigningMethodRS512, rsaKey, rsaKey.Public(), false},
		{"RSA of 1024 bits", jwt.SigningMethodRS256, weak, weak.Public(), false},
	} {
		h := object{"typ": "dpop+jwt", "alg": c.method.Alg(), "jwk": public(c.public)}
		want := ""
		if !c.ok {
			want = oidc.CodeInvalidDPoPProof
		}
		r.want(t, c.what, want, sign(t, h, r.claims(), c.method, c.key))
	}
	for _, a := range dpop.Algorithms() {
		if a == "none" || strings.HasPrefix(a, "HS") {
			t.Errorf("algorithm %s is offered, and it is not asymmetric", a)
		}
	}
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestRFC9449Section4_3_6Signature(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := newRig(t)
	good, again := strings.Split(r.proof(t, nil), "."), strings.Split(r.proof(t, nil), ".")
	r.want(t, "signature of another proof", oidc.CodeInvalidDPoPProof, good[0]+"."+good[1]+"."+again[2])
	r.want(t, "key of somebody else", oidc.CodeInvalidDPoPProof, r.proof(t, setHeader("jwk", public(other.key.Public()))))
	r.want(t, "no signature", oidc.CodeInvalidDPoPProof, good[0]+"."+good[1]+".")
	r.want(t, "stray bits behind the signature", oidc.CodeInvalidDPoPProof, strayed(strings.Join(good, ".")))
	r.want(t, "the right one", "", strings.Join(good, "."))
}

// strayed changes the last character of base64url in the bits that mean nothing.
func strayed(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[last^1])
}

func TestRFC9449Section4_3_7PublicKeyOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b, err := (&jose.JSONWebKey{Key: r.key}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var private object
	if err := json.Unmarshal(b, &private); err != nil {
		t.Fatal(err)
	}
	r.want(t, "private key", oidc.CodeInvalidDPoPProof, r.proof(t, setHeader("jwk", private)))
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		jwk := public(r.key.Public())
		jwk[member] = "AQAB"
		r.want(t, "public key with "+member, oidc.CodeInvalidDPoPProof, r.proof(t, setHeader("jwk", jwk)))
	}
	r.want(t, "no key", oidc.CodeInvalidDPoPProof, r.proof(t, func(h, _ object) { delete(h, "jwk") }))
	r.want(t, "symmetric key", oidc.CodeInvalidDPoPProof, r.proof(t, setHeader("jwk", object{"kty": "oct", "k": "AQAB"})))
	off := public(r.key.Public())
	off["x"] = off["y"]
	r.want(t, "point off the curve", oidc.CodeInvalidDPoPProof, r.proof(t, setHeader("jwk", off)))
}

func TestRFC9449Section4_3_8Method(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, method := range []string{"GET", "post", "", "POST "} {
		r.want(t, "htm "+method, oidc.CodeInvalidDPoPProof, r.proof(t, set("htm", method)))
	}
}

func TestRFC9449Section4_3_9URL(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for htu, code := range map[string]string{
		endpoint: "", endpoint + "?x=1": "", endpoint + "#x": "", endpoint + "?": "",
		"HTTPS://ID.EXAMPLE.TEST/t/example/token":       "",
		"https://id.example.test:443/t/example/token":   "",
		"https://id.example.test:/t/example/token":      "",
		"http://id.example.test/t/example/token":        oidc.CodeInvalidDPoPProof,
		"https://id.example.test:8443/t/example/token":  oidc.CodeInvalidDPoPProof,
		"https://id.example.test:80/t/example/token":    oidc.CodeInvalidDPoPProof,
		"https://id.example.test.evil/t/example/token":  oidc.CodeInvalidDPoPProof,
		"https://x@id.example.test/t/example/token":     oidc.CodeInvalidDPoPProof,
		"https://id.example.test/t/other/token":         oidc.CodeInvalidDPoPProof,
		"https://id.example.test/t/example/token/":      oidc.CodeInvalidDPoPProof,
		"https://id.example.test/t/example/Token":       oidc.CodeInvalidDPoPProof,
		"https://id.example.test/t%2Fexample/token":     oidc.CodeInvalidDPoPProof,
		"https://id.example.test/t/other/../example/to": oidc.CodeInvalidDPoPProof,
		"https://id.example.test":                       oidc.CodeInvalidDPoPProof,
		"/t/example/token":                              oidc.CodeInvalidDPoPProof,
		"//id.example.test/t/example/token":             oidc.CodeInvalidDPoPProof,
		"https:id.example.test/t/example/token":         oidc.CodeInvalidDPoPProof,
		"":                                              oidc.CodeInvalidDPoPProof,
		"://":                                           oidc.CodeInvalidDPoPProof,
	} {
		r.want(t, "htu "+htu, code, r.proof(t, set("htu", htu)))
	}
	root := dpop.Request{Headers: []string{r.proof(t, set("htu", "http://LOCALHOST:80"))}, Method: "POST", URL: "http://localhost/"}
	if _, err := r.Check(t.Context(), tenant, root); err != nil {
		t.Errorf("no path, default port: %v, want it accepted", err)
	}
}

func TestRFC9449Section4_3_10Nonce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.Nonce(tenant)
	r.want(t, "no nonce", oidc.CodeUseDPoPNonce, r.proof(t, without("nonce")))
	r.want(t, "empty nonce", oidc.CodeUseDPoPNonce, r.proof(t, set("nonce", "")))
	r.want(t, "made up", oidc.CodeUseDPoPNonce, r.proof(t, set("nonce", "AAAAAAAAAAAAAAAAAAAAAA")))
	r.want(t, "of another tenant", oidc.CodeUseDPoPNonce, r.proof(t, set("nonce", r.Nonce("other"))))
	r.want(t, "this one", "", r.proof(t, set("nonce", first)))
	r.now = r.now.Add(5 * time.Minute)
	if r.Nonce(tenant) == first {
		t.Error("the nonce is the same after five minutes")
	}
	r.want(t, "after five minutes", "", r.proof(t, set("nonce", first)))
	r.now = r.now.Add(5 * time.Minute)
	r.want(t, "after ten minutes", oidc.CodeUseDPoPNonce, r.proof(t, set("nonce", first)))
}

// TestRefusedForItsNonceIsNotUsedUp: the program may make the proof again with the same
// jti, as only the nonce was missing.
func TestRefusedForItsNonceIsNotUsedUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := func(c object) { c["jti"] = "one" }
	r.want(t, "no nonce", oidc.CodeUseDPoPNonce, r.proof(t, func(_, c object) { id(c); delete(c, "nonce") }))
	r.want(t, "with the nonce", "", r.proof(t, func(_, c object) { id(c) }))
	r.want(t, "once more", oidc.CodeInvalidDPoPProof, r.proof(t, func(_, c object) { id(c) }))
}

func TestRFC9449Section4_3_11Age(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for after, code := range map[float64]string{
		0: "", -60: "", 60: "", 0.5: "", -59.9: "", -61: oidc.CodeInvalidDPoPProof, 61: oidc.CodeInvalidDPoPProof, -60.5: oidc.CodeInvalidDPoPProof, 1e15: oidc.CodeInvalidDPoPProof, -1e15: oidc.CodeInvalidDPoPProof,
	} {
		r.want(t, "iat", code, r.proof(t, set("iat", float64(r.now.Unix())+after)))
	}
}

func TestRFC9449Section4_3_12AccessToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sum := sha256.Sum256([]byte("token"))
	good := base64.RawURLEncoding.EncodeToString(sum[:])
	for ath, code := range map[string]string{
		good: "", "": oidc.CodeInvalidDPoPProof, good + "=": oidc.CodeInvalidDPoPProof, good[:42]: oidc.CodeInvalidDPoPProof, strings.ToLower(good): oidc.CodeInvalidDPoPProof, "token": oidc.CodeInvalidDPoPProof,
	} {
		_, err := r.Check(t.Context(), tenant, dpop.Request{Headers: []string{r.proof(t, set("ath", ath))}, Method: "POST", URL: endpoint, AccessToken: "token"})
		if oidc.CodeOf(err) != code {
			t.Errorf("ath %q: %v, want %q", ath, err, code)
		}
	}
	_, err := r.Check(t.Context(), tenant, dpop.Request{Headers: []string{r.proof(t, nil)}, Method: "POST", URL: endpoint, AccessToken: "token"})
	if oidc.CodeOf(err) != oidc.CodeInvalidDPoPProof {
		t.Errorf("no ath: %v, want invalid_dpop_proof", err)
	}
}

// TestRFC9449Section11_1Replay: a proof works once in its window, per tenant and key.
func TestRFC9449Section11_1Replay(t *testing.T) {
	t.Parallel()
	r, other := newRig(t), newRig(t)
	other.Checker = r.Checker
	once := r.proof(t, set("jti", "one"))
	r.want(t, "first", "", once)
	r.want(t, "again", oidc.CodeInvalidDPoPProof, once)
	r.want(t, "signed again", oidc.CodeInvalidDPoPProof, r.proof(t, set("jti", "one")))
	r.want(t, "by another key", "", other.proof(t, set("jti", "one")))
	if _, err := r.Check(t.Context(), "other", dpop.Request{
		Headers: []string{r.proof(t, func(_, c object) { c["jti"] = "one"; c["nonce"] = r.Nonce("other") })}, Method: "POST", URL: endpoint,
	}); err != nil {
		t.Errorf("at another tenant: %v, want it accepted", err)
	}
	for key, ttl := range r.marks.kept {
		// A proof from a minute ahead is good for two.
		if ttl < 2*time.Minute || len(key) > 80 {
			t.Errorf("mark %q of %d bytes is kept for %v, want two minutes and at most 80 bytes", key, len(key), ttl)
		}
	}
}

func TestR19MarksMayBeLostButNotFail(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	once := r.proof(t, nil)
	r.want(t, "first", "", once)
	clear(r.marks.kept)
	r.want(t, "again after the cache lost its mark", "", once)
	r.now = r.now.Add(61 * time.Second)
	clear(r.marks.kept)
	r.want(t, "and after its window", oidc.CodeInvalidDPoPProof, once)
	r.marks.err = errors.New("away")
	r.want(t, "cache away", oidc.CodeTemporarilyUnavailable, r.proof(t, nil))
	r.marks.err = nil
	good := r.proof(t, nil)
	r.Namer = namer{errors.New("away")}
	r.want(t, "no server key", oidc.CodeTemporarilyUnavailable, good)
	r.now = r.now.Add(time.Hour) // the last nonce is remembered
	if n := r.Nonce(tenant); n != "" {
		t.Errorf("nonce without a server key: %q", n)
	}
}

// TestRefusalsTellNothing: what is sent to the program holds nothing of the proof.
func TestRefusalsTellNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const mark = "only-in-this-proof"
	for _, name := range slicesOf(r.claims()) {
		_, err := r.check(t, r.proof(t, set(name, mark)))
		if err != nil && strings.Contains(err.Error(), mark) {
			t.Errorf("%s: the error repeats what was sent: %v", name, err)
		}
	}
}

func slicesOf(o object) []string {
	var names []string
	for name := range maps.Keys(o) {
		names = append(names, name)
	}
	return names
}
