// Package audit has the words for what an owner wants to know afterwards: who
// signed in, which token was made or refused and by which rule; the Queue in
// which events wait until they are kept; and Query and Tail, by which they are found
// again. Logs are for operators and hold nothing personal; audit is for owners and
// names the account.
package audit

import (
	"context"
	"time"
)

// Kinds of events.
const (
	KindSignIn        = "sign-in"         // somebody came back from the identity provider
	KindSignInRefused = "sign-in-refused" // ... and was refused
	KindConsent       = "consent"         // somebody said yes or no
	KindToken         = "token"           // a token was made, or refused by the policy
	KindGrantEnded    = "grant-ended"
	KindAppPassword   = "app-password" // one was made, refused to a person or ended, or too many wrong ones were tried
	KindApplied       = "applied"      // the declared facts changed
	KindKeyRotated    = "key-rotated"  // a signing key was replaced
)

// Event is one thing that happened. Fields that do not apply are empty.
type Event struct {
	At          time.Time
	Kind        string
	Tenant      string
	Account     string // account ID
	Client      string // client ID
	Grant       string // grant ID
	Service     string // target audience
	Asked       string // scope that was asked for, as far as it has a name here; empty if the request did not say
	Scope       string // scope that was given; empty when refused
	Rule        string // the rule that decided
	Outcome     string // "allowed" or "refused"
	SubjectHash string // SHA-256 of the subject token without its signature, hex; never the token
	RequestID   string // joins event, log line and the error that the caller saw
}

// Outcomes.
const (
	Allowed = "allowed"
	Refused = "refused"
)

// Log takes events. An event that it cannot take is an error, and the action that the event
// describes must not go on.
//
// What nil promises differs. From internal/store it means that the event has reached the
// disk. From a Queue it means that the event is in the memory of this process and will
// be kept in its turn, however long the database is away; it is lost if the process is
// killed before (docs/decisions/0006-known-grants-and-audit-queue.md). Whoever
// needs the first, as what changes the declared facts does, takes the store itself.
type Log interface {
	Record(ctx context.Context, e Event) error
}

type requestIDKey struct{}

// WithRequestID puts the request's id into the context, so that events made on its
// behalf carry it.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that WithRequestID put there, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
