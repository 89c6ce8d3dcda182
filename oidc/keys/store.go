package keys

import (
	"context"
	"time"
)

// Use says for what a key signs. Kinds of tokens are told apart by it (R7).
type Use string

// Uses of a key.
const (
	UseAccess Use = "access" // access tokens
	UseID     Use = "id"     // ID tokens
)

// Stored is a signing key as the store keeps it.
type Stored struct {
	ID        string // "kid", at most 11 characters
	Use       Use
	Algorithm string // "ES256" or "RS256"
	Sealed    []byte // private key, PKCS #8, sealed
	CreatedAt time.Time
}

// Store keeps signing keys. Implemented by internal/store.
type Store interface {
	// Keys returns a tenant's keys, oldest first; none is an empty slice.
	Keys(ctx context.Context, tenant string) ([]Stored, error)
	// AddKey keeps a key unless the tenant has one of the same use and algorithm
	// already, and reports whether it was kept: replicas that start together
	// agree on the first. It raises the revision.
	AddKey(ctx context.Context, tenant string, k Stored) (bool, error)
}
