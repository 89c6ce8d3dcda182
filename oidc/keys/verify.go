package keys

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
)

// Errors of Verify and VerifyHint.
var (
	// ErrInvalid means that a token is not one of this tenant's tokens of the kind that
	// was asked for. It has no cause on purpose: every such token gets the same
	// answer (R24).
	ErrInvalid = errors.New("keys: not such a token of this issuer")
	// ErrExpired means that the token was genuine and is over. Its claims come along, for the
	// record alone.
	ErrExpired = errors.New("keys: access token has expired")
)

// clockLeeway is how far the clock of the replica that made a token may be ahead of ours
// (RFC 7519, section 4.1.5).
const clockLeeway = time.Minute

// maxToken bounds what is looked at; our own tokens are below 2 KiB.
const maxToken = 8 << 10

// Verify checks that a token is an access token which this tenant signed with a
// key for access tokens and that it has not expired, and returns its claims. Tokens of every
// profile pass but those for Cyrus, which belong to one server alone and say too little. A
// signature is checked for every well-formed token, an unknown "kid" included, so
// that the time of a refusal tells nothing. It returns ErrInvalid, ErrExpired with the claims, or
// ErrNoKey for a tenant without keys. Audience, scope, grant, and whether the
// bearer has the key that the token is bound to, are the caller's to judge.
func (k *Keys) Verify(tenant, issuer, token string) (c oidc.Claims, err error) {
	r, err := k.ring(tenant)
	if err != nil {
		return c, err
	}
	now := k.now()
	var body accessBody
	typ, err := trusted{ring: r, use: UseAccess, now: now}.parse(token, &body)
	if err != nil || !body.good(issuer) || typ != oidc.TypeAccessToken && typ != oidc.TypeJWT {
		return c, ErrInvalid
	}
	if now.Add(clockLeeway).Before(time.Unix(body.NotBefore, 0)) {
		return c, ErrInvalid
	}
	if !now.Before(time.Unix(body.ExpiresAt, 0)) {
		return body.claims(), ErrExpired
	}
	return body.claims(), nil
}

// trusted are the keys by which tokens of a kind are checked.
type trusted struct {
	ring    *ring
	use     Use
	now     time.Time
	removed bool // also those that are not published any more
}

// parse checks form and signature of a JWT in compact form (RFC 7515, section 7.1), and then
// reads its claims into body. It returns "typ".
func (t trusted) parse(token string, body any) (string, error) {
	// Base64 is read without its line ends (go doc encoding/base64), which would give
	// one token many spellings.
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") {
		return "", ErrInvalid
	}
	parts := strings.SplitN(token, ".", 4)
	if len(parts) != 3 {
		return "", ErrInvalid
	}
	var h header
	text, errHeader := decode(parts[0])
	payload, errPayload := decode(parts[1])
	signature, errSignature := decode(parts[2])
	if errors.Join(errHeader, errPayload, errSignature) != nil || read(text, headerMembers[:], &h) != nil {
		return "", ErrInvalid
	}
	named := t.named(h)
	if h.Critical != nil {
		named = nil // and nobody else vouches for it, after as much work
	}
	key := named
	if key == nil {
		// Any of the algorithm, so that an unknown "kid" takes as long as a known one.
		key = t.ring.signing(Line{t.use, h.Algorithm}, t.now)
	}
	if key == nil {
		return "", ErrInvalid
	}
	signed := token[:len(parts[0])+len(".")+len(parts[1])]
	err := jwt.GetSigningMethod(key.Algorithm).Verify(signed, signature, key.signer.Public())
	if err != nil || named == nil || read(payload, claimMembers[:], body) != nil {
		return "", ErrInvalid
	}
	return h.Type, nil
}

func decode(part string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(part) }

// named returns the key that a token's header names, or nil. The algorithm is the
// key's, never the token's word alone.
func (t trusted) named(h header) *key {
	k := t.ring.byID(t.use, h.KeyID)
	if k == nil || k.Compromised || k.Algorithm != h.Algorithm || !t.removed && !k.known(t.now) {
		return nil
	}
	return k
}
