package clients

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// Bounds of keys.
const (
	maxKeys  = 8         // in a set that a stranger wrote
	maxTried = 2         // for one assertion: more keys of a kind need names
	minRSA   = 2048      // bits: fewer are not safe (RFC 7518, section 3.3)
	maxRSA   = 4096      // bits: more are only slow
	maxE     = 1<<16 + 1 // of RSA: in use are 3 and 65537, and what is larger is only slow
)

// secretMembers are those of private and symmetric keys (RFC 7518, section 6); "priv" is
// that of algorithm key pairs, which came later.
var secretMembers = [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// publicKeys reports whether raw, which a stranger wrote, is a JWK set of public keys: at
// least one that is known here, and not too many.
func publicKeys(raw []byte) bool {
	return len(keysIn(raw)) <= maxKeys && len(keysOf(raw)) > 0
}

// keysOf reads a JWK set and leaves out keys of kinds that are not known here (RFC 7517, section 5).
// A set with a secret in it is refused whole, and before its keys are parsed: a private RSA
// key would be checked at length, and who publishes one has lost it.
func keysOf(raw []byte) []jose.JSONWebKey {
	all := keysIn(raw)
	if slices.ContainsFunc(all, holdsSecret) {
		return nil
	}
	var keys []jose.JSONWebKey
	for _, one := range all {
		var key jose.JSONWebKey
		if json.Unmarshal(one, &key) == nil && key.IsPublic() {
			keys = append(keys, key)
		}
	}
	return keys
}

// keysIn returns the keys of a set as they are written.
func keysIn(raw []byte) []json.RawMessage {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(raw, &set) != nil {
		return nil
	}
	return set.Keys
}

// holdsSecret reports whether a JWK has a member of a secret key, or cannot be read.
func holdsSecret(raw json.RawMessage) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return true
	}
	return slices.ContainsFunc(secretMembers[:], func(name string) bool {
		_, found := members[name]
		return found
	})
}

// tried are the keys to check a signature with, and whether they are the caller's own.
func tried(jwks string, header jose.Header) (keys []jose.JSONWebKey, own bool) {
	if keys := candidates(keysOf([]byte(jwks)), header); len(keys) > 0 {
		return keys, true
	}
	return candidates(keysOf([]byte(decoyKeys)), jose.Header{Algorithm: header.Algorithm}), false
}

// candidates are the keys that may have signed: those of the header's name before those
// without one, and of the algorithm's kind.
func candidates(keys []jose.JSONWebKey, header jose.Header) []jose.JSONWebKey {
	var named, unnamed []jose.JSONWebKey
	for _, k := range keys {
		signs := k.Use == "" || k.Use == "sig"
		own := k.Algorithm == "" || k.Algorithm == header.Algorithm
		switch {
		case !signs || !own || !fits(k.Key, header.Algorithm):
		case header.KeyID == "" || k.KeyID == header.KeyID:
			named = append(named, k)
		case k.KeyID == "":
			unnamed = append(unnamed, k)
		}
	}
	fitting := slices.Concat(named, unnamed)
	return fitting[:min(len(fitting), maxTried)]
}

// fits reports whether a public key is of the algorithm's kind and size.
func fits(key any, algorithm string) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return algorithm == string(jose.ES256) && k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return algorithm == string(jose.EdDSA)
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		return (algorithm == string(jose.RS256) || algorithm == string(jose.PS256)) &&
			minRSA <= bits && bits <= maxRSA && 3 <= k.E && k.E <= maxE && k.E%2 == 1
	}
	return false
}

// decoyKeys are one key for each kind of algorithm that signs assertions. They are tried for
// callers that have none that fits, and what they might have signed is refused.
const decoyKeys = `{"keys":[` +
	`{"kty":"EC","crv":"P-256","x":"HSn6i3bh9pajE5LQgPhEoYHUVLz7zJ6TUGT-5efo_CQ","y":"ssl4LQ3A5LnpwOFrcfhmEZjHpUSta17x-NIgKxgnfos"},` +
	`{"kty":"OKP","crv":"Ed25519","x":"PDJDiq7wXRfDdibSrRt0LRAnaDGqtOaY-TwBNVlUBQA"},` +
	`{"kty":"RSA","e":"AQAB","n":"` +
	`rJKkBHh4owgaaNotWtqYU25cUlVWneSBDlr6EQPZtCvA5utC9zMXKqD5JBuhv0zM9G1W-adoR3ssDhq7vH389pdA9fQyI6xweVp3` +
	`N1zTmCndTyY8niyl_t9rWzxi8Y9POqQ-Rb_z2BKCFijxAdz5yHWMD15RWINKCoh7rh-R9jqqeldyyJbdPWlwIUUHNprpRA5bnoTd` +
	`l8mVkP1jTyLBGg2LuZsDGTmXK4ocRDbTt9kNSJL_0s-q0QceMK6JH7ji2gYsq-LdvlH0c7meMH1vc_16e_--xaAsHJdiuUZa7_RR` +
	`Uw7KrPt9oDY481ERdlUdklxIKsOkn1DMnQj5JhiOCQ"}]}`
