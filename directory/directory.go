// Package directory holds the facts that an operator declares: tenants, their
// domains, identity providers and services. It reads them from YAML, refuses what
// contradicts itself, and compiles the public WebFinger answers of all served
// domains into a snapshot that is read without a lock (Answers).
package directory

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"signpost/oidc"
	"signpost/scopes"
)

// ErrNotFound means that there is no such tenant, domain or service. Answer as
// if the name were free: an outsider must not learn what else is served.
var ErrNotFound = errors.New("directory: not found")

// ErrConflict means that the facts changed between reading and writing them.
// Read again, compare again, write again.
var ErrConflict = errors.New("directory: changed meanwhile")

// Placement says where a tenant's issuer lives.
const (
	PlacementBase = "base" // issuer is the base URL itself; one tenant at most
	PlacementPath = "path" // issuer is {base}/t/{name}
	// Anything else is the issuer URL of a host of the tenant's own: "https://id.example.org".
)

// Tenant is an organisation. Nothing crosses from one tenant to another.
type Tenant struct {
	Name              string // stable key: lower-case letters, digits, hyphens
	Placement         string // PlacementBase, PlacementPath or an issuer URL
	Title             string // for people: "Example Organisation"
	Help              string // URL where people of the tenant get help; may be empty
	Domains           []Domain
	IdentityProviders []IdentityProvider // in the order in which people are offered them
	Services          []Service          // by Order, then declaration
	Scopes            []scopes.Scope     // replace or add to the catalogue's
	Clients           ClientPolicy       // which programs may ask its people to sign in
	FixedClients      []FixedClient      // programs that the operator wrote down
	ResourceServers   []ResourceServer   // who may ask what a token is worth
	TokenProfiles     []oidc.Profile     // forms of tokens of the tenant's own
	BroadToken        string             // profile of the broad token: oidc.ProfileRFC9068 or oidc.ProfileOpaque; empty is the first (R9)
}

// Domain is a mail domain that a tenant serves.
type Domain struct {
	Name         string // A-labels in lower case, no trailing dot: "example.com"
	Verification string // how the claim to it was proved; VerificationOperator for now
}

// VerificationOperator means that the operator vouches for the domain.
const VerificationOperator = "operator"

// Secret is a string that never shows itself: not in logs, not in %v.
type Secret string

// String hides the secret.
func (Secret) String() string { return "[secret]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[secret]" }

// MarshalText hides the secret from JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// How an identity provider's word about addresses is taken (R2).
const (
	TrustEmailVerified = "email_verified" // an address counts when email_verified is true
	TrustDirectory     = "directory"      // every address in the provider's own domains counts
)

// IdentityProvider is an upstream OpenID provider of a tenant.
type IdentityProvider struct {
	Name         string // key within the tenant, part of the redirect URI
	Title        string // for people: "Example staff"
	Issuer       string // exact issuer URL
	ClientID     string
	ClientSecret Secret   // sealed at rest; empty for a public client
	Scopes       []string // asked for upstream: openid, profile, email, ...
	Domains      []string // domains for which its word counts: a subset of the tenant's
	AddressClaim string   // default "email"
	AddressTrust string   // TrustEmailVerified or TrustDirectory; the latter for an organisation's own issuer only
	LoginClaim   string   // default "preferred_username"
	NameClaim    string   // default "name"
	KeepClaims   []string // claims of the ID token that conditions may ask for: "groups", "department"
}

// Protocols a service may speak.
const (
	ProtocolIMAP        = "imap"
	ProtocolPOP3        = "pop3"
	ProtocolSubmission  = "submission"
	ProtocolManageSieve = "managesieve"
	ProtocolJMAP        = "jmap"
	ProtocolCalDAV      = "caldav"
	ProtocolCardDAV     = "carddav"
	ProtocolWebDAV      = "webdav"
	ProtocolXMPP        = "xmpp"
	ProtocolMatrix      = "matrix"
	ProtocolHTTPS       = "https" // any other API
)

// Service is something a client connects to with a token of its own.
type Service struct {
	ID             string // key within the tenant: "mail"
	Protocol       string
	Title          string
	Endpoints      []Endpoint    // in order of preference
	Audience       string        // "aud" of its tokens: a host name, or the URL of an HTTP service
	Scopes         []string      // what opens it
	Authentication []string      // "oauthbearer", "xoauth2", "bearer"
	Username       string        // template of the login name: "{address}", "{login}", "{local}", "{domain}", "{subject}"
	Profile        string        // token profile: a built-in one (oidc.BuiltInProfiles) or one of the tenant's own
	Algorithm      string        // "ES256" or "RS256"
	Lifetime       time.Duration // of exchanged tokens; zero means 15 minutes
	Credential     string        // services with the same name share a credential; default "sso"
	InBroad        bool          // the broad token is accepted by it too (R5)
	DPoP           string        // DPoPNone, DPoPAccepts or DPoPRequires; empty is none (R11)
	Order          int           // smaller comes first
	Insecure       bool          // the tenant says in as many words that it has no TLS

	Condition        string // CEL: who has the service, by what is known of person, sign-in and client; empty is everybody
	AppPasswords     bool   // it takes app passwords (R21)
	Source           string // where its tokens come from: SourceLocal; empty is that
	UnexpiringTokens bool   // "unexpiring_tokens: accepted": the tenant knows what profile cyrus does not promise (R10)
}

// SourceLocal means that Signpost signs the service's tokens itself.
const SourceLocal = "local"

// What a service makes of tokens that are bound to a key (R11).
const (
	DPoPNone     = "none"
	DPoPAccepts  = "accepts"
	DPoPRequires = "requires"
)

// Security of a TCP endpoint.
const (
	SecurityTLS      = "tls"
	SecurityStartTLS = "starttls"
	SecurityNone     = "none" // only with Service.Insecure
)

// Endpoint is one way to reach a service: host, port and security, or a URL.
type Endpoint struct {
	Host     string // TCP services
	Port     int
	Security string
	URL      string // HTTP services; may hold the same templates as Service.Username
}

// HTTP reports whether the service is reached by URL.
func (s Service) HTTP() bool {
	switch s.Protocol {
	case ProtocolJMAP, ProtocolCalDAV, ProtocolCardDAV, ProtocolWebDAV, ProtocolMatrix, ProtocolHTTPS:
		return true
	}
	return false
}

// SASL reports whether the service takes its token inside a SASL exchange, where
// the length of a line counts (R9).
func (s Service) SASL() bool {
	switch s.Protocol {
	case ProtocolIMAP, ProtocolPOP3, ProtocolSubmission, ProtocolManageSieve, ProtocolXMPP:
		return true
	}
	return false
}

// Store keeps the facts. Implemented by internal/store.
type Store interface {
	// Tenants returns every tenant with all that belongs to it, in the order in
	// which they were first declared, and the revision they were read at.
	Tenants(ctx context.Context) (tenants []Tenant, revision int64, err error)
	// SaveTenants writes the given tenants whole, removes the named ones and all
	// that is theirs, and raises the revision, in one transaction. It returns
	// ErrConflict and writes nothing if the facts changed since base; what else
	// raises the revision, a new key or the end of a grant, is no conflict.
	SaveTenants(ctx context.Context, base int64, save []Tenant, remove []string) (revision int64, err error)
}
