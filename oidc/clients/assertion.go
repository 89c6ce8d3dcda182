package clients

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"signpost/oidc"
)

// assertionType is the only client_assertion_type (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Bounds of an assertion.
const (
	maxAssertion  = 4 << 10 // bytes
	maxAssertedID = 256     // of "jti"; a UUID has 36 characters
	assertionLife = 10 * time.Minute
	leeway        = 30 * time.Second // of the client's clock
)

// AssertionAlgorithms returns the algorithms that assertions may be signed with, for
// the metadata (RFC 8414, section 2). All are asymmetric.
func AssertionAlgorithms() []string {
	return []string{string(jose.ES256), string(jose.EdDSA), string(jose.PS256), string(jose.RS256)}
}

// checkAssertion checks a signed assertion of who the client is (RFC 7523, section 3):
// issuer and subject are the client, the one audience is this server, it ends soon, and it
// was not used before.
func (c *Clients) checkAssertion(ctx context.Context, s shown, h holder) error {
	claims, err := verified(s.assertion, h)
	if err != nil {
		return invalidClient(err)
	}
	now := c.Now()
	switch {
	case h.method != oidc.AuthPrivateKeyJWT:
		return invalidClient(errors.New("another method is wanted"))
	case claims.Issuer != h.id || claims.Subject != h.id:
		return invalidClient(errors.New("iss and sub are not the client's id"))
	case len(claims.Audience) != 1 || claims.Audience[0] == "" || !slices.Contains(h.audiences, claims.Audience[0]):
		return invalidClient(errors.New("aud is not the issuer or the endpoint alone"))
	case claims.Expiry == nil || !now.Before(claims.Expiry.Time()):
		return invalidClient(errors.New("exp is missing or over"))
	case claims.Expiry.Time().After(now.Add(assertionLife + leeway)):
		return invalidClient(errors.New("exp is more than ten minutes away"))
	case claims.NotBefore != nil && claims.NotBefore.Time().After(now.Add(leeway)):
		return invalidClient(errors.New("nbf is in the future"))
	case claims.IssuedAt != nil && (claims.IssuedAt.Time().After(now.Add(leeway)) || claims.IssuedAt.Time().Before(now.Add(-assertionLife-leeway))):
		return invalidClient(errors.New("iat is in the future or too long ago"))
	case claims.ID == "" || len(claims.ID) > maxAssertedID:
		return invalidClient(errors.New("jti is missing or too long"))
	}
	return c.once(ctx, h, claims, now)
}

// verified returns the claims of an assertion that one of the client's keys signed. Who has
// no key that fits is refused after as long: the time must not tell who exists.
func verified(assertion string, h holder) (jwt.Claims, error) {
	token, err := parseAssertion(assertion)
	if err != nil {
		return jwt.Claims{}, err
	}
	keys, own := tried(h.jwks, token.Headers[0])
	for _, key := range keys {
		var claims jwt.Claims
		if err := token.Claims(key.Key, &claims); err == nil && own {
			return claims, nil
		}
	}
	return jwt.Claims{}, errors.New("no key of the client has signed the assertion")
}

func parseAssertion(assertion string) (*jwt.JSONWebToken, error) {
	if len(assertion) > maxAssertion {
		return nil, errors.New("the assertion is too long")
	}
	var algorithms []jose.SignatureAlgorithm
	for _, a := range AssertionAlgorithms() {
		algorithms = append(algorithms, jose.SignatureAlgorithm(a))
	}
	token, err := jwt.ParseSigned(assertion, algorithms)
	if err != nil {
		return nil, fmt.Errorf("assertion: %w", err)
	}
	if len(token.Headers) != 1 {
		return nil, errors.New("the assertion has not one signature")
	}
	return token, nil
}

// claimedSubject is who an assertion says it is of, before anything is believed.
func claimedSubject(assertion string) string {
	token, err := parseAssertion(assertion)
	if err != nil {
		return ""
	}
	var claims jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return ""
	}
	return claims.Subject
}

// once marks an assertion as used until it has ended (RFC 7523, section 3). If the mark is lost
// before, the assertion's short life is what is left (R19).
func (c *Clients) once(ctx context.Context, h holder, claims jwt.Claims, now time.Time) error {
	sum := sha256.Sum256([]byte(h.id + " " + claims.ID))
	key := "assertion:1:" + h.tenant + ":" + base64.RawURLEncoding.EncodeToString(sum[:])
	won, err := c.Marks.Add(ctx, key, []byte{1}, claims.Expiry.Time().Sub(now)+time.Second)
	if err != nil {
		return oidc.E(oidc.CodeTemporarilyUnavailable, "the service cannot answer just now; try again in a moment").
			Because(fmt.Errorf("mark assertion: %w", err))
	}
	if !won {
		return invalidClient(errors.New("the assertion was used before"))
	}
	return nil
}
