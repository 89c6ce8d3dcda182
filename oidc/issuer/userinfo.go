package issuer

import "signpost/oidc"

// UserInfo is what a client may know of the person who signed in
// (https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse). What
// the scope does not open, or nobody vouches for, is left out.
type UserInfo struct {
	Subject       string `json:"sub"`
	Name          string `json:"name,omitempty"`
	Username      string `json:"preferred_username,omitempty"` // as in broad tokens: an address (R7)
	Email         string `json:"email,omitempty"`
	EmailVerified bool   `json:"email_verified,omitempty"`
}

// UserInfo returns what the token opens of its person: "profile" and "email" as
// https://openid.net/specs/openid-connect-core-1_0.html#ScopeClaims has them.
func (b Bearer) UserInfo() UserInfo {
	u := UserInfo{Subject: b.Account.ID}
	if b.Scope.Has(oidc.ScopeProfile) {
		u.Name, u.Username = b.Account.Name, b.Standing.Address
	}
	if b.Scope.Has(oidc.ScopeEmail) && b.Standing.Address != "" {
		u.Email, u.EmailVerified = b.Standing.Address, true // only proved addresses are kept (R2)
	}
	return u
}
