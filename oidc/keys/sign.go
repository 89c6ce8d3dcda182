package keys

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
)

// typeIntrospection is "typ" of a signed answer (RFC 9701, section 5).
const typeIntrospection = "token-introspection+jwt"

// maxSignature is enough for the longest signature, that of RSA with 2048 bits, and two dots.
const maxSignature = 342 + 2

// header is what stands before the payload (RFC 7515, section 4.1).
type header struct {
	Type      string `json:"typ"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid,omitempty"`

	// Critical names what whoever reads the token must understand. We sign nothing of the
	// kind and understand none (RFC 7515, section 4.1.11).
	Critical json.RawMessage `json:"crit,omitempty"`
}

// headers returns the encoded headers of what a key signs, by "typ". Cyrus takes a
// header that says no more than it must.
func headers(k Stored) (map[string]string, error) {
	id := k.ID
	if _, ok := k.Use.Server(); ok {
		id = ""
	}
	encoded := map[string]string{}
	for _, typ := range []string{oidc.TypeAccessToken, oidc.TypeJWT, typeIntrospection} {
		text, err := json.Marshal(header{Type: typ, Algorithm: k.Algorithm, KeyID: id})
		if err != nil {
			return nil, err
		}
		encoded[typ] = base64.RawURLEncoding.EncodeToString(text)
	}
	return encoded, nil
}

// sign writes a JWT in compact form (RFC 7515, section 7.1) by the key of a line that signs now.
func (k *Keys) sign(tenant string, l Line, typ string, payload []byte) (string, error) {
	key, err := k.signing(tenant, l)
	if err != nil {
		return "", err
	}
	encoding := base64.RawURLEncoding
	text := make([]byte, 0, len(key.headers[typ])+encoding.EncodedLen(len(payload))+maxSignature)
	text = append(append(text, key.headers[typ]...), '.')
	text = encoding.AppendEncode(text, payload)
	signature, err := jwt.GetSigningMethod(key.Algorithm).Sign(string(text), key.signer)
	if err != nil {
		return "", fmt.Errorf("sign %s token of tenant %s: %w", l.Use, tenant, err)
	}
	return string(encoding.AppendEncode(append(text, '.'), signature)), nil
}

func (k *Keys) signing(tenant string, l Line) (*key, error) {
	r, err := k.ring(tenant)
	if err != nil {
		return nil, err
	}
	key := r.signing(l, k.now())
	if key == nil {
		return nil, fmt.Errorf("tenant %s, %s, %s: %w", tenant, l.Use, l.Algorithm, ErrNoKey)
	}
	return key, nil
}

// signJSON is sign for what encoding/json can write.
func (k *Keys) signJSON(tenant string, l Line, typ string, body any) (string, error) {
	payload, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("write %s token of tenant %s: %w", l.Use, tenant, err)
	}
	return k.sign(tenant, l, typ, payload)
}
