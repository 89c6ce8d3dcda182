package oidc

import "time"

// Built-in token profiles.
const (
	ProfileRFC9068 = "rfc9068" // the default: RFC 9068, section 2
	ProfileDovecot = "dovecot" // what Dovecot 2.3 and 2.4 validate themselves
	ProfileOpaque  = "opaque"  // says nothing; looked up by introspection (RFC 7662, section 2)
	ProfileCyrus   = "cyrus"   // what Cyrus reads, behind a proxy that checks "exp" (R10)
)

// Values of "typ" of access tokens.
const (
	TypeAccessToken = "at+jwt" // RFC 9068, section 2.1
	TypeJWT         = "JWT"    // RFC 7519, section 5.1
)

// Profile is the form in which a service takes its tokens. "iss", "sub", "exp", "aud",
// "jti", "scope" and the login name under "preferred_username" stand in every JWT but Cyrus's.
type Profile struct {
	Name            string
	Opaque          bool          // a random string; nothing below applies
	LoginSubject    bool          // Cyrus: "sub" is the login name, and only "exp" stands beside it; signed by a key of the server's own
	Type            string        // "typ" in the header: TypeAccessToken or TypeJWT
	ClientID        bool          // "client_id"
	AuthorizedParty bool          // "azp", the client once more
	AudienceArray   bool          // "aud" is an array even if it has one member
	IssuedAt        bool          // "iat"
	NotBefore       bool          // "nbf", the same moment
	Backdate        time.Duration // how far "iat" and "nbf" lie in the past, for servers whose clock has no leeway
	UserClaim       string        // the login name once more under this claim; empty for none
}

// BuiltInProfiles returns the profiles that every tenant has.
func BuiltInProfiles() []Profile {
	return []Profile{
		{Name: ProfileRFC9068, Type: TypeAccessToken, ClientID: true, IssuedAt: true},
		// No "client_id" and no "azp": Dovecot would choose the key's folder by them.
		{Name: ProfileDovecot, Type: TypeJWT, IssuedAt: true, Backdate: 10 * time.Second},
		{Name: ProfileOpaque, Opaque: true},
		{Name: ProfileCyrus, Type: TypeJWT, LoginSubject: true},
	}
}
