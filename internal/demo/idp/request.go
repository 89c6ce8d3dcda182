package idp

import (
	"time"

	zoidc "github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// authRequest is a sign-in that was begun. It is a value: what the library holds
// does not change when the storage's copy does.
type authRequest struct {
	id        string
	request   zoidc.AuthRequest
	loginHint string
	expiresAt time.Time

	formToken string // of the form that was shown last
	browser   string // to whom it was shown

	subject  string // empty until somebody signed in
	signedAt time.Time
}

// The methods below are op.AuthRequest.

func (a authRequest) GetID() string                       { return a.id }
func (a authRequest) GetACR() string                      { return "" }
func (a authRequest) GetAMR() []string                    { return []string{"pwd"} }
func (a authRequest) GetAudience() []string               { return []string{a.request.ClientID} }
func (a authRequest) GetAuthTime() time.Time              { return a.signedAt }
func (a authRequest) GetClientID() string                 { return a.request.ClientID }
func (a authRequest) GetNonce() string                    { return a.request.Nonce }
func (a authRequest) GetRedirectURI() string              { return a.request.RedirectURI }
func (a authRequest) GetResponseType() zoidc.ResponseType { return a.request.ResponseType }
func (a authRequest) GetResponseMode() zoidc.ResponseMode { return a.request.ResponseMode }
func (a authRequest) GetScopes() []string                 { return a.request.Scopes }
func (a authRequest) GetState() string                    { return a.request.State }
func (a authRequest) GetSubject() string                  { return a.subject }
func (a authRequest) Done() bool                          { return a.subject != "" }
func (a authRequest) GetCodeChallenge() *zoidc.CodeChallenge {
	return &zoidc.CodeChallenge{Challenge: a.request.CodeChallenge, Method: a.request.CodeChallengeMethod}
}

// client is Signpost as the provider knows it: confidential, code flow alone.
type client struct{ config Config }

// The methods below are op.Client.

func (c client) GetID() string                     { return c.config.ClientID }
func (c client) RedirectURIs() []string            { return []string{c.config.RedirectURI} }
func (client) PostLogoutRedirectURIs() []string    { return nil }
func (client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (client) AuthMethod() zoidc.AuthMethod        { return zoidc.AuthMethodBasic }
func (client) ResponseTypes() []zoidc.ResponseType {
	return []zoidc.ResponseType{zoidc.ResponseTypeCode}
}
func (client) GrantTypes() []zoidc.GrantType        { return []zoidc.GrantType{zoidc.GrantTypeCode} }
func (client) LoginURL(id string) string            { return loginPath + "?request=" + id }
func (client) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeBearer }
func (client) IDTokenLifetime() time.Duration       { return 5 * time.Minute }
func (client) DevMode() bool                        { return false }
func (client) IsScopeAllowed(string) bool           { return false }
func (client) IDTokenUserinfoClaimsAssertion() bool { return false }
func (client) ClockSkew() time.Duration             { return 0 }
func (client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
func (client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
