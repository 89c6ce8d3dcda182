// Package issuer is the authorization server: it checks authorization requests,
// keeps sign-ins in flight, makes accounts and grants, and runs the token
// endpoint (RFC 6749, RFC 7636, RFC 8252, RFC 8628, RFC 8707, RFC 9207, and the profile of
// draft-ietf-mailmaint-oauth-public). Each grant type is a Grant; the token
// endpoint owns what they share, in one order that none can skip. Whether a token
// may be made is oidc/policy's decision alone.
package issuer

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/apppassword"
	"signpost/oidc/clients"
	"signpost/oidc/dpop"
	"signpost/oidc/keys"
	"signpost/oidc/tokens"
)

// Lifetimes of what is in flight.
const (
	// CodeTTL is exactly ten minutes: the most that RFC 6749, section 4.1.2
	// recommends and the least that draft-ietf-mailmaint-oauth-public allows.
	CodeTTL = 10 * time.Minute
	// signInTTL is how long a person may take at the identity provider.
	signInTTL = 30 * time.Minute
	// consentTTL is how long a person may look at the consent page.
	consentTTL = 15 * time.Minute
)

// Cache is what the issuer needs of a cache: everything in it may be lost.
// Implemented by internal/cache.
type Cache interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Delete(ctx context.Context, key string) error
	Take(ctx context.Context, key string) (value []byte, found bool, err error)
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (won bool, err error)
}

// Limits counts events. Implemented by internal/cache.
type Limits interface {
	Allow(ctx context.Context, key string, limit int, span time.Duration) (ok bool, wait time.Duration, err error)
}

// Sealer seals a refresh token's successor so that only who presents the
// predecessor to this server can open it. Implemented by internal/seal.
type Sealer interface {
	SealWith(purpose string, secret, plaintext []byte) ([]byte, error)
	OpenWith(purpose string, secret, sealed []byte) ([]byte, error)
}

// Issuer is the authorization server of all tenants. Fill in every field, then
// Register the grant types that live in other packages.
type Issuer struct {
	Store   Store
	Known   *Known         // for Holder, over the same Store; nil reads every grant from SQL
	Cache   Cache          // consents and codes, which only people who have signed in can fill
	Begun   Cache          // sign-ins in flight, which strangers can fill: apart, so that they push out nobody else
	Keys    *keys.Keys     // of ID tokens, hints and signed answers
	Tokens  *tokens.Tokens // access tokens
	Clients *clients.Clients
	// AppPasswords keeps and finds them; the issuer says what they are worth (R21).
	AppPasswords *apppassword.Passwords
	Proofs       *dpop.Checker // of possession of keys (RFC 9449, section 4)
	Limits       Limits
	Sealer       Sealer
	Audit        audit.Log
	Now          func() time.Time

	grants map[string]Grantor
}

// secret returns 256 random bits behind a prefix that tells kinds of secrets
// apart for people and for scanners of leaked ones.
func secret(prefix string) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// shortID returns 64 random bits in 11 characters (R9).
func shortID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see secret
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// isShortID reports whether something looks like what shortID returns. What does not is nobody's, and not
// for a database to read: PostgreSQL takes no text that is not UTF-8.
func isShortID(s string) bool { return len(s) == 11 && strings.Trim(s, base64url) == "" }

// subjectID returns 128 random bits in 22 characters.
func subjectID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see secret
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// digest is the form in which secrets are stored and looked up. They are long and
// random, so a fast hash is enough.
func digest(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// cacheKey names an entry by kind, tenant and the digest of its secret: reading
// the cache's keys redeems nothing, and no tenant reaches another's entries.
func cacheKey(kind, tenant, secret string) string {
	return kind + ":1:" + tenant + ":" + base64.RawURLEncoding.EncodeToString(digest(secret))
}

// put keeps a value as JSON, which is not made for a page: escaping "<" would let a
// stranger's request grow sixfold.
func put(ctx context.Context, c Cache, key string, v any, ttl time.Duration) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	return c.Set(ctx, key, b.Bytes(), ttl)
}

// busy is the answer when cache or store do not: try again, nothing has ended.
func busy(doing string, err error) *oidc.Error {
	return oidc.E(oidc.CodeTemporarilyUnavailable, "the service cannot answer just now; try again in a moment").
		Because(fmt.Errorf("%s: %w", doing, err))
}
