package store_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"testing"

	"signpost/directory"
	"signpost/internal/store"
)

// withKey opens the database with a key of its own.
func withKey(t *testing.T, path string, key byte) *store.Store {
	t.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatalf("make a cipher: %v", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatalf("make a sealer: %v", err)
	}
	s, err := store.OpenSQLite(t.Context(), path, sealer{aead})
	if err != nil {
		t.Fatalf("OpenSQLite: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// TestCheckKeyRefusesAnotherKey: a sealed database by its key check, an older one by
// its client secrets. An empty one has nothing to judge by.
func TestCheckKeyRefusesAnotherKey(t *testing.T) {
	t.Parallel()
	s, path := migrated(t) // its key is 32 times 0
	other := withKey(t, path, 1)
	if err := other.CheckKey(t.Context()); err != nil {
		t.Errorf("CheckKey of an empty database = %v, want nil", err)
	}
	tenant := directory.Tenant{Name: "example", Placement: directory.PlacementBase, IdentityProviders: []directory.IdentityProvider{
		{Name: "public"}, {Name: "staff", ClientSecret: "very-secret"},
	}}
	if _, err := s.SaveTenants(t.Context(), 0, []directory.Tenant{tenant}, nil); err != nil {
		t.Fatalf("SaveTenants: %v", err)
	}
	if err := other.CheckKey(t.Context()); !errors.Is(err, store.ErrKey) {
		t.Errorf("CheckKey with another key than the client secrets' = %v, want ErrKey", err)
	}
	if err := s.KeepKey(t.Context()); err != nil {
		t.Fatalf("KeepKey: %v", err)
	}
	exec(t, path, `DELETE FROM identity_providers`)
	if err := other.KeepKey(t.Context()); err != nil {
		t.Fatalf("KeepKey with another key: %v", err)
	}
	if err := other.CheckKey(t.Context()); !errors.Is(err, store.ErrKey) {
		t.Errorf("CheckKey of a sealed database with another key = %v, want ErrKey", err)
	}
	if err := s.CheckKey(t.Context()); err != nil {
		t.Errorf("CheckKey with the right key = %v, want nil", err)
	}
}
