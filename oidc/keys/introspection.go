package keys

import (
	"github.com/golang-jwt/jwt/v5"
)

// introspectionBody is a signed answer (RFC 9701, section 5). It has neither "sub" nor
// "exp" at its top, so that nobody takes it for a token.
type introspectionBody struct {
	Issuer   string         `json:"iss"`
	Audience string         `json:"aud"`
	IssuedAt int64          `json:"iat"`
	Answer   map[string]any `json:"token_introspection"`
}

// SignIntrospection writes an answer of the introspection endpoint as a JWT (RFC 9701,
// section 5) by the tenant's key for that alone. Audience is the id of the
// resource server that asked. ErrNoKey if the tenant has no such key.
func (k *Keys) SignIntrospection(tenant, issuer, audience string, answer map[string]any) (string, error) {
	body := introspectionBody{Issuer: issuer, Audience: audience, IssuedAt: k.now().Unix(), Answer: answer}
	return k.sign(tenant, UseIntrospection, ES256, typIntrospection, &body)
}

// The methods of jwt.Claims.

// GetExpirationTime returns nothing: an answer is good for the request that it answers.
func (b *introspectionBody) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuedAt returns "iat".
func (b *introspectionBody) GetIssuedAt() (*jwt.NumericDate, error) { return numericDate(b.IssuedAt) }

// GetNotBefore returns nothing: "nbf" is never written.
func (b *introspectionBody) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuer returns "iss".
func (b *introspectionBody) GetIssuer() (string, error) { return b.Issuer, nil }

// GetSubject returns nothing: the answer is about a token, not a token.
func (b *introspectionBody) GetSubject() (string, error) { return "", nil }

// GetAudience returns "aud".
func (b *introspectionBody) GetAudience() (jwt.ClaimStrings, error) {
	return jwt.ClaimStrings{b.Audience}, nil
}
