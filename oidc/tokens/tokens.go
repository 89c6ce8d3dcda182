// Package tokens makes access tokens in the form that a service takes them and checks those
// that come back: JWTs by oidc/keys, and opaque ones, which are kept in the cache under what only
// the token itself opens. What was checked a moment ago is remembered for as long as it stays
// true, and what was made for an exchange is handed out again while half of its life is left.
// Only what a token says is remembered, never a decision: whether it may still do anything is
// asked anew each time (R26).
package tokens

import (
	"context"
	"errors"
	"strings"
	"time"

	"signpost/oidc"
	"signpost/oidc/keys"
)

// ErrUnavailable means that nobody can tell just now what an opaque token is. Answer
// temporarily_unavailable; it says nothing against the token.
var ErrUnavailable = errors.New("tokens: opaque tokens cannot be looked up")

// Cache is what is kept for all replicas. Implemented by internal/cache.
type Cache interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
}

// Sealer seals what is kept so that only who presents the token can open it (R25).
// Implemented by internal/seal.
type Sealer interface {
	SealWith(purpose string, secret, plaintext []byte) ([]byte, error)
	OpenWith(purpose string, secret, sealed []byte) ([]byte, error)
}

// Tokens makes and checks access tokens. Make one with New; it is safe for use by many goroutines.
type Tokens struct {
	keys   *keys.Keys
	cache  Cache
	sealer Sealer
	now    func() time.Time

	verified *recent[verifiedKey, verified]
	minted   *recent[mintedKey, minted]
}

// New makes Tokens that remember nothing yet. The cache is that of all replicas, or memory where
// there is one process.
func New(k *keys.Keys, cache Cache, sealer Sealer, now func() time.Time) *Tokens {
	return &Tokens{
		keys: k, cache: cache, sealer: sealer, now: now,
		verified: newRecent[verifiedKey, verified](atMost),
		minted:   newRecent[mintedKey, minted](atMost),
	}
}

// Made is a token that was made, perhaps a moment ago.
type Made struct {
	Token     string
	ExpiresAt time.Time // of this token: not later than the claims that were asked for
	Again     bool      // it was made for an earlier request
}

// Make makes a token in a profile. The errors are those of keys.Keys.Sign, and ErrUnavailable.
func (t *Tokens) Make(ctx context.Context, tenant string, p oidc.Profile, algorithm string, c oidc.Claims) (Made, error) {
	var token string
	var err error
	if p.Opaque {
		token, err = t.makeOpaque(ctx, tenant, c)
	} else {
		token, err = t.keys.Sign(tenant, p, algorithm, c)
	}
	if err != nil {
		return Made{}, err
	}
	return Made{Token: token, ExpiresAt: c.ExpiresAt}, nil
}

// Verify returns the claims of an access token that this tenant made, in whatever profile but
// Cyrus's, and that has not expired: keys.ErrInvalid, keys.ErrExpired, keys.ErrNoKey,
// ErrUnavailable. With keys.ErrExpired come the claims of a genuine token that is over, for the record
// alone. The claims are the caller's to change.
func (t *Tokens) Verify(ctx context.Context, tenant, issuer, token string) (oidc.Claims, error) {
	// Asked before the check: keys that change meanwhile make what is remembered useless.
	now := t.now()
	edition, err := t.keys.Edition(tenant, now)
	if err != nil {
		return oidc.Claims{}, err
	}
	key := verifiedKeyOf(tenant, token)
	if c, ok := t.recall(key, edition, issuer, now); ok {
		return c, nil
	}
	var c oidc.Claims
	if strings.HasPrefix(token, opaquePrefix) {
		c, err = t.lookUp(ctx, tenant, issuer, token)
	} else {
		c, err = t.keys.Verify(tenant, issuer, token)
	}
	if errors.Is(err, keys.ErrExpired) {
		return c, err
	}
	if err != nil {
		return oidc.Claims{}, err
	}
	t.remember(key, edition, c, now)
	return c, nil
}
