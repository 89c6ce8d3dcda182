package keys

import (
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
)

// Errors of Verify.
var (
	// ErrInvalid means that a token is not one of this tenant's access tokens. It
	// has no cause on purpose: every such token gets the same answer (R24).
	ErrInvalid = errors.New("keys: not an access token of this issuer")
	// ErrExpired means that the token was genuine and is over.
	ErrExpired = errors.New("keys: access token has expired")
)

// maxToken bounds what is looked at; our own tokens are below 2 KiB.
const maxToken = 8 << 10

// Verify checks that a token is an access token which this tenant signed with a
// key for access tokens and that it has not expired, and returns its claims. A
// signature is checked for every well-formed token, an unknown "kid" included, so
// that the time of a refusal tells nothing. It returns ErrInvalid, ErrExpired, or
// ErrNoKey for a tenant without keys. Audience, scope and grant are the caller's to judge.
func (k *Keys) Verify(tenant, issuer, token string) (c oidc.Claims, err error) {
	r, err := k.ring(tenant)
	if err != nil {
		return c, err
	}
	// Base64 is read without its line ends (go doc encoding/base64), which would give
	// one token many spellings.
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") {
		return c, ErrInvalid
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{ES256, RS256}),
		jwt.WithStrictDecoding(),
		jwt.WithoutClaimsValidation(),
	)
	var body accessBody
	parsed, err := parser.ParseWithClaims(token, &body, r.accessKey)
	if err != nil || r.named(parsed) == nil {
		return c, ErrInvalid
	}
	if body.Issuer != issuer || body.Subject == "" || body.ID == "" || body.ExpiresAt == 0 || len(body.Audience) == 0 ||
		body.Nonce != nil || body.AccessTokenHash != nil {
		return c, ErrInvalid
	}
	if !k.now().Before(time.Unix(body.ExpiresAt, 0)) {
		return c, ErrExpired
	}
	return body.claims(), nil
}

// accessKey chooses the key for a token's header: the named one, else any of the
// algorithm, so that an unknown "kid" takes as long as a known one.
func (r *ring) accessKey(t *jwt.Token) (any, error) {
	key := r.named(t)
	if key == nil {
		if key = r.find(UseAccess, t.Method.Alg()); key == nil {
			return nil, ErrInvalid
		}
	}
	return key.signer.Public(), nil
}

// named returns the key for access tokens that a token's header names, or nil. The
// algorithm is the key's, never the token's word alone.
func (r *ring) named(t *jwt.Token) *key {
	id, _ := t.Header["kid"].(string)
	if k := r.byID(UseAccess, id); k != nil && k.algorithm == t.Method.Alg() {
		return k
	}
	return nil
}

func (b *accessBody) claims() oidc.Claims {
	var c oidc.Claims
	c.Issuer, c.Subject, c.Audience = b.Issuer, b.Subject, b.Audience
	c.ExpiresAt, c.IssuedAt = time.Unix(b.ExpiresAt, 0), time.Unix(b.IssuedAt, 0)
	c.ID, c.Scope, c.ClientID, c.GrantID, c.Username = b.ID, b.Scope, b.ClientID, b.GrantID, b.Username
	return c
}
