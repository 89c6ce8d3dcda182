package dpop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"signpost/oidc"
	"signpost/oidc/dpop"
)

// FuzzProof looks at what is accepted with other eyes: the standard library's JSON and
// ECDSA instead of go-jose's. "{proof}" stands for a good proof, as keys and nonces are new
// in each process; the seeds change it in one place each.
func FuzzProof(f *testing.F) {
	r := newRig(f)
	good := r.proof(f, nil)
	f.Add("{proof}", 0, byte(0))
	for _, at := range []int{0, 5, 40, 300, len(good) - 1} {
		f.Add("{proof}", at, byte(1))
	}
	f.Add("{proof}.", 0, byte(0))
	f.Add("{proof},{proof}", 0, byte(0))
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6Im5vbmUifQ.e30.", 0, byte(0))

	f.Fuzz(func(t *testing.T, text string, at int, flip byte) {
		clear(r.marks.kept)
		s := []byte(strings.ReplaceAll(text, "{proof}", good))
		if len(s) > 0 {
			s[uint(at)%uint(len(s))] ^= flip
		}
		key, err := r.Check(t.Context(), tenant, dpop.Request{Headers: []string{string(s)}, Method: "POST", URL: endpoint})
		if err != nil {
			if code := oidc.CodeOf(err); key != "" || code != oidc.CodeInvalidDPoPProof && code != oidc.CodeUseDPoPNonce {
				t.Fatalf("%q: key %q, error %v; want a refusal of the proof and no key", s, key, err)
			}
			if string(s) == good {
				t.Fatalf("the good proof is refused: %v", err)
			}
			return
		}
		if text == "{proof}" && string(s) != good {
			t.Fatalf("accepted after byte %d was changed by %d: %s", at, flip, s)
		}
		r.reverify(t, string(s), key)
	})
}

// reverify checks an ES256 proof for the token endpoint once more.
func (r *rig) reverify(t *testing.T, s, key string) {
	t.Helper()
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		t.Fatalf("accepted with %d parts", len(parts))
	}
	var decoded [3][]byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatalf("accepted though part %d is not base64url: %v", i, err)
		}
		decoded[i] = b
	}
	var h struct {
		Typ, Alg string
		JWK      jose.JSONWebKey
	}
	var c struct {
		JTI, HTM, HTU, Nonce string
		IAT                  float64
	}
	if err := json.Unmarshal(decoded[0], &h); err != nil {
		t.Fatalf("accepted with header %s: %v", decoded[0], err)
	}
	if err := json.Unmarshal(decoded[1], &c); err != nil {
		t.Fatalf("accepted with claims %s: %v", decoded[1], err)
	}
	if h.Typ != "dpop+jwt" || h.Alg != "ES256" || !h.JWK.IsPublic() {
		t.Fatalf("accepted with header %s", decoded[0])
	}
	public, ok := h.JWK.Key.(*ecdsa.PublicKey)
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	half := len(decoded[2]) / 2
	if !ok || len(decoded[2]) != 64 || !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(decoded[2][:half]), new(big.Int).SetBytes(decoded[2][half:])) {
		t.Fatalf("accepted with a signature that does not fit: %s", s)
	}
	to, err := url.Parse(c.HTU)
	if err != nil || c.HTM != "POST" || to.Path != "/t/example/token" || c.JTI == "" || c.Nonce != r.Nonce(tenant) {
		t.Fatalf("accepted with claims %s", decoded[1])
	}
	if age := float64(r.now.Unix()) - c.IAT; age > 60 || age < -60 {
		t.Fatalf("accepted with an age of %v s", age)
	}
	sum, err := h.JWK.Thumbprint(crypto.SHA256)
	if err != nil || key != base64.RawURLEncoding.EncodeToString(sum) {
		t.Fatalf("key %q is not the thumbprint (%v)", key, err)
	}
}
