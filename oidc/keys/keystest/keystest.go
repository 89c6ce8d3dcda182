// Package keystest makes signing keys for tests without making each one anew: RSA
// keys take most of the time of a test that starts a server. Only tests import it.
package keystest

import (
	"crypto"
	"sync"
	"sync/atomic"

	"signpost/oidc/keys"
)

// shared is how many RSA keys one server gets before fresh ones are made: enough
// for two tenants with access and ID tokens, and some more.
const shared = 8

var pool = sync.OnceValues(func() ([]crypto.Signer, error) {
	var made []crypto.Signer
	for range shared {
		key, err := keys.Generate(keys.RS256)
		if err != nil {
			return nil, err
		}
		made = append(made, key)
	}
	return made, nil
})

// Generator returns a generator for one server. Servers share RSA keys with one
// another; none has the same key twice, because kinds of tokens are told apart by key.
func Generator() func(algorithm string) (crypto.Signer, error) {
	var used atomic.Int64
	return func(algorithm string) (crypto.Signer, error) {
		if algorithm != keys.RS256 {
			return keys.Generate(algorithm)
		}
		next := used.Add(1) - 1
		if next >= shared {
			return keys.Generate(algorithm)
		}
		made, err := pool()
		if err != nil {
			return nil, err
		}
		return made[next], nil
	}
}
