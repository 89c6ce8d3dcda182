// Package oidc holds the words of OAuth 2.0 and OpenID Connect that every step
// of Signpost shares: names of grants, token types, parameters and error codes,
// the claims of an access token, and what a sign-in at an identity provider
// proved. It does no I/O and imports nothing of ours.
package oidc

import "time"

// Grant types of the token endpoint (RFC 6749, section 4.1.3 and section 6; RFC 8693, section 2.1).
const (
	GrantTypeAuthorizationCode = "authorization_code"
	GrantTypeRefreshToken      = "refresh_token"
	GrantTypeTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
	GrantTypeDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code" // RFC 8628, section 3.4
)

// How a client or a resource server proves who it is (RFC 7591, section 2; OpenID Connect Core 1.0, section 9).
const (
	AuthNone          = "none"
	AuthSecretBasic   = "client_secret_basic"
	AuthSecretPost    = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
)

// Types of tokens in answers (RFC 6750, section 6.1.1; RFC 9449, section 5).
const (
	Bearer    = "Bearer"
	DPoP      = "DPoP"
	NotAToken = "N_A" // what was issued is no access token (RFC 8693, section 2.2.1)
)

// Token type identifiers (RFC 8693, section 3).
const (
	TokenTypeAccessToken  = "urn:ietf:params:oauth:token-type:access_token"
	TokenTypeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"
	TokenTypeIDToken      = "urn:ietf:params:oauth:token-type:id_token"
	TokenTypeJWT          = "urn:ietf:params:oauth:token-type:jwt"
	TokenTypeAppPassword  = "urn:signpost:token-type:app-password" // ours (R21)
)

// Scopes that OpenID Connect defines and Signpost acts on
// (https://openid.net/specs/openid-connect-core-1_0.html#ScopeClaims and #OfflineAccess).
const (
	ScopeOpenID        = "openid"
	ScopeOfflineAccess = "offline_access"
	ScopeProfile       = "profile"
	ScopeEmail         = "email"
)

// ScopeAppPassword lets a program make passwords for programs that know no OAuth (R21).
const ScopeAppPassword = "urn:signpost:scope:app-password"

// RelIssuer is the link relation under which WebFinger names the issuer
// (https://openid.net/specs/openid-connect-discovery-1_0.html#IssuerDiscovery).
const RelIssuer = "http://openid.net/specs/connect/1.0/issuer"

// ClientOpen is the id of the client that every native application may use
// without registration. It takes loopback redirects only.
const ClientOpen = "open"

// ConfigurationPath is the issuer's own protected resource, below the issuer URL. A
// token that is asked for it is a token for the issuer.
const ConfigurationPath = "/configuration"

// Claims are the claims of an access token before a profile gives them their
// form. Only oidc/policy fills them in; layout_test.go refuses a literal anywhere else.
type Claims struct {
	Issuer    string    // "iss": the tenant's issuer URL
	Subject   string    // "sub": the account's stable subject, never a login name
	Audience  []string  // "aud": broad if and only if it contains the issuer
	ExpiresAt time.Time // "exp", whole seconds
	IssuedAt  time.Time // "iat", whole seconds
	ID        string    // "jti": unique, at most 11 characters
	Scope     string    // "scope": space-separated words
	ClientID  string    // "client_id", left out by SASL profiles
	GrantID   string    // "grant": the grant it came from, so that ending the grant ends the token
	Username  string    // "preferred_username": the service's login name
	Key       string    // "cnf": thumbprint of the DPoP key it is bound to (RFC 9449, section 6.1); empty for a bearer token
}

// Broad reports whether the token is broad: its audience contains the issuer.
// Only broad tokens open the configuration and may be exchanged.
func (c Claims) Broad() bool {
	for _, a := range c.Audience {
		if a == c.Issuer {
			return true
		}
	}
	return false
}

// Person is what a sign-in at an identity provider proved about somebody.
// The fields below Subject have passed the provider's claim mapping and its
// trust rule; an address that could not be trusted is not here.
type Person struct {
	Provider  string    // the tenant's name for the identity provider
	Issuer    string    // the identity provider's issuer, exactly as discovered
	Subject   string    // "sub" at the identity provider
	Addresses []string  // trusted addresses, domain in lower case, the primary one first; may be empty
	Login     string    // login name, "alice" or "alice@example.com"; may be empty
	Name      string    // display name; may be empty
	AuthTime  time.Time // when the identity provider says the person signed in; zero if it did not say
	ACR       string    // "acr" as the identity provider gave it; empty if it did not
	AMR       []string  // "amr" as the identity provider gave it

	// Claims are those of the ID token that the tenant keeps for its conditions, as JSON has them
	// (whole numbers are int64), and which of them it does not have: see condition.Absent.
	Claims map[string]any
}
