package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// Bits of RSA keys: fewer are not safe (RFC 7518, section 3.3), more are only slow.
const (
	minRSA = 2048
	maxRSA = 4096
)

// Algorithms returns the algorithms that proofs may be signed with, for the metadata
// (RFC 9449, section 5.1). All are asymmetric.
func Algorithms() []string {
	return []string{string(jose.ES256), string(jose.EdDSA), string(jose.PS256), string(jose.RS256)}
}

// proof is a proof whose form and signature are right.
type proof struct {
	key string // thumbprint

	ID              string   `json:"jti"`
	Method          string   `json:"htm"`
	URL             string   `json:"htu"`
	IssuedAt        *float64 `json:"iat"` // seconds, perhaps with a fraction (RFC 7519, section 2)
	AccessTokenHash string   `json:"ath"`
	Nonce           string   `json:"nonce"`
}

// header is what is demanded of the JOSE header beyond what go-jose looks at.
type header struct {
	Type     string                     `json:"typ"`
	JWK      map[string]json.RawMessage `json:"jwk"`
	Critical json.RawMessage            `json:"crit"`
}

// private are the members that a public key does not have (RFC 7518, section 6.2.2, section 6.3.2 and section 6.4.1).
var private = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// parse takes a proof apart and checks what can be checked without its request: form,
// type, algorithm, key and signature. The JSON is read strictly: names with their
// case, each once.
func parse(s string) (proof, error) {
	if len(s) > maxProof {
		return proof{}, invalid("the proof is too long")
	}
	protected, ok := strict(s)
	if !ok {
		return proof{}, invalid("the proof is not a JWT")
	}
	var h header
	if err := json.Unmarshal(protected, &h); err != nil {
		return proof{}, invalid("the header of the proof is malformed")
	}
	if h.Type != "dpop+jwt" {
		return proof{}, invalid("typ of the proof must be dpop+jwt")
	}
	if h.Critical != nil {
		return proof{}, invalid("the proof has critical headers that are not understood")
	}
	for _, member := range private {
		if _, has := h.JWK[member]; has {
			return proof{}, invalid("jwk of the proof holds a private key; send the public key alone, of a new pair")
		}
	}
	var algorithms []jose.SignatureAlgorithm
	for _, a := range Algorithms() {
		algorithms = append(algorithms, jose.SignatureAlgorithm(a))
	}
	signed, err := jose.ParseSignedCompact(s, algorithms)
	if err != nil {
		return proof{}, invalid("the proof is not a JWT with a public key in jwk and one of the algorithms of the metadata").Because(err)
	}
	jwk := signed.Signatures[0].Protected.JSONWebKey
	if jwk == nil || !acceptable(jwk.Key, signed.Signatures[0].Protected.Algorithm) {
		return proof{}, invalid("jwk of the proof is missing or does not fit its algorithm; RSA keys have 2048 to 4096 bits")
	}
	payload, err := signed.Verify(jwk)
	if err != nil {
		return proof{}, invalid("the signature of the proof does not fit its jwk")
	}
	var p proof
	if err := json.Unmarshal(payload, &p); err != nil {
		return proof{}, invalid("the claims of the proof are malformed")
	}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return proof{}, invalid("jwk of the proof cannot be named").Because(err)
	}
	p.key = base64.RawURLEncoding.EncodeToString(sum)
	return p, nil
}

// strict returns the header of a JWT of three parts in canonical base64url: line ends
// and stray bits, which readers forgive, would give one proof many spellings.
func strict(s string) (protected []byte, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	for i, part := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return nil, false
		}
		if i == 0 {
			protected = b
		}
	}
	return protected, true
}

// acceptable reports whether a public key is of the algorithm's kind and size.
func acceptable(key any, algorithm string) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return algorithm == string(jose.ES256) && k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return algorithm == string(jose.EdDSA)
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		return (algorithm == string(jose.RS256) || algorithm == string(jose.PS256)) && bits >= minRSA && bits <= maxRSA
	}
	return false
}
