package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"
)

// SealSame is Seal, but the same plaintext for the same purpose with the same
// associated data gives the same result, until a new server key is put in front:
// AES-SIV (RFC 5297, section 2). So whoever sees two results sees whether they are the same, and
// nothing else. The result is 17 bytes longer than the plaintext.
func (b *Box) SealSame(purpose string, plaintext, associated []byte) ([]byte, error) {
	siv, err := deriveSame(b.keys[0], purpose)
	if err != nil {
		return nil, err
	}
	ciphertext, err := siv.EncryptDeterministically(plaintext, associated)
	if err != nil {
		return nil, fmt.Errorf("seal: encrypt: %w", err)
	}
	return append([]byte{version}, ciphertext...), nil
}

// OpenSame returns what SealSame encrypted for the same purpose and associated
// data, or ErrOpen.
func (b *Box) OpenSame(purpose string, sealed, associated []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != version {
		return nil, ErrOpen
	}
	for _, key := range b.keys {
		siv, err := deriveSame(key, purpose)
		if err != nil {
			return nil, err
		}
		if plaintext, err := siv.DecryptDeterministically(sealed[1:], associated); err == nil {
			return plaintext, nil
		}
	}
	return nil, ErrOpen
}

// deriveSame makes the key of one purpose, which is as long as two: AES-SIV
// authenticates with the one half and encrypts with the other.
func deriveSame(key []byte, purpose string) (*subtle.AESSIV, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, "seal-same:"+purpose, subtle.AESSIVKeySize)
	if err != nil {
		return nil, fmt.Errorf("seal: derive key: %w", err)
	}
	siv, err := subtle.NewAESSIV(derived)
	if err != nil {
		return nil, fmt.Errorf("seal: derive key: %w", err)
	}
	return siv, nil
}
