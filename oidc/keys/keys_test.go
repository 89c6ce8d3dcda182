package keys_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signpost/oidc"
	"signpost/oidc/keys"
)

func TestR8WhatEveryTenantHas(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, tenant := range []string{"example", "other"} {
		var have []string
		for _, row := range r.store.rows[tenant] {
			have = append(have, string(row.Use)+" "+row.Algorithm)
			if !regexp.MustCompile(`^[A-Za-z0-9_-]{11}$`).MatchString(row.ID) { // R9
				t.Errorf("%s: kid %q is not of 11 characters", tenant, row.ID)
			}
			if !row.CreatedAt.Equal(start) {
				t.Errorf("%s: created at %v, want %v", tenant, row.CreatedAt, start)
			}
		}
		if want := []string{"access ES256", "access RS256", "id RS256", "id ES256", "introspection ES256"}; !slices.Equal(have, want) {
			t.Errorf("%s has %v, want %v", tenant, have, want)
		}
	}
}

// TestJWKSHoldsPublicKeysOnly: RFC 7517, section 9.2, "private keys … MUST be protected".
func TestJWKSHoldsPublicKeysOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	raw, err := r.JWKS("example")
	if err != nil {
		t.Fatal(err)
	}
	var document map[string][]map[string]string
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	if len(document) != 1 || len(document["keys"]) != 5 {
		t.Fatalf("want one member keys with five keys: %s", raw)
	}
	members := map[string][]string{
		"EC":  {"alg", "crv", "kid", "kty", "use", "x", "y"},
		"RSA": {"alg", "e", "kid", "kty", "n", "use"},
	}
	for _, k := range document["keys"] {
		var have []string
		for name := range k {
			have = append(have, name)
		}
		slices.Sort(have)
		if want := members[k["kty"]]; !slices.Equal(have, want) {
			t.Errorf("key %s of type %s has %v, want %v", k["kid"], k["kty"], have, want)
		}
		if k["use"] != "sig" {
			t.Errorf("key %s is for %q, want sig", k["kid"], k["use"])
		}
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	for algorithm, want := range map[string][]kept{"ES256": {r.access, r.idES, r.answers}, "RS256": {r.rsa, r.id}} {
		for _, k := range want {
			found := set.Key(k.id)
			if len(found) != 1 || !found[0].IsPublic() || found[0].Algorithm != algorithm {
				t.Errorf("kid %s: %+v, want one public %s key", k.id, found, algorithm)
				continue
			}
			if p, ok := k.signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !p.Equal(found[0].Key) {
				t.Errorf("kid %s is another key", k.id)
			}
		}
	}
	for _, k := range []kept{r.access, r.rsa, r.id, r.idES, r.answers} {
		for name, secret := range privateNumbers(t, k.signer) {
			if bytes.Contains(raw, []byte(secret)) {
				t.Errorf("kid %s: the set holds %s", k.id, name)
			}
		}
	}
	if foreign, err := r.JWKS("other"); err != nil || bytes.Contains(foreign, []byte(r.access.id)) {
		t.Errorf("the set of the other tenant (%v) holds a key of this one", err)
	}
	if _, err := r.JWKS("nobody"); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("set of an unknown tenant: %v, want ErrNoKey", err)
	}
}

// privateNumbers returns the private members of a key in the form of a JWK.
func privateNumbers(t *testing.T, signer crypto.Signer) map[string]string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKey{Key: signer})
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]string{}
	for name, value := range object(t, string(text)) {
		if slices.Contains([]string{"d", "p", "q", "dp", "dq", "qi"}, name) {
			numbers[name] = value.(string)
		}
	}
	if len(numbers) == 0 {
		t.Fatal("no private numbers found")
	}
	return numbers
}

func TestKeysAreSealed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, k := range []kept{r.access, r.rsa, r.id, r.idES, r.answers} {
		row := r.store.rows["example"][i]
		for _, form := range privateBytes(t, k.signer) {
			if bytes.Contains(row.Sealed, form) {
				t.Errorf("the row of kid %s holds the private key", k.id)
			}
		}
	}
}

func privateBytes(t *testing.T, signer crypto.Signer) [][]byte {
	t.Helper()
	switch k := signer.(type) {
	case *ecdsa.PrivateKey:
		scalar, err := k.Bytes()
		if err != nil {
			t.Fatalf("read the private key: %v", err)
		}
		return [][]byte{scalar}
	case *rsa.PrivateKey:
		return [][]byte{k.D.Bytes(), k.Primes[0].Bytes(), k.Primes[1].Bytes()}
	}
	return nil
}

func TestEnsureTwiceKeepsTheKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.sign(t, oidc.ProfileRFC9068, keys.ES256, claims())
	before, err := r.JWKS("example")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Ensure(t.Context(), "example"); err != nil {
		t.Fatal(err)
	}
	if after, _ := r.JWKS("example"); !bytes.Equal(before, after) || len(r.store.rows["example"]) != 5 {
		t.Errorf("keys changed from\n%s to\n%s", before, after)
	}
	if _, err := r.Verify("example", issuer, token); err != nil {
		t.Errorf("an earlier token: %v", err)
	}
}

// TestEnsureByTwoInstancesAgrees: replicas start together on one store.
func TestEnsureByTwoInstancesAgrees(t *testing.T) {
	t.Parallel()
	shared, err := rsaKeys()
	if err != nil {
		t.Fatal(err)
	}
	store := &memory{}
	var instances [2]*keys.Keys
	var wg sync.WaitGroup
	var errs [2]error
	for i := range instances {
		rsaKey := 2 * i
		instances[i] = keys.New(store, newBox(t, 1), func() time.Time { return start }, func(algorithm string) (crypto.Signer, error) {
			if algorithm == keys.RS256 {
				rsaKey++
				return shared[rsaKey-1], nil
			}
			return keys.Generate(algorithm)
		})
		wg.Go(func() { errs[i] = instances[i].Ensure(context.Background(), "example") })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	first, _ := instances[0].JWKS("example")
	second, _ := instances[1].JWKS("example")
	if !bytes.Equal(first, second) || len(store.rows["example"]) != 5 {
		t.Fatalf("two instances have different keys:\n%s\n%s", first, second)
	}
	for i, from := range instances {
		for _, algorithm := range []string{keys.ES256, keys.RS256} {
			token, err := from.Sign("example", profile(t, oidc.ProfileRFC9068), algorithm, claims())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := instances[1-i].Verify("example", issuer, token); err != nil {
				t.Errorf("%s token of instance %d at the other: %v", algorithm, i, err)
			}
		}
	}
}

func TestEnsureRefusesWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	row := r.store.rows["example"][0]
	renamed, flipped, relabelled := row, row, r.store.rows["example"][1]
	renamed.ID = "another-kid"
	flipped.Sealed = slices.Clone(row.Sealed)
	flipped.Sealed[len(flipped.Sealed)/2] ^= 1
	relabelled.Algorithm = keys.ES256
	for name, c := range map[string]struct {
		tenant string
		key    byte
		row    keys.Stored
		good   bool
	}{
		"as it was":                    {"example", 1, row, true},
		"row copied to another tenant": {"copy", 1, row, false},
		"row under another kid":        {"example", 1, renamed, false},
		"row that was changed":         {"example", 1, flipped, false},
		"row of another algorithm":     {"example", 1, relabelled, false},
		"another server key":           {"example", 2, row, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared, err := rsaKeys()
			if err != nil {
				t.Fatal(err)
			}
			store := &memory{rows: map[string][]keys.Stored{c.tenant: {c.row}}}
			k := keys.New(store, newBox(t, c.key), func() time.Time { return start }, func(algorithm string) (crypto.Signer, error) {
				if algorithm == keys.RS256 {
					return shared[0], nil
				}
				return keys.Generate(algorithm)
			})
			err = k.Ensure(t.Context(), c.tenant)
			if (err == nil) != c.good {
				t.Fatalf("Ensure: %v, want an error: %v", err, !c.good)
			}
			if c.good {
				return
			}
			if _, err := k.Sign(c.tenant, profile(t, oidc.ProfileRFC9068), keys.ES256, claims()); !errors.Is(err, keys.ErrNoKey) {
				t.Errorf("Sign after the refusal: %v, want ErrNoKey", err)
			}
			if len(store.rows[c.tenant]) != 1 {
				t.Errorf("keys were made beside the one that does not open: %d rows", len(store.rows[c.tenant]))
			}
		})
	}
}

func TestEnsurePassesOnErrors(t *testing.T) {
	t.Parallel()
	away := errors.New("store is away")
	k := keys.New(&memory{err: away}, newBox(t, 1), time.Now, nil)
	if err := k.Ensure(t.Context(), "example"); !errors.Is(err, away) || !strings.Contains(err.Error(), "example") {
		t.Errorf("Ensure: %v, want the store's error and the tenant", err)
	}
	broken := errors.New("no randomness")
	k = keys.New(&memory{}, newBox(t, 1), time.Now, func(string) (crypto.Signer, error) { return nil, broken })
	if err := k.Ensure(t.Context(), "example"); !errors.Is(err, broken) {
		t.Errorf("Ensure: %v, want the generator's error", err)
	}
	shared, err := rsaKeys()
	if err != nil {
		t.Fatal(err)
	}
	p384 := func(algorithm string) (crypto.Signer, error) {
		if algorithm == keys.RS256 {
			return shared[0], nil
		}
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	if err := keys.New(&memory{}, newBox(t, 1), time.Now, p384).Ensure(t.Context(), "example"); err == nil {
		t.Error("a P-384 key was taken for ES256")
	}
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	es, err := keys.Generate(keys.ES256)
	if k, ok := es.(*ecdsa.PrivateKey); err != nil || !ok || k.Curve != elliptic.P256() {
		t.Errorf("ES256: %T, %v, want a P-256 key", es, err)
	}
	rs, err := keys.Generate(keys.RS256)
	if k, ok := rs.(*rsa.PrivateKey); err != nil || !ok || k.N.BitLen() != 2048 {
		t.Errorf("RS256: %T, %v, want an RSA key of 2048 bits", rs, err)
	}
	for _, algorithm := range []string{"", "none", "HS256", "PS256"} {
		if k, err := keys.Generate(algorithm); err == nil {
			t.Errorf("%q: %T, want an error", algorithm, k)
		}
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.sign(t, oidc.ProfileRFC9068, keys.ES256, claims())
	r.Forget(func(tenant string) bool { return tenant == "other" })
	if _, err := r.Verify("example", issuer, token); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("token of a forgotten tenant: %v, want ErrNoKey", err)
	}
	if _, err := r.JWKS("other"); err != nil {
		t.Errorf("a tenant that is still served: %v", err)
	}
}

// TestR26EditionChangesWithTheKeys: whoever remembers what a key vouched for learns that it
// does not any more.
func TestR26EditionChangesWithTheKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	edition := func(tenant string) keys.Edition {
		t.Helper()
		e, err := r.Edition(tenant, r.now)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first, foreign := edition("example"), edition("other")
	if first == foreign || first == (keys.Edition{}) {
		t.Fatal("two tenants have one edition, or none")
	}
	r.now = start.AddDate(1, 0, 0)
	if edition("example") != first {
		t.Error("it changed though no key did")
	}
	done := r.rotate(t, accessES, false)
	next := edition("example")
	if next == first {
		t.Error("it stayed though a key was added")
	}
	r.now = done.RemovedAt.Add(-time.Nanosecond)
	if edition("example") != next {
		t.Error("it changed before a key was taken out")
	}
	r.now = done.RemovedAt
	last := edition("example")
	if last == next {
		t.Error("it stayed though a key was taken out")
	}
	r.rotate(t, accessES, true)
	if edition("example") == last {
		t.Error("it stayed though a key was compromised")
	}
	if edition("other") != foreign {
		t.Error("the other tenant's changed")
	}
	if e, err := r.Edition("nobody", r.now); !errors.Is(err, keys.ErrNoKey) || e != (keys.Edition{}) {
		t.Errorf("unknown tenant: %v, want ErrNoKey", err)
	}
}
