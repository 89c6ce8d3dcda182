package clients_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// testKeys are one key of each kind, made once.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ec384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return map[string]crypto.Signer{"ec": ec, "ec384": ec384, "ed": ed, "rsa": rsaKey, "stranger": other}
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// jwks is the set of the public halves of keys, each under its name.
func jwks(t testing.TB, names ...string) string {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, name := range names {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: testKeys()[name].Public(), KeyID: name})
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func publicJWKS(t testing.TB) []byte { return []byte(jwks(t, "ec")) }

func privateJWKS(t testing.TB) []byte {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: testKeys()["ec"], KeyID: "ec"}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
