package keys

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"signpost/oidc"
)

// IDClaims are the claims of an ID token
// (https://openid.net/specs/openid-connect-core-1_0.html#IDToken). It has
// neither "scope" nor "client_id", so that nobody takes it for an access token (R7).
type IDClaims struct {
	Issuer      string
	Subject     string
	ClientID    string // "aud"
	Nonce       string // as the client sent it; left out if empty
	IssuedAt    time.Time
	ExpiresAt   time.Time
	AuthTime    time.Time // only if the identity provider said it
	ACR         string    // only if the identity provider said it
	AMR         []string  // only if the identity provider said it
	AccessToken string    // the one that comes with it, for "at_hash"; none if empty
	Algorithm   string    // in which the client wants it; empty for RS256
}

// Hint is what an ID token says about whom the client expects.
type Hint struct {
	Subject  string
	ClientID string // to which it was given
}

type idBody struct {
	Issuer          string   `json:"iss"`
	Subject         string   `json:"sub"`
	Audience        audience `json:"aud"`
	ExpiresAt       int64    `json:"exp"`
	IssuedAt        int64    `json:"iat"`
	Nonce           string   `json:"nonce,omitempty"`
	AuthTime        int64    `json:"auth_time,omitempty"`
	ACR             string   `json:"acr,omitempty"`
	AMR             []string `json:"amr,omitempty"`
	AccessTokenHash string   `json:"at_hash,omitempty"`

	// Members of other kinds. An ID token never carries them; one that does is refused (R7).
	ID            json.RawMessage `json:"jti,omitempty"`
	Scope         json.RawMessage `json:"scope,omitempty"`
	Client        json.RawMessage `json:"client_id,omitempty"`
	GrantID       json.RawMessage `json:"grant,omitempty"`
	Confirmation  json.RawMessage `json:"cnf,omitempty"`
	Introspection json.RawMessage `json:"token_introspection,omitempty"`
	NotBefore     json.RawMessage `json:"nbf,omitempty"`
}

// SignID writes an ID token of a tenant by one of its keys for ID tokens. ErrNoKey if
// it has none for that algorithm.
func (k *Keys) SignID(tenant string, c IDClaims) (string, error) {
	body := idBody{
		Issuer: c.Issuer, Subject: c.Subject, Audience: audience{c.ClientID},
		ExpiresAt: c.ExpiresAt.Unix(), IssuedAt: c.IssuedAt.Unix(), Nonce: c.Nonce,
		ACR: c.ACR, AMR: c.AMR,
	}
	if !c.AuthTime.IsZero() {
		body.AuthTime = c.AuthTime.Unix()
	}
	if c.AccessToken != "" {
		body.AccessTokenHash = accessTokenHash(c.AccessToken)
	}
	algorithm := c.Algorithm
	if algorithm == "" {
		algorithm = RS256
	}
	return k.signJSON(tenant, Line{UseID, algorithm}, oidc.TypeJWT, &body)
}

// accessTokenHash returns "at_hash": the left half of the hash of the token's ASCII
// form, by the hash function of the ID token's algorithm, which is SHA-256 in both
// (https://openid.net/specs/openid-connect-core-1_0.html#CodeIDToken).
func accessTokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}

// VerifyHint checks that a token is an ID token which this tenant gave to one client,
// and returns whom it is about. It may have expired, and its key may have been
// removed: a client keeps its last ID token for long
// (https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest). A compromised
// key vouches for nobody. It returns ErrInvalid, or ErrNoKey for a tenant without keys.
func (k *Keys) VerifyHint(tenant, issuer, token string) (Hint, error) {
	r, err := k.ring(tenant)
	if err != nil {
		return Hint{}, err
	}
	var body idBody
	typ, err := trusted{ring: r, use: UseID, now: k.now(), removed: true}.parse(token, &body)
	if err != nil || typ != oidc.TypeJWT || !body.good(issuer) {
		return Hint{}, ErrInvalid
	}
	return Hint{Subject: body.Subject, ClientID: body.Audience[0]}, nil
}

// good reports whether the claims are an ID token's, and all that it must have are there.
func (b *idBody) good(issuer string) bool {
	return b.Issuer == issuer && b.Subject != "" && len(b.Audience) == 1 && b.Audience[0] != "" &&
		b.ExpiresAt != 0 && b.IssuedAt != 0 &&
		b.ID == nil && b.Scope == nil && b.Client == nil && b.GrantID == nil && b.Confirmation == nil && b.Introspection == nil && b.NotBefore == nil
}
