package keys

import (
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
	// ErrExpired means that the token was genuine and is over.
	ErrExpired = errors.New("keys: access token has expired")
)

// maxToken bounds what is looked at; our own tokens are below 2 KiB.
const maxToken = 8 << 10

// Verify checks that a token is an access token which this tenant signed with a
// key for access tokens and that it has not expired, and returns its claims. A
// signature is checked for every well-formed token, an unknown "kid" included, so
// that the time of a refusal tells nothing. It returns ErrInvalid, ErrExpired, or
// ErrNoKey for a tenant without keys. Audience, scope, grant, and whether the
// bearer has the key that the token is bound to, are the caller's to judge.
func (k *Keys) Verify(tenant, issuer, token string) (c oidc.Claims, err error) {
	r, err := k.ring(tenant)
	if err != nil {
		return c, err
	}
	now := k.now()
	var body accessBody
	parsed, err := trusted{ring: r, use: UseAccess, now: now}.parse(token, &body)
	if err != nil || !body.good(issuer) || parsed.Header["typ"] != typAccess && parsed.Header["typ"] != typJWT {
		return c, ErrInvalid
	}
	if !now.Before(time.Unix(body.ExpiresAt, 0)) {
		return c, ErrExpired
	}
	return body.claims(), nil
}

// good reports whether the claims are an access token's, and all that it must have are there.
func (b *accessBody) good(issuer string) bool {
	return b.Issuer == issuer && b.Subject != "" && b.ID != "" && b.ExpiresAt != 0 && len(b.Audience) > 0 &&
		(b.Confirmation == nil || b.Confirmation.Thumbprint != "") &&
		b.Nonce == nil && b.AccessTokenHash == nil && b.Introspection == nil
}

func (b *accessBody) claims() oidc.Claims {
	var c oidc.Claims
	c.Issuer, c.Subject, c.Audience = b.Issuer, b.Subject, b.Audience
	c.ExpiresAt, c.IssuedAt = time.Unix(b.ExpiresAt, 0), time.Unix(b.IssuedAt, 0)
	c.ID, c.Scope, c.ClientID, c.GrantID, c.Username = b.ID, b.Scope, b.ClientID, b.GrantID, b.Username
	if b.Confirmation != nil {
		c.Key = b.Confirmation.Thumbprint
	}
	return c
}

// trusted are the keys by which tokens of a kind are checked.
type trusted struct {
	ring    *ring
	use     Use
	now     time.Time
	removed bool // also those that are not published any more
}

// parse checks form and signature of a token, and reads its claims into body.
func (t trusted) parse(token string, body jwt.Claims) (*jwt.Token, error) {
	// Base64 is read without its line ends (go doc encoding/base64), which would give
	// one token many spellings.
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") {
		return nil, ErrInvalid
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{ES256, RS256}),
		jwt.WithStrictDecoding(),
		jwt.WithoutClaimsValidation(),
	)
	parsed, err := parser.ParseWithClaims(token, body, t.key)
	if err != nil || t.named(parsed) == nil {
		return nil, ErrInvalid
	}
	return parsed, nil
}

// key chooses the key for a token's header: the named one, else any of the
// algorithm, so that an unknown "kid" takes as long as a known one.
func (t trusted) key(token *jwt.Token) (any, error) {
	key := t.named(token)
	if key == nil {
		if key = t.ring.signing(Line{t.use, token.Method.Alg()}, t.now); key == nil {
			return nil, ErrInvalid
		}
	}
	return key.signer.Public(), nil
}

// named returns the key that a token's header names, or nil. The algorithm is the
// key's, never the token's word alone.
func (t trusted) named(token *jwt.Token) *key {
	id, _ := token.Header["kid"].(string)
	k := t.ring.byID(t.use, id)
	if k == nil || k.Compromised || k.Algorithm != token.Method.Alg() || !t.removed && !k.known(t.now) {
		return nil
	}
	return k
}
