package policy

import (
	"time"

	"signpost/internal/condition"
	"signpost/oidc"
	"signpost/scopes"
)

// Way is how a token is asked for.
type Way string

// Ways of making a token.
const (
	Code     Way = "code"     // RFC 6749, section 4.1.3
	Refresh  Way = "refresh"  // RFC 6749, section 6
	Exchange Way = "exchange" // RFC 8693, section 2.1
	Device   Way = "device"   // RFC 8628, section 3.4
	// AppPassword makes a password for programs that know no OAuth: by exchange of a
	// Subject, or by the person at their own page without one (R21).
	AppPassword Way = "app-password"
)

// AccountPage is the id of the grant, and of its client, from which a person makes
// passwords at their own page: no sign-in with a program has it.
const AccountPage = "account-page"

// Request is everything that a decision depends on.
type Request struct {
	Way      Way
	Now      time.Time
	Tenant   string
	Issuer   string
	Domains  []string // the tenant's verified domains (R1)
	ClientID string   // who asks

	ClientKind       string                 // clients.Kind, for conditions
	ClientConditions []*condition.Condition // all must hold
	Claims           map[string]any         // what is known of person and sign-in, for conditions: see condition.Facts
	AuthTime         time.Time              // when the person signed in, as the identity provider says; zero if it did not
	BroadProfile     string                 // of tokens for the issuer; empty is ProfileRFC9068

	ClientBound bool   // the client registered that all its tokens are bound (RFC 9449, section 5.2)
	Key         string // thumbprint of the key that this request proved to hold; empty for none

	Account   Account
	Grant     Grant
	Subject   *Subject    // the token presented for exchange; nil otherwise
	Scope     *scopes.Set // what is asked for; nil if the request did not say
	Targets   []string    // every "resource" and "audience" of the request
	Services  []Service   // what the account has
	Catalogue *scopes.Catalogue
	TokenID   string // "jti" of the token to be made
}

// Account is whom the token is about.
type Account struct {
	ID       string // stable subject
	Username string // login name in broad tokens, an address; may be empty
	Vouched  bool   // a declared identity provider still speaks for the account
}

// Grant is the sign-in that the token comes from, as stored.
type Grant struct {
	ID        string
	Tenant    string
	AccountID string
	ClientID  string
	Scope     scopes.Set
	Resources []string // audiences named at /authorize; empty means whatever the scopes open
	Ended     bool
	Key       string // thumbprint of the key that its refresh tokens are bound to; empty for none
}

// Subject is a subject token whose signature was checked, or what it says.
type Subject struct {
	Issuer    string
	Subject   string
	Audience  []string
	Scope     scopes.Set
	ClientID  string
	GrantID   string
	ExpiresAt time.Time
	Key       string // "cnf": thumbprint of the key that it is bound to; empty for a bearer token
	Username  string // "preferred_username"; only Alive and AliveAppPassword look at it
}

// SubjectOf returns what a token says whose signature was checked. The error is
// scopes.ErrSyntax if its scope is malformed: then it is not one of ours.
func SubjectOf(c oidc.Claims) (*Subject, error) {
	scope, err := scopes.Parse(c.Scope)
	if err != nil {
		return nil, err
	}
	return &Subject{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, Scope: scope,
		ClientID: c.ClientID, GrantID: c.GrantID, ExpiresAt: c.ExpiresAt, Key: c.Key, Username: c.Username,
	}, nil
}

// Service is a possible target. Services that share an audience share their tokens: they are
// declared alike, and the first stands for all, but for conditions, which all have to hold.
type Service struct {
	Audience     string
	Hosts        []string // host names of its endpoints
	URL          string   // prefix of an HTTP service; empty for others
	Scopes       scopes.Set
	Profile      string
	Algorithm    string
	Lifetime     time.Duration // of exchanged tokens; zero means ExchangeLifetime
	InBroad      bool
	Username     string               // login name there; empty if there is none
	ID, Protocol string               // for conditions
	Condition    *condition.Condition // nil is none
	AppPasswords bool                 // it takes app passwords (R21)
	DPoP         string               // what it makes of bound tokens: "accepts", "requires", or anything else for nothing (R11)
}

// What a service makes of tokens that are bound to a key (R11).
const (
	dpopAccepts  = "accepts"
	dpopRequires = "requires"
)

// checksKey reports whether the service looks at the key that a token is bound to. Whatever
// it is declared to do, it cannot where its tokens do not say the key.
func (s *Service) checksKey() bool {
	return (s.DPoP == dpopAccepts || s.DPoP == dpopRequires) && carriesKey(s.Profile)
}

// carriesKey reports whether tokens of a profile have "cnf" (RFC 9449, section 6.1): Dovecot
// would take a bound one from anybody, and Cyrus's say nothing but a name.
func carriesKey(profile string) bool {
	return profile != oidc.ProfileDovecot && profile != oidc.ProfileCyrus
}

// takesKey reports whether the service takes a token that is bound to a key, or to none
// if that is empty. One that does not look at keys would take a stolen bound token as a
// bearer token, so a bound one is not for it.
func (s *Service) takesKey(key string) bool {
	if key == "" {
		return s.DPoP != dpopRequires
	}
	return s.checksKey()
}
