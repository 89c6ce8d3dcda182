// Package seal encrypts what must not be read where it is kept: signing keys and
// client secrets in the database, successor refresh tokens, sign-ins in flight in
// the cache, what is inside the ids of registered clients. It is a thin layer over
// tink's XChaCha20-Poly1305 and AES-SIV and over HKDF-SHA-256 (RFC 5869); each
// purpose has a key of its own, derived from the server's, so that nothing sealed for
// one purpose opens as another.
package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
)

// KeySize is the length of a server key in bytes.
const KeySize = 32

// version is the first byte of everything sealed. Another algorithm gets another byte.
const version = 1

// ErrOpen means that something sealed cannot be opened: it was changed or cut
// short, or purpose, associated data, secret or server key differ from those it
// was sealed with. It never says which. Treat what comes from a cache as a
// miss; what comes from the database needs the old server key.
var ErrOpen = errors.New("seal: cannot be opened")

// Box seals and opens with the server's keys. It is safe for use by many goroutines.
type Box struct {
	keys [][]byte
}

// New makes a box of one or more server keys of KeySize random bytes. The first
// seals, all open: a new key is put in front and the old one stays behind it.
func New(keys ...[]byte) (*Box, error) {
	if len(keys) == 0 {
		return nil, errors.New("seal: no server key")
	}
	b := &Box{}
	for i, k := range keys {
		if len(k) != KeySize {
			return nil, fmt.Errorf("seal: server key %d has %d bytes, want %d", i+1, len(k), KeySize)
		}
		b.keys = append(b.keys, slices.Clone(k))
	}
	return b, nil
}

// Seal encrypts plaintext for a purpose, a constant name of the caller's. The
// associated data, for example the name of the row, is not kept but must be the
// same for Open. The result is 41 bytes longer than the plaintext.
func (b *Box) Seal(purpose string, plaintext, associated []byte) ([]byte, error) {
	return encrypt(b.keys[0], nil, "seal:"+purpose, plaintext, associated)
}

// Open returns what Seal encrypted for the same purpose and associated data, or ErrOpen.
func (b *Box) Open(purpose string, sealed, associated []byte) ([]byte, error) {
	return b.open(nil, "seal:"+purpose, sealed, associated)
}

// SealWith encrypts plaintext so that opening it needs the server key and the
// secret: neither the database nor the server alone can read it. The secret
// must be hard to guess, such as a token; it is not stretched like a password.
func (b *Box) SealWith(purpose string, secret, plaintext []byte) ([]byte, error) {
	salt, err := saltOf(secret)
	if err != nil {
		return nil, err
	}
	return encrypt(b.keys[0], salt, "seal-with:"+purpose, plaintext, nil)
}

// OpenWith returns what SealWith encrypted for the same purpose and secret, or ErrOpen.
func (b *Box) OpenWith(purpose string, secret, sealed []byte) ([]byte, error) {
	salt, err := saltOf(secret)
	if err != nil {
		return nil, err
	}
	return b.open(salt, "seal-with:"+purpose, sealed, nil)
}

// SealFor is SealWith with associated data, such as the name under which the
// result is kept: what was sealed for one place does not open in another.
func (b *Box) SealFor(purpose string, secret, plaintext, associated []byte) ([]byte, error) {
	salt, err := saltOf(secret)
	if err != nil {
		return nil, err
	}
	return encrypt(b.keys[0], salt, "seal-for:"+purpose, plaintext, associated)
}

// OpenFor returns what SealFor encrypted for the same purpose, secret and associated
// data, or ErrOpen.
func (b *Box) OpenFor(purpose string, secret, sealed, associated []byte) ([]byte, error) {
	salt, err := saltOf(secret)
	if err != nil {
		return nil, err
	}
	return b.open(salt, "seal-for:"+purpose, sealed, associated)
}

// Name returns 32 bytes that stand for data where others can read: HMAC-SHA-256
// under a key of the purpose. Only the first server key names, so a new one in
// front changes every name: what was kept under the old names is not found any
// more, and sign-ins in flight start again.
func (b *Box) Name(purpose string, data []byte) ([]byte, error) {
	return name(b.keys[0], purpose, data)
}

// Names returns what Name returns under each server key, the first one first: for what lasts, and
// has to be recognised after a new key was put in front, as long as the old one stays behind it.
func (b *Box) Names(purpose string, data []byte) ([][]byte, error) {
	names := make([][]byte, 0, len(b.keys))
	for _, key := range b.keys {
		n, err := name(key, purpose, data)
		if err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, nil
}

func name(serverKey []byte, purpose string, data []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, serverKey, nil, "name:"+purpose, KeySize)
	if err != nil {
		return nil, fmt.Errorf("seal: derive key: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(data) // never fails (go doc hash.Hash)
	return mac.Sum(nil), nil
}

// saltOf turns a secret of any length into the salt of RFC 5869, section 3.1.
// An empty secret would leave the server key alone, so it is refused.
func saltOf(secret []byte) ([]byte, error) {
	if len(secret) == 0 {
		return nil, errors.New("seal: empty secret")
	}
	sum := sha256.Sum256(secret)
	return sum[:], nil
}

func encrypt(key, salt []byte, info string, plaintext, associated []byte) ([]byte, error) {
	aead, err := derive(key, salt, info)
	if err != nil {
		return nil, err
	}
	ciphertext, err := aead.Encrypt(plaintext, associated)
	if err != nil {
		return nil, fmt.Errorf("seal: encrypt: %w", err)
	}
	return append([]byte{version}, ciphertext...), nil
}

func (b *Box) open(salt []byte, info string, sealed, associated []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != version {
		return nil, ErrOpen
	}
	for _, key := range b.keys {
		aead, err := derive(key, salt, info)
		if err != nil {
			return nil, err
		}
		if plaintext, err := aead.Decrypt(sealed[1:], associated); err == nil {
			return plaintext, nil
		}
	}
	return nil, ErrOpen
}

// derive makes the key of one purpose. Salt and info keep the ways of sealing apart.
func derive(key, salt []byte, info string) (*subtle.XChaCha20Poly1305, error) {
	derived, err := hkdf.Key(sha256.New, key, salt, info, KeySize)
	if err != nil {
		return nil, fmt.Errorf("seal: derive key: %w", err)
	}
	aead, err := subtle.NewXChaCha20Poly1305(derived)
	if err != nil {
		return nil, fmt.Errorf("seal: derive key: %w", err)
	}
	return aead, nil
}
