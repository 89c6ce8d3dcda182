package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"signpost/oidc"
)

// ErrProfile means that claims cannot be written in a profile. Answer server_error:
// whoever declares services is not let declare that.
var ErrProfile = errors.New("keys: the token has no form in this profile")

// accessPayload is the payload of an access token in the order in which it is written.
type accessPayload struct {
	Issuer          string `json:"iss"`
	Subject         string `json:"sub"`
	Audience        any    `json:"aud"` // one string or an array of strings (RFC 7519, section 4.1.3)
	ExpiresAt       int64  `json:"exp"`
	IssuedAt        int64  `json:"iat,omitempty"`
	NotBefore       int64  `json:"nbf,omitempty"`
	ID              string `json:"jti"`
	Scope           string `json:"scope,omitempty"`
	ClientID        string `json:"client_id,omitempty"`
	AuthorizedParty string `json:"azp,omitempty"`
	GrantID         string `json:"grant,omitempty"`
	Username        string `json:"preferred_username,omitempty"`

	Confirmation *confirmation `json:"cnf,omitempty"`
}

// cyrusPayload is all that Cyrus reads: whom it lets in, and until when the proxy before it does (R10).
type cyrusPayload struct {
	LoginName string `json:"sub"`
	ExpiresAt int64  `json:"exp"`
}

// confirmation says to which key a token is bound (RFC 9449, section 6.1).
type confirmation struct {
	Thumbprint string `json:"jkt"`
}

// Sign writes an access token of a tenant in a profile and algorithm. ErrNoKey if the
// tenant has no such key; ErrProfile if the token has no form there: the opaque profile
// and those that say nothing of "typ", a token for Dovecot or Cyrus that is bound to a DPoP
// key (they would take it from anybody), one for Cyrus without a login name or for several servers.
func (k *Keys) Sign(tenant string, p oidc.Profile, algorithm string, c oidc.Claims) (string, error) {
	if problem := unfit(p, c); problem != "" {
		return "", fmt.Errorf("%w: %q: %s", ErrProfile, p.Name, problem)
	}
	payload, err := payloadOf(p, c)
	if err != nil {
		return "", fmt.Errorf("write access token of tenant %s: %w", tenant, err)
	}
	return k.sign(tenant, lineOf(p, algorithm, c), p.Type, payload)
}

// SigningKey returns the id of the key by which Sign would sign these claims now, or ErrNoKey.
func (k *Keys) SigningKey(tenant string, p oidc.Profile, algorithm string, c oidc.Claims) (string, error) {
	key, err := k.signing(tenant, lineOf(p, algorithm, c))
	if err != nil {
		return "", err
	}
	return key.ID, nil
}

// unfit says why the claims have no form in a profile; empty if they have.
func unfit(p oidc.Profile, c oidc.Claims) string {
	switch {
	case p.Opaque || p.Type != oidc.TypeAccessToken && p.Type != oidc.TypeJWT:
		return "nothing that is signed"
	case c.Key != "" && (p.LoginSubject || p.Name == oidc.ProfileDovecot):
		return "its server does not read to which key a token is bound"
	case p.LoginSubject && (c.Username == "" || len(c.Audience) != 1):
		return "needs a login name and one server"
	case reserved(p.UserClaim):
		return "its user claim means something else"
	}
	return ""
}

// reserved reports whether a claim has a meaning of its own, however it is spelt: there the login
// name would be taken for another thing, or the token for another kind (R7).
func reserved(claim string) bool { return meant(claimMembers[:], claim) }

// lineOf returns the line that signs for a profile: Cyrus has the key for the audience.
func lineOf(p oidc.Profile, algorithm string, c oidc.Claims) Line {
	if p.LoginSubject && len(c.Audience) == 1 {
		return Line{UseServer(c.Audience[0]), algorithm}
	}
	return Line{UseAccess, algorithm}
}

func payloadOf(p oidc.Profile, c oidc.Claims) ([]byte, error) {
	if p.LoginSubject {
		return json.Marshal(cyrusPayload{LoginName: c.Username, ExpiresAt: c.ExpiresAt.Unix()})
	}
	payload := accessPayload{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, ExpiresAt: c.ExpiresAt.Unix(),
		ID: c.ID, Scope: c.Scope, GrantID: c.GrantID, Username: c.Username,
	}
	if len(c.Audience) == 1 && !p.AudienceArray {
		payload.Audience = c.Audience[0] // shorter, and what Dovecot compares
	}
	issued := c.IssuedAt.Add(-p.Backdate).Unix()
	if p.IssuedAt {
		payload.IssuedAt = issued
	}
	if p.NotBefore {
		payload.NotBefore = issued
	}
	if p.ClientID {
		payload.ClientID = c.ClientID
	}
	if p.AuthorizedParty {
		payload.AuthorizedParty = c.ClientID
	}
	if c.Key != "" {
		payload.Confirmation = &confirmation{c.Key}
	}
	text, err := json.Marshal(&payload)
	if err != nil || p.UserClaim == "" || c.Username == "" {
		return text, err
	}
	return withMember(text, p.UserClaim, c.Username)
}

// withMember adds a member to an object that has some.
func withMember(object []byte, name, value string) ([]byte, error) {
	member, err := json.Marshal(map[string]string{name: value})
	if err != nil {
		return nil, err
	}
	return append(append(object[:len(object)-1], ','), member[1:]...), nil
}

// accessBody is what is read of an access token.
type accessBody struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	ID        string   `json:"jti"`
	Scope     string   `json:"scope"`
	ClientID  string   `json:"client_id"`
	GrantID   string   `json:"grant"`
	Username  string   `json:"preferred_username"`

	Confirmation *confirmation `json:"cnf"`

	// Members of other kinds. An access token never carries them; one that does is refused (R7).
	Nonce           json.RawMessage `json:"nonce"`
	AccessTokenHash json.RawMessage `json:"at_hash"`
	Introspection   json.RawMessage `json:"token_introspection"`
}

// good reports whether the claims are an access token's, and all that it must have are there.
func (b *accessBody) good(issuer string) bool {
	return b.Issuer == issuer && b.Subject != "" && b.ID != "" && b.ExpiresAt != 0 && len(b.Audience) > 0 &&
		!slices.Contains(b.Audience, "") &&
		(b.Confirmation == nil || b.Confirmation.Thumbprint != "") &&
		b.Nonce == nil && b.AccessTokenHash == nil && b.Introspection == nil
}

func (b *accessBody) claims() oidc.Claims {
	var c oidc.Claims
	c.Issuer, c.Subject, c.Audience, c.ExpiresAt = b.Issuer, b.Subject, b.Audience, time.Unix(b.ExpiresAt, 0)
	if b.IssuedAt != 0 {
		c.IssuedAt = time.Unix(b.IssuedAt, 0)
	}
	c.ID, c.Scope, c.ClientID, c.GrantID, c.Username = b.ID, b.Scope, b.ClientID, b.GrantID, b.Username
	if b.Confirmation != nil {
		c.Key = b.Confirmation.Thumbprint
	}
	return c
}
