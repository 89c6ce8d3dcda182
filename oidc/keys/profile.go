package keys

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
)

// Token profiles: the form in which a resource server takes its tokens.
const (
	// ProfileRFC9068 is the default: RFC 9068, section 2.
	ProfileRFC9068 = "rfc9068"
	// ProfileDovecot is what Dovecot 2.3 and 2.4 validate themselves: "typ" is JWT
	// exactly, no "client_id" and no "azp" (they would choose the key's folder),
	// "iat" some seconds back because Dovecot allows its clock no leeway.
	ProfileDovecot = "dovecot"
)

// dovecotBackdate is how far "iat" lies in the past for Dovecot.
const dovecotBackdate = 10 * time.Second

// IDClaims are the claims of an ID token
// (https://openid.net/specs/openid-connect-core-1_0.html#IDToken). It has
// neither "scope" nor "client_id", so that nobody takes it for an access token (R7).
type IDClaims struct {
	Issuer    string
	Subject   string
	ClientID  string // "aud"
	Nonce     string // as the client sent it; left out if empty
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time // only if the identity provider said it
}

// accessBody is the payload of an access token in the order in which it is written.
type accessBody struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	ID        string   `json:"jti"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	GrantID   string   `json:"grant,omitempty"`
	Username  string   `json:"preferred_username,omitempty"`

	// Members of ID tokens. An access token never carries them; one that does is refused (R7).
	Nonce           json.RawMessage `json:"nonce,omitempty"`
	AccessTokenHash json.RawMessage `json:"at_hash,omitempty"`
}

type idBody struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	Nonce     string   `json:"nonce,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
}

// audience is one string or an array of strings (RFC 7519, section 4.1.3).
type audience []string

// MarshalJSON writes a single audience as a string: shorter, and what Dovecot compares.
func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON takes both forms.
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return err
	}
	*a = many
	return nil
}

// Sign writes an access token of a tenant in a profile and algorithm.
// ErrNoKey if the tenant has no such key.
func (k *Keys) Sign(tenant, profile, algorithm string, c oidc.Claims) (string, error) {
	body := accessBody{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience,
		ExpiresAt: c.ExpiresAt.Unix(), IssuedAt: c.IssuedAt.Unix(), ID: c.ID,
		Scope: c.Scope, ClientID: c.ClientID, GrantID: c.GrantID, Username: c.Username,
	}
	typ := "at+jwt"
	switch profile {
	case ProfileRFC9068:
	case ProfileDovecot:
		typ = "JWT"
		body.ClientID = ""
		body.IssuedAt = c.IssuedAt.Add(-dovecotBackdate).Unix()
	default:
		return "", fmt.Errorf("keys: no token profile %q", profile)
	}
	return k.sign(tenant, UseAccess, algorithm, typ, &body)
}

// SignID writes an ID token of a tenant, in RS256 by the tenant's ID-token key.
func (k *Keys) SignID(tenant string, c IDClaims) (string, error) {
	body := idBody{
		Issuer: c.Issuer, Subject: c.Subject, Audience: audience{c.ClientID},
		ExpiresAt: c.ExpiresAt.Unix(), IssuedAt: c.IssuedAt.Unix(), Nonce: c.Nonce,
	}
	if !c.AuthTime.IsZero() {
		body.AuthTime = c.AuthTime.Unix()
	}
	return k.sign(tenant, UseID, RS256, "JWT", &body)
}

func (k *Keys) sign(tenant string, use Use, algorithm, typ string, body jwt.Claims) (string, error) {
	r, err := k.ring(tenant)
	if err != nil {
		return "", err
	}
	key := r.find(use, algorithm)
	if key == nil {
		return "", fmt.Errorf("tenant %s, %s, %s: %w", tenant, use, algorithm, ErrNoKey)
	}
	t := jwt.Token{
		Method: jwt.GetSigningMethod(algorithm),
		Header: map[string]any{"typ": typ, "alg": algorithm, "kid": key.id},
		Claims: body,
	}
	signed, err := t.SignedString(key.signer)
	if err != nil {
		return "", fmt.Errorf("sign %s token of tenant %s: %w", use, tenant, err)
	}
	return signed, nil
}

// The methods of jwt.Claims, which the parser asks for times and names.

func numericDate(unix int64) (*jwt.NumericDate, error) {
	if unix == 0 {
		return nil, nil
	}
	return jwt.NewNumericDate(time.Unix(unix, 0)), nil
}

// GetExpirationTime returns "exp".
func (b *accessBody) GetExpirationTime() (*jwt.NumericDate, error) { return numericDate(b.ExpiresAt) }

// GetIssuedAt returns "iat".
func (b *accessBody) GetIssuedAt() (*jwt.NumericDate, error) { return numericDate(b.IssuedAt) }

// GetNotBefore returns nothing: "nbf" is never written.
func (b *accessBody) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuer returns "iss".
func (b *accessBody) GetIssuer() (string, error) { return b.Issuer, nil }

// GetSubject returns "sub".
func (b *accessBody) GetSubject() (string, error) { return b.Subject, nil }

// GetAudience returns "aud".
func (b *accessBody) GetAudience() (jwt.ClaimStrings, error) {
	return jwt.ClaimStrings(b.Audience), nil
}

// GetExpirationTime returns "exp".
func (b *idBody) GetExpirationTime() (*jwt.NumericDate, error) { return numericDate(b.ExpiresAt) }

// GetIssuedAt returns "iat".
func (b *idBody) GetIssuedAt() (*jwt.NumericDate, error) { return numericDate(b.IssuedAt) }

// GetNotBefore returns nothing: "nbf" is never written.
func (b *idBody) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuer returns "iss".
func (b *idBody) GetIssuer() (string, error) { return b.Issuer, nil }

// GetSubject returns "sub".
func (b *idBody) GetSubject() (string, error) { return b.Subject, nil }

// GetAudience returns "aud".
func (b *idBody) GetAudience() (jwt.ClaimStrings, error) { return jwt.ClaimStrings(b.Audience), nil }
