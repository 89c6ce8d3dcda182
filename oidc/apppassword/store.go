package apppassword

import (
	"context"
	"errors"
	"time"
)

// Errors of the Store.
var (
	// ErrNotFound means that there is no such app password, or no such account, in this
	// tenant. Answer exactly as for a wrong one.
	ErrNotFound = errors.New("apppassword: not found")
	// ErrTaken means that the tenant has a password with this selector. Make another one.
	ErrTaken = errors.New("apppassword: selector is taken")
	// ErrFull means that as many of the account live as may. Ask the person to end some.
	ErrFull = errors.New("apppassword: the account has as many as it may")
	// ErrEnded means that the sign-in or session has ended in which the password was to be made. Ask
	// the person to sign in again.
	ErrEnded = errors.New("apppassword: the sign-in has ended that it was to be made from")
)

// Kept is an app password as stored: never the password itself.
type Kept struct {
	ID        string
	Selector  string
	Hash      []byte // 32 bytes
	AccountID string
	GrantID   string   // the sign-in that it was made from; empty if the person made it at their own page
	ClientID  string   // the program that it was made with, or what stands for the person's own page
	Label     string   // what the person or the program calls it; may be empty
	Username  string   // login name that it was made for
	Audiences []string // of the services that take it
	Scopes    string   // what it opens, separated by spaces

	CreatedAt   time.Time
	LastUsedAt  time.Time // to the hour; zero if it was never used
	EndedAt     time.Time // zero while it lives
	EndedReason string    // "person", "administrator", or why its grant ended

	// AllowedAt is when the session began at the person's own page in which it is made. Only
	// KeepAppPassword looks at it, if there is no GrantID.
	AllowedAt time.Time

	// GrantEnded is why the grant ended that it was made from; empty while that lives, or if
	// there is none. The Store fills it in.
	GrantEnded string
}

// Lives reports whether a password counts by what is kept of it. It ends by itself and with its
// grant, but for one that ran out or was replaced: the person did not want anything to end then (R21).
func (k Kept) Lives() bool {
	return k.EndedAt.IsZero() && (k.GrantEnded == "" || OutlivesGrant(k.GrantEnded))
}

// OutlivesGrant reports whether an app password goes on when the grant ends, for such a reason, that it
// was made from.
func OutlivesGrant(reason string) bool { return reason == "expired" || reason == "replaced" }

// Store keeps app passwords. Every method takes the tenant first and sees nothing of another
// tenant. Times are kept to the second or finer, in UTC. Implemented by internal/store.
type Store interface {
	// KeepAppPassword writes a new one, of which the account may have at most so many that live.
	// ErrTaken if the tenant has its selector, ErrNotFound if there is no such account, ErrFull;
	// ErrEnded if its grant has ended or is not the account's or, without a grant, if everything of the account
	// was ended since k.AllowedAt.
	KeepAppPassword(ctx context.Context, tenant string, k Kept, most int) error
	// AppPassword returns the one with a selector, ended or not, or ErrNotFound.
	AppPassword(ctx context.Context, tenant, selector string) (Kept, error)
	// AppPasswords returns those of an account that have not ended themselves, newest first.
	AppPasswords(ctx context.Context, tenant, accountID string) ([]Kept, error)
	// EndAppPassword ends one of an account and reports whether it lived until then. Another
	// account's is like none.
	EndAppPassword(ctx context.Context, tenant, accountID, id, reason string, now time.Time) (ended bool, err error)
	// EndAppPasswords ends all of an account and returns how many lived until then.
	EndAppPasswords(ctx context.Context, tenant, accountID, reason string, now time.Time) (ended int, err error)
	// UseAppPassword notes that one was used now, unless it was noted at or after since.
	UseAppPassword(ctx context.Context, tenant, id string, now, since time.Time) error
}
