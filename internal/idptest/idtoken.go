package idptest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keyID is the "kid" of the published key.
const keyID = "1"

// idToken makes the ID token of the code flow. It says who signed in and
// nothing about them: that is what userinfo is for
// (https://openid.net/specs/openid-connect-core-1_0.html#ScopeClaims).
func (p *Provider) idToken(granted authorization, accessToken string, faults Faults) (string, error) {
	payload, err := json.Marshal(p.idClaims(granted, accessToken, faults))
	if err != nil {
		return "", err
	}
	switch {
	case faults.AlgNone:
		return unsigned(payload), nil
	case faults.AlgHS256:
		return sign(jose.HS256, []byte(p.ClientSecret), payload)
	case faults.OtherKey:
		return sign(jose.ES256, p.otherKey, payload)
	}
	return sign(jose.ES256, p.key, payload)
}

func (p *Provider) idClaims(granted authorization, accessToken string, faults Faults) map[string]any {
	now := time.Now()
	claims := map[string]any{
		"iss":       p.Issuer,
		"sub":       granted.person.Subject,
		"aud":       p.ClientID,
		"iat":       now.Unix(),
		"exp":       now.Add(5 * time.Minute).Unix(),
		"auth_time": now.Unix(),
		"nonce":     granted.nonce,
		"at_hash":   atHash(accessToken),
	}
	setUnlessEmpty(claims, "acr", granted.person.ACR)
	if granted.person.AMR != nil {
		claims["amr"] = granted.person.AMR
	}
	breakWho(claims, faults)
	p.breakAudience(claims, faults)
	if faults.Expired {
		claims["exp"] = now.Add(-time.Hour).Unix()
	}
	return claims
}

// breakWho breaks what ties the token to issuer, person and request.
func breakWho(claims map[string]any, faults Faults) {
	if faults.WrongIssuer {
		claims["iss"] = otherURL
	}
	if faults.NoSubject {
		claims["sub"] = ""
	}
	if faults.WrongNonce {
		claims["nonce"] = "another nonce"
	}
	if faults.NoNonce {
		delete(claims, "nonce")
	}
	if faults.WrongAtHash {
		claims["at_hash"] = atHash("another access token")
	}
	if faults.NoAtHash {
		delete(claims, "at_hash")
	}
	if faults.NoAuthTime {
		delete(claims, "auth_time")
	}
}

// breakAudience breaks for whom the token is.
func (p *Provider) breakAudience(claims map[string]any, faults Faults) {
	both := []string{p.ClientID, otherClient}
	switch {
	case faults.WrongAudience:
		claims["aud"] = otherClient
	case faults.ExtraAudience:
		claims["aud"], claims["azp"] = both, p.ClientID
	case faults.ExtraAudienceNoAzp:
		claims["aud"] = both
	case faults.WrongAzp:
		claims["aud"], claims["azp"] = both, otherClient
	}
}

// atHash is the left half of the hash that belongs to ES256
// (https://openid.net/specs/openid-connect-core-1_0.html#CodeIDToken).
func atHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}

func sign(algorithm jose.SignatureAlgorithm, key any, payload []byte) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: keyID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signature.CompactSerialize()
}

// unsigned makes what RFC 7519, section 6 calls an unsecured JWT. No library makes one, and rightly.
func unsigned(payload []byte) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(payload) + "."
}
