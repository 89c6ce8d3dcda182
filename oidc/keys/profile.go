package keys

import (
	"encoding/json"
	"errors"
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

// Values of "typ" (RFC 9068, section 2.1; RFC 9701, section 5; RFC 7519, section 5.1).
const (
	typAccess        = "at+jwt"
	typIntrospection = "token-introspection+jwt"
	typJWT           = "JWT" // ID tokens, and access tokens for Dovecot
)

// dovecotBackdate is how far "iat" lies in the past for Dovecot.
const dovecotBackdate = 10 * time.Second

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

	Confirmation *confirmation `json:"cnf,omitempty"`

	// Members of other kinds. An access token never carries them; one that does is refused (R7).
	Nonce           json.RawMessage `json:"nonce,omitempty"`
	AccessTokenHash json.RawMessage `json:"at_hash,omitempty"`
	Introspection   json.RawMessage `json:"token_introspection,omitempty"`
}

// confirmation says to which key a token is bound (RFC 9449, section 6.1).
type confirmation struct {
	Thumbprint string `json:"jkt"`
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
// ErrNoKey if the tenant has no such key. A token that is bound to a DPoP key has no
// form for Dovecot: Dovecot would take it from anybody.
func (k *Keys) Sign(tenant, profile, algorithm string, c oidc.Claims) (string, error) {
	body := accessBody{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience,
		ExpiresAt: c.ExpiresAt.Unix(), IssuedAt: c.IssuedAt.Unix(), ID: c.ID,
		Scope: c.Scope, ClientID: c.ClientID, GrantID: c.GrantID, Username: c.Username,
	}
	if c.Key != "" {
		body.Confirmation = &confirmation{c.Key}
	}
	typ := typAccess
	switch profile {
	case ProfileRFC9068:
	case ProfileDovecot:
		if c.Key != "" {
			return "", errors.New("keys: a token for Dovecot cannot be bound to a key")
		}
		typ = typJWT
		body.ClientID = ""
		body.IssuedAt = c.IssuedAt.Add(-dovecotBackdate).Unix()
	default:
		return "", fmt.Errorf("keys: no token profile %q", profile)
	}
	return k.sign(tenant, UseAccess, algorithm, typ, &body)
}

func (k *Keys) sign(tenant string, use Use, algorithm, typ string, body jwt.Claims) (string, error) {
	r, err := k.ring(tenant)
	if err != nil {
		return "", err
	}
	key := r.signing(Line{use, algorithm}, k.now())
	if key == nil {
		return "", fmt.Errorf("tenant %s, %s, %s: %w", tenant, use, algorithm, ErrNoKey)
	}
	t := jwt.Token{
		Method: jwt.GetSigningMethod(algorithm),
		Header: map[string]any{"typ": typ, "alg": algorithm, "kid": key.ID},
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
