package keys

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Use says for what a key signs. Kinds of tokens are told apart by it (R7).
type Use string

// Uses of a key.
const (
	UseAccess Use = "access" // access tokens
	UseID     Use = "id"     // ID tokens
	// UseIntrospection is for signed answers to resource servers (RFC 9701, section 5).
	UseIntrospection Use = "introspection"
)

// serverUse begins the use of a key that signs access tokens for one server alone.
const serverUse = "server:"

// UseServer is the use of a key that signs access tokens for the server with this
// audience alone. The server takes whatever the key signs, so it is its own: never
// in the JWK set, and Signpost takes nothing that it signed (R10).
func UseServer(audience string) Use { return Use(serverUse + audience) }

// Server returns the audience of a key for one server, and whether it is one.
func (u Use) Server() (audience string, ok bool) { return strings.CutPrefix(string(u), serverUse) }

// Stored is a signing key as the store keeps it.
type Stored struct {
	ID        string // "kid", at most 11 characters
	Use       Use
	Algorithm string // "ES256" or "RS256"
	Sealed    []byte // private key, PKCS #8, sealed
	CreatedAt time.Time

	SignsFrom   time.Time // it is published before it signs, so that everybody knows it
	RemovedAt   time.Time // from when on it is not published any more; zero while nothing is known of it
	Successor   string    // id of the key that took its place; empty for the head of its line
	Compromised bool      // nothing that it signed counts any more
}

// ErrReplaced means that another process has replaced the key meanwhile. Load again.
var ErrReplaced = errors.New("keys: key was replaced meanwhile")

// Replacement puts a new key in the place of one that heads its line: same tenant,
// same use, same algorithm.
type Replacement struct {
	Head        string    // id of the key to be replaced
	Next        Stored    // the new one
	RemovedAt   time.Time // from when on the replaced one is not published any more
	Compromised bool      // the replaced one and all before it in its line: RemovedAt and Compromised are set on each
}

// Store keeps signing keys. Implemented by internal/store.
type Store interface {
	// Keys returns a tenant's keys, oldest first; none is an empty slice.
	Keys(ctx context.Context, tenant string) ([]Stored, error)
	// AddKey keeps a key unless the tenant has a line of the same use and algorithm
	// already, and reports whether it was kept: replicas that start together
	// agree on the first. It raises the revision.
	AddKey(ctx context.Context, tenant string, k Stored) (bool, error)
	// ReplaceKey does so in one transaction and raises the revision. ErrReplaced if
	// Head does not head its line any more.
	ReplaceKey(ctx context.Context, tenant string, r Replacement) error
}
