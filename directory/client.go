package directory

// ClientPolicy says which programs may ask a tenant's people to sign in. The zero
// value lets everybody ask who can be told apart: registered programs, those with
// a URL for an id, the client "open" and the built-in ones.
type ClientPolicy struct {
	RegistrationOff bool          // no new registrations (RFC 7591, section 3); known ones go on
	URLsOff         bool          // no ids that are URLs (R15)
	OpenOff         bool          // not the client "open" (R13)
	BuiltInOff      []string      // ids of built-in clients that are switched off (R13)
	Device          string        // DeviceOff, DeviceFixed or DeviceOn; empty is DeviceFixed (R16)
	Allow           []ClientMatch // if not empty, of registered programs and those with a URL only these
	Deny            []ClientMatch // the kill switch: none of these, whatever else is said
	Condition       string        // CEL: which sign-ins with which programs get tokens; empty is all
}

// Who may use the device flow (R16).
const (
	DeviceOff   = "off"
	DeviceFixed = "fixed-clients"
	DeviceOn    = "on"
)

// ClientMatch picks out clients by one of its fields; the others are empty. What a
// program says of itself, SoftwareID and a private-use scheme, another can say too.
type ClientMatch struct {
	ID         string // the client id itself
	IDHash     string // SHA-256 of the client id in lower-case hexadecimal: registered ids are long
	SoftwareID string // "software_id" of the registration: every copy of a program
	Redirect   string // a redirect URI, whole, or everything before its first ":" for a private-use scheme
	Host       string // the host of an id that is a URL
}

// FixedClient is a program that the operator wrote down, or one that is built in.
type FixedClient struct {
	ID                     string
	Name                   string   // shown to people; the operator vouches for it
	RedirectURIs           []string // exact; a loopback address without a port stands for every port; http://localhost is for built-in ones alone (R13)
	PostLogoutRedirectURIs []string // exact
	Authentication         string   // oidc.AuthNone, AuthSecretBasic, AuthSecretPost or AuthPrivateKeyJWT
	SecretHash             []byte   // SHA-256 of the client secret, which is long and random; nil without one
	JWKS                   string   // public keys as a JWK set, for private_key_jwt
	IDTokenAlgorithm       string   // "RS256" or "ES256"; empty is RS256 (R8)
	DPoPBound              bool     // dpop_bound_access_tokens (RFC 9449, section 5.2)
	Condition              string   // CEL: who gets tokens with this program, besides that of the ClientPolicy; empty is everybody
}

// ResourceServer is who may ask what a token is worth (RFC 7662, section 2.1),
// with credentials of its own.
type ResourceServer struct {
	Name           string   // its client_id at the introspection endpoint; disjoint from clients and audiences (R7)
	Audiences      []string // of services of the tenant
	Authentication string   // oidc.AuthSecretBasic (which takes the form too) or AuthPrivateKeyJWT
	SecretHash     []byte   // SHA-256 of the secret; nil without one
	JWKS           string   // public keys as a JWK set, for private_key_jwt
}
