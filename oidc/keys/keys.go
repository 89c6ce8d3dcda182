// Package keys holds a tenant's signing keys and gives tokens their form: the
// profile that a resource server takes, as RFC 9068 has it or as Dovecot needs
// it. Access tokens and ID tokens have keys of their own, so that one is never
// taken for the other whatever its header says. Which claims a token carries
// is decided by oidc/policy; this package only writes and checks them.
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
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
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

// ring is what one tenant signs and checks with. It is not changed once made.
type ring struct {
	keys []*key
	jwks []byte
}

type key struct {
	id        string
	use       Use
	algorithm string
	signer    crypto.Signer
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

// wanted is what every tenant has: access tokens in ES256 and, for services that
// ask for it, in RS256; ID tokens in RS256, which is what OpenID clients expect (R8).
var wanted = [...]struct {
	use       Use
	algorithm string
}{{UseAccess, ES256}, {UseAccess, RS256}, {UseID, RS256}}

// Ensure loads a tenant's keys and makes the ones that it lacks. Replicas that
// call it at once end with the same keys.
func (k *Keys) Ensure(ctx context.Context, tenant string) error {
	r, err := k.load(ctx, tenant)
	if err != nil {
		return err
	}
	added := false
	for _, w := range wanted {
		if r.find(w.use, w.algorithm) != nil {
			continue
		}
		if err := k.add(ctx, tenant, w.use, w.algorithm); err != nil {
			return fmt.Errorf("make %s key %s for tenant %s: %w", w.use, w.algorithm, tenant, err)
		}
		added = true
	}
	if added {
		if r, err = k.load(ctx, tenant); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rings[tenant] = r
	return nil
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

func (k *Keys) add(ctx context.Context, tenant string, use Use, algorithm string) error {
	signer, err := k.generate(algorithm)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return err
	}
	id := newID()
	sealed, err := k.sealer.Seal(sealPurpose, der, associated(tenant, id, use, algorithm))
	if err != nil {
		return err
	}
	_, err = k.store.AddKey(ctx, tenant, Stored{ID: id, Use: use, Algorithm: algorithm, Sealed: sealed, CreatedAt: k.now()})
	return err
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
	r := &ring{}
	for _, s := range stored {
		der, err := k.sealer.Open(sealPurpose, s.Sealed, associated(tenant, s.ID, s.Use, s.Algorithm))
		if err != nil {
			return nil, fmt.Errorf("open key %s of tenant %s (was the secret key replaced?): %w", s.ID, tenant, err)
		}
		signer, err := parsePrivate(der, s.Algorithm)
		if err != nil {
			return nil, fmt.Errorf("parse key %s of tenant %s: %w", s.ID, tenant, err)
		}
		r.keys = append(r.keys, &key{id: s.ID, use: s.Use, algorithm: s.Algorithm, signer: signer})
	}
	r.jwks, err = r.publish()
	return r, err
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

// publish writes the JWK set: public halves only, every kind of key, each with
// its algorithm (RFC 7517, section 5).
func (r *ring) publish() ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range r.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.signer.Public(), KeyID: k.id, Algorithm: k.algorithm, Use: "sig"})
	}
	return json.Marshal(set)
}

// JWKS returns the tenant's public keys as a JWK set (RFC 7517, section 5), ready to be sent.
func (k *Keys) JWKS(tenant string) ([]byte, error) {
	r, err := k.ring(tenant)
	if err != nil {
		return nil, err
	}
	return r.jwks, nil
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

// find returns the newest key of a use and algorithm, or nil.
func (r *ring) find(use Use, algorithm string) *key {
	for i := len(r.keys) - 1; i >= 0; i-- {
		if k := r.keys[i]; k.use == use && k.algorithm == algorithm {
			return k
		}
	}
	return nil
}

// byID returns the key that a token's header names, or nil.
func (r *ring) byID(use Use, id string) *key {
	for _, k := range r.keys {
		if k.use == use && k.id == id {
			return k
		}
	}
	return nil
}
