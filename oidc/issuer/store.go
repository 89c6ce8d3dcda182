package issuer

import (
	"context"
	"errors"
	"time"
)

// Errors of the Store.
var (
	// ErrNotFound means that there is no such account, grant or refresh token in
	// this tenant. Answer exactly as for one that is forbidden.
	ErrNotFound = errors.New("issuer: not found")
	// ErrTaken means that an address or login name belongs to another account of
	// the tenant (R1). Refuse the sign-in, audit it, change nothing.
	ErrTaken = errors.New("issuer: address or login name belongs to another account")
	// ErrUnvouched means that what the tenant declares changed while the person signed
	// in, and the identity provider's word counts no more. Ask to start again.
	ErrUnvouched = errors.New("issuer: no identity provider speaks for this name")
	// ErrReplayed means that the code was redeemed before. The first grant has
	// been ended (RFC 6749, section 4.1.2). Answer invalid_grant.
	ErrReplayed = errors.New("issuer: code was redeemed before")
	// ErrReused means that a refresh token came back after its successor was
	// used, too late or too often; its grant has been ended (R18). Answer invalid_grant.
	ErrReused = errors.New("issuer: refresh token was used before")
	// ErrEnded means that the grant has ended, or that everything of the person was ended after they
	// allowed it. Answer invalid_grant.
	ErrEnded = errors.New("issuer: grant has ended")
)

// Account is a person at a tenant, made at the first sign-in. Its key is
// (tenant, upstream issuer, upstream subject) (R1).
type Account struct {
	ID              string // stable subject: "sub" of our tokens, 22 characters
	UpstreamIssuer  string
	UpstreamSubject string
	Addresses       []string       // primary first
	Login           string         // login name at the identity provider; may be empty
	Name            string         // display name; may be empty
	Claims          map[string]any // of the last sign-in, for conditions: see oidc.Person
	CreatedAt       time.Time
	LastSignInAt    time.Time

	// EndedBefore is when everything of the person was ended last; zero if it never was. Only the
	// Store sets it.
	EndedBefore time.Time

	joined *joined // what Known's readers have made of it; nil elsewhere
}

// EndedSince reports whether everything of the person was ended at a moment or after it, so that what
// they began then counts no more. What is stored has whole milliseconds.
func (a Account) EndedSince(moment time.Time) bool {
	return !a.EndedBefore.IsZero() && !moment.Truncate(time.Millisecond).After(a.EndedBefore)
}

// Grant is one person's sign-in with one client. Ending it ends everything made from it.
type Grant struct {
	ID          string // 11 characters; in tokens as "grant"
	AccountID   string
	ClientID    string
	Scopes      string   // granted, space-separated
	Resources   []string // audiences named at /authorize; empty means whatever the scopes open (R4)
	OriginHash  []byte   // SHA-256 of the code that made it: unique in the installation (R19)
	CreatedAt   time.Time
	LastUsedAt  time.Time
	EndedAt     time.Time // zero while it lives
	EndedReason string    // "replay", "reuse", "revoked", ...

	AuthTime time.Time // when the identity provider says the person signed in; zero if it did not say
	ACR      string    // as the identity provider gave it
	AMR      []string  // as the identity provider gave it
	Key      string    // thumbprint of the DPoP key its refresh tokens are bound to; empty for none

	// AllowedAt is when the person came from the identity provider to allow it. Only CreateGrant looks
	// at it.
	AllowedAt time.Time

	// Registration is what a registered client's id says, to be kept with the first
	// grant (R14); nil for others. Only CreateGrant looks at it.
	Registration []byte
}

// Refresh is a refresh token as stored: never the token itself.
type Refresh struct {
	Hash      []byte // SHA-256 of the token
	GrantID   string
	CreatedAt time.Time
	UsedAt    time.Time // first use; zero while unused
	Grant     Grant     // filled in by Store.Refresh
}

// Rotation says how a presented refresh token is replaced (R18).
type Rotation struct {
	Presented []byte // SHA-256 of the token that was presented
	Successor []byte // SHA-256 of the token that shall replace it
	Sealed    []byte // the successor, sealed under the server key and the presented token
	Now       time.Time
	Window    time.Duration // how long after the first use a repetition is answered: 30 s
	Repeats   int           // how often at most: 10
}

// Store keeps accounts, grants and refresh families. Every method takes the
// tenant first and sees nothing of another tenant. Times are kept to the
// second or finer, in UTC. Implemented by internal/store.
type Store interface {
	// SaveAccount finds the account of (UpstreamIssuer, UpstreamSubject), or makes
	// it with a.ID, and updates addresses, login, name and last sign-in. It returns
	// the account as stored. ErrTaken if an address or the login name (compared
	// without case) belongs to another account of the tenant, ErrUnvouched if no
	// declared identity provider with this issuer speaks for one of them; then nothing
	// is written. Another account for which none speaks any more does not keep a name
	// from this one: it loses its names, and its grants end with reason "replaced".
	SaveAccount(ctx context.Context, tenant string, a Account) (Account, error)
	// Account returns an account by its ID, or ErrNotFound.
	Account(ctx context.Context, tenant, id string) (Account, error)

	// AccountOf returns the account of a person at an identity provider, or ErrNotFound.
	AccountOf(ctx context.Context, tenant, upstreamIssuer, upstreamSubject string) (Account, error)
	// AccountByName returns the account that holds an address or login name, in
	// whatever case, or ErrNotFound.
	AccountByName(ctx context.Context, tenant, name string) (Account, error)

	// Consent returns the scopes that an account allowed a client and that are
	// remembered (R12), or ErrNotFound.
	Consent(ctx context.Context, tenant, accountID, clientID string) (granted string, err error)
	// KeepConsent remembers them in the place of what was remembered before. ErrNotFound
	// if there is no such account.
	KeepConsent(ctx context.Context, tenant, accountID, clientID, granted string, now time.Time) error
	// ForgetConsent drops what is remembered of one client or, with an empty clientID, of
	// all. That nothing is remembered is no error.
	ForgetConsent(ctx context.Context, tenant, accountID, clientID string) error

	// CreateGrant writes a grant and, unless refresh is nil, the first refresh token
	// (its hash), in one transaction. With g.Registration it keeps that too, under
	// SHA-256 of g.ClientID, unless there is one already. ErrEnded if everything of the account was
	// ended since g.AllowedAt: then nothing is written. If OriginHash is known already, the grant
	// that it made is ended with reason "replay" and ErrReplayed is returned.
	CreateGrant(ctx context.Context, tenant string, g Grant, refresh []byte) error
	// EndReplayed ends the grant that the code with this hash made at since or later,
	// with reason "replay", and reports whether it ended one that lived. Later
	// than a code lives its rightful owner does not come with it any more.
	EndReplayed(ctx context.Context, tenant string, originHash []byte, since, now time.Time) (bool, error)
	// Grant returns a grant, ended or not, or ErrNotFound.
	Grant(ctx context.Context, tenant, id string) (Grant, error)
	// Grants returns an account's grants that live, newest first.
	Grants(ctx context.Context, tenant, accountID string) ([]Grant, error)
	// EndGrant ends a grant; ending an ended one changes nothing. ErrNotFound if there is none. App
	// passwords that were made from it end with it unless apppassword.OutlivesGrant says
	// otherwise of the reason, as everywhere where a grant ends.
	EndGrant(ctx context.Context, tenant, id, reason string, now time.Time) error
	// EndGrants ends an account's grants that live, those of one client or, with an empty
	// clientID, of all, and returns how many there were. The end of all is kept with the account: what
	// the person began before makes no grants and no app passwords after it. The feed tells of them
	// together. ErrNotFound if there is no such account.
	EndGrants(ctx context.Context, tenant, accountID, clientID, reason string, now time.Time) (ended int, err error)

	// Refresh returns a refresh token with its grant, or ErrNotFound. It changes nothing.
	Refresh(ctx context.Context, tenant string, hash []byte) (Refresh, error)
	// Rotate replaces a refresh token, in one transaction, so that of two requests
	// only one makes a successor. The first use stores r.Successor and r.Sealed and
	// returns r.Sealed. A repetition within r.Window of the first use, at most
	// r.Repeats times and while the successor is unused, returns what was sealed
	// the first time. Anything else ends the grant with reason "reuse" and returns
	// ErrReused. ErrEnded if the grant has ended, ErrNotFound if there is no such token.
	// It also sets the grant's last use.
	Rotate(ctx context.Context, tenant string, r Rotation) (sealed []byte, err error)
}
