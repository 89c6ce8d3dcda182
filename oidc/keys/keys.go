// Package keys holds a tenant's signing keys and gives tokens their form: the
// profile that a resource server takes, as RFC 9068 has it, as Dovecot needs it or
// as the tenant declares. Access tokens and ID tokens have keys of their own, so that one is never
// taken for the other whatever its header says. Keys are replaced with overlap: the
// next one is published before it signs, the one before it until nothing that it
// signed is good any more. Which claims a token carries is decided by oidc/policy;
// this package only writes and checks them.
package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Algorithms that Signpost signs with (RFC 7518, section 3.1).
const (
	ES256 = "ES256"
	RS256 = "RS256"
)

// sealPurpose separates sealed signing keys from everything else that is sealed.
const sealPurpose = "signing-key"

// ErrNoKey means that a tenant has no key of that use and algorithm: Ensure was
// not called for it. Answer server_error.
var ErrNoKey = errors.New("keys: no such signing key")

// Sealer seals private keys at rest. Implemented by internal/seal.
type Sealer interface {
	Seal(purpose string, plaintext, associated []byte) ([]byte, error)
	Open(purpose string, sealed, associated []byte) ([]byte, error)
}

// Keys signs and checks tokens with the keys of every tenant. Make one with New;
// its methods are safe for use by many goroutines.
type Keys struct {
	store    Store
	sealer   Sealer
	now      func() time.Time
	generate func(algorithm string) (crypto.Signer, error)

	mu    sync.RWMutex
	rings map[string]*ring // by tenant
}

// New makes an empty set of keys over a store. Generate may be nil: then fresh
// P-256 and RSA-2048 keys are made when a tenant has none.
func New(store Store, sealer Sealer, now func() time.Time, generate func(algorithm string) (crypto.Signer, error)) *Keys {
	if generate == nil {
		generate = Generate
	}
	return &Keys{store: store, sealer: sealer, now: now, generate: generate, rings: map[string]*ring{}}
}

// Generate makes a private key for an algorithm.
func Generate(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("keys: no algorithm %q", algorithm)
}

// Line names keys that follow one another: those of one use and algorithm.
type Line struct {
	Use       Use
	Algorithm string
}

// Lines are what every tenant has: access tokens in ES256 and, for services that
// ask for it, in RS256; ID tokens in RS256, which is what OpenID clients expect,
// and in ES256 for those that registered it (R8); signed answers to resource
// servers in ES256.
func Lines() []Line {
	return []Line{{UseAccess, ES256}, {UseAccess, RS256}, {UseID, RS256}, {UseID, ES256}, {UseIntrospection, ES256}}
}

// Ensure loads a tenant's keys and makes the lines that it lacks: those of Lines, and one
// for each server, named by its audience, that takes tokens by a key of its own
// (oidc.Profile.LoginSubject). Replicas that call it at once end with the same keys; one that
// calls it after a rotation elsewhere knows what that one made. Keys of servers that are not
// named any more stay.
func (k *Keys) Ensure(ctx context.Context, tenant string, servers ...string) error {
	r, err := k.load(ctx, tenant)
	if err != nil {
		return err
	}
	added := false
	wanted := Lines()
	for _, audience := range servers {
		wanted = append(wanted, Line{UseServer(audience), RS256})
	}
	for _, l := range wanted {
		if r.has(l) {
			continue
		}
		if err := k.add(ctx, tenant, l); err != nil {
			return fmt.Errorf("make %s key %s for tenant %s: %w", l.Use, l.Algorithm, tenant, err)
		}
		added = true
	}
	if added {
		if r, err = k.load(ctx, tenant); err != nil {
			return err
		}
	}
	k.keep(tenant, r)
	return nil
}

// Load loads a tenant's keys and makes none: for those who look on beside a running service.
func (k *Keys) Load(ctx context.Context, tenant string) error {
	r, err := k.load(ctx, tenant)
	if err != nil {
		return err
	}
	k.keep(tenant, r)
	return nil
}

func (k *Keys) keep(tenant string, r *ring) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rings[tenant] = r
}

// Count returns how many keys of all tenants are known here, those that do not sign
// any more included. Keys are never taken out of the store one by one, so where the
// store has another number, somebody rotated or added some since Ensure.
func (k *Keys) Count() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	n := 0
	for _, r := range k.rings {
		n += len(r.keys)
	}
	return n
}

// Forget drops the keys of tenants that are no longer served.
func (k *Keys) Forget(served func(tenant string) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for tenant := range k.rings {
		if !served(tenant) {
			delete(k.rings, tenant)
		}
	}
}

func (k *Keys) add(ctx context.Context, tenant string, l Line) error {
	made, err := k.create(tenant, l, k.now())
	if err != nil {
		return err
	}
	_, err = k.store.AddKey(ctx, tenant, made)
	return err
}

// create makes a key that signs from now on.
func (k *Keys) create(tenant string, l Line, now time.Time) (Stored, error) {
	signer, err := k.generate(l.Algorithm)
	if err != nil {
		return Stored{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return Stored{}, err
	}
	id := newID()
	sealed, err := k.sealer.Seal(sealPurpose, der, associated(tenant, id, l.Use, l.Algorithm))
	if err != nil {
		return Stored{}, err
	}
	return Stored{ID: id, Use: l.Use, Algorithm: l.Algorithm, Sealed: sealed, CreatedAt: now, SignsFrom: now}, nil
}

// newID returns 64 random bits in 11 characters, the most that fits the line of
// a SASL exchange (R9).
func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// associated binds a sealed key to its place and its use, so that a row copied to
// another tenant or relabelled does not open.
func associated(tenant, id string, use Use, algorithm string) []byte {
	return []byte(tenant + "/" + id + "/" + string(use) + "/" + algorithm)
}

func (k *Keys) load(ctx context.Context, tenant string) (*ring, error) {
	stored, err := k.store.Keys(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("load keys of tenant %s: %w", tenant, err)
	}
	before, _ := k.ring(tenant)
	r := ringOf(stored)
	for _, key := range r.keys {
		if key.Compromised {
			continue // it neither signs nor checks anything
		}
		if key.signer, err = k.open(tenant, before, key.Stored); err != nil {
			return nil, err
		}
		if key.headers, err = headers(key.Stored); err != nil {
			return nil, fmt.Errorf("write headers of key %s of tenant %s: %w", key.ID, tenant, err)
		}
	}
	if r.sets, err = r.publish(k.now()); err != nil {
		return nil, fmt.Errorf("write the JWK set of tenant %s: %w", tenant, err)
	}
	return r, nil
}

// open returns the private key of a row. One that is open already stays so: parsing takes a
// while for many tenants.
func (k *Keys) open(tenant string, before *ring, row Stored) (crypto.Signer, error) {
	if signer := before.opened(row); signer != nil {
		return signer, nil
	}
	der, err := k.sealer.Open(sealPurpose, row.Sealed, associated(tenant, row.ID, row.Use, row.Algorithm))
	if err != nil {
		return nil, fmt.Errorf("open key %s of tenant %s (was the secret key replaced?): %w", row.ID, tenant, err)
	}
	signer, err := parsePrivate(der, row.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("parse key %s of tenant %s: %w", row.ID, tenant, err)
	}
	return signer, nil
}

func parsePrivate(der []byte, algorithm string) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	switch p := parsed.(type) {
	case *ecdsa.PrivateKey:
		if algorithm == ES256 && p.Curve == elliptic.P256() {
			return p, nil
		}
	case *rsa.PrivateKey:
		if algorithm == RS256 {
			return p, nil
		}
	}
	return nil, fmt.Errorf("keys: not a private key for %s", algorithm)
}

// JWKS returns the tenant's public keys of this moment as a JWK set (RFC 7517,
// section 5), ready to be sent. Let nobody keep it longer than Lead.
func (k *Keys) JWKS(tenant string) ([]byte, error) {
	r, err := k.ring(tenant)
	if err != nil {
		return nil, err
	}
	return r.published(k.now()).body, nil
}

// Edition stands for the keys of a tenant that count at a moment. It is comparable: as
// long as it stays the same, what Verify took it takes again until it expires.
type Edition struct{ of *set }

// Edition returns that of a moment: another one after each key that was added, replaced
// or taken out. ErrNoKey for a tenant without keys.
func (k *Keys) Edition(tenant string, now time.Time) (Edition, error) {
	r, err := k.ring(tenant)
	if err != nil {
		return Edition{}, err
	}
	return Edition{r.published(now)}, nil
}

func (k *Keys) ring(tenant string) (*ring, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	r, ok := k.rings[tenant]
	if !ok {
		return nil, fmt.Errorf("tenant %s: %w", tenant, ErrNoKey)
	}
	return r, nil
}
