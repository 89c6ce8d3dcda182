package clients_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"signpost/oidc"
	"signpost/oidc/clients"
)

// keyed is a document with these keys.
func keyed(keys ...any) http.HandlerFunc {
	return described(func(d map[string]any) {
		d["token_endpoint_auth_method"], d["jwks"] = "private_key_jwt", map[string]any{"keys": keys}
	})
}

func public(name, kid string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: testKeys()[name].Public(), KeyID: kid}
}

// TestR15PrivateKeysCostNothing: one member of a secret key anywhere in a set is enough to
// refuse it, also where the key is of an unknown kind or damaged, so that nothing parses it.
func TestR15PrivateKeysCostNothing(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := realm(t, "example", nil)
	n := base64.RawURLEncoding.EncodeToString(testKeys()["rsa"].Public().(*rsa.PublicKey).N.Bytes())
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		for _, value := range []string{`"AQAB"`, `"not base64!"`, `null`, `[]`} {
			for _, kind := range []string{"RSA", "future"} {
				key := fmt.Sprintf(`{"kty":%q,"n":%q,"e":"AQAB",%q:%s}`, kind, n, member, value)
				c.Documents = newRig(t).cache
				h.set(keyed(public("ec", "ec"), json.RawMessage(key)))
				unknown(t, c.Clients, r, urlID)
			}
		}
	}
	h.set(keyed(public("ec", "ec"), json.RawMessage(`{"kty":"future","D":"x","priv2":"y"}`)))
	find(t, c.Clients, r, urlID)
}

func TestR15EightKeysInASet(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := realm(t, "example", nil)
	var keys []any
	for range 8 {
		keys = append(keys, public("ec", ""))
	}
	h.set(keyed(keys...))
	find(t, c.Clients, r, urlID)
	c.Documents = newRig(t).cache
	h.set(keyed(append(keys, map[string]any{"kty": "future"})...))
	unknown(t, c.Clients, r, urlID)
}

// TestTwoKeysAreTried: one assertion costs two checks of a signature at most. Keys that
// have the name come first.
func TestTwoKeysAreTried(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := authRealm(t)
	claims := map[string]any{"iss": urlID, "sub": urlID}
	byName := assertion(t, "ec", claims)
	unnamed := signed(t, jose.SigningKey{Algorithm: jose.ES256, Key: testKeys()["ec"]}, "", claims)
	other := func(kid string) jose.JSONWebKey { return public("stranger", kid) }
	for name, test := range map[string]struct {
		keys []any
		sent url.Values
		ok   bool
	}{
		"the second of two":             {[]any{other(""), public("ec", "")}, unnamed, true},
		"the third of three":            {[]any{other(""), other(""), public("ec", "")}, unnamed, false},
		"the third, by name":            {[]any{other(""), other(""), public("ec", "ec")}, byName, true},
		"the third, others have names":  {[]any{other("x"), other("y"), public("ec", "ec")}, byName, true},
		"the third of its name":         {[]any{other("ec"), other("ec"), public("ec", "ec")}, byName, false},
		"the third, others do not fit":  {[]any{public("ed", ""), public("rsa", ""), public("ec384", ""), public("ec", "")}, unnamed, true},
		"the one key has another name":  {[]any{public("ec", "x")}, byName, false},
		"the one key without a name":    {[]any{other("x"), public("ec", "")}, byName, true},
		"a key for encryption is tried": {[]any{jose.JSONWebKey{Key: testKeys()["ec"].Public(), Use: "enc"}}, unnamed, false},
	} {
		c.Documents, c.Marks = newRig(t).cache, newRig(t).cache
		h.set(keyed(test.keys...))
		_, err := c.Authenticate(t.Context(), r, clients.Credentials{Form: test.sent, Endpoint: par})
		if test.ok && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !test.ok {
			wantCode(t, err, oidc.CodeInvalidClient, name)
		}
	}
}

// TestRSAKeysThatCostLittle: good signatures by keys of another size or with another
// exponent are not even checked.
func TestRSAKeysThatCostLittle(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := authRealm(t)
	claims := map[string]any{"iss": urlID, "sub": urlID}
	for e, ok := range map[int]bool{3: true, 1<<16 + 1: true, 1<<16 + 3: false} {
		key := rsaKey(t, e)
		c.Documents = newRig(t).cache
		h.set(keyed(jose.JSONWebKey{Key: key.Public()}))
		_, err := c.Authenticate(t.Context(), r, clients.Credentials{Form: signed(t, jose.SigningKey{Algorithm: jose.RS256, Key: key}, "", claims), Endpoint: par})
		if (err == nil) != ok {
			t.Errorf("e = %d: %v, want it taken: %t", e, err, ok)
		}
	}
}

// rsaKey makes a key of 2048 bits with the exponent e.
func rsaKey(t testing.TB, e int) *rsa.PrivateKey {
	t.Helper()
	one := big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, 1024)
		must(err)
		q, err := rand.Prime(rand.Reader, 1024)
		must(err)
		n := new(big.Int).Mul(p, q)
		totient := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(big.NewInt(int64(e)), totient)
		if d == nil || n.BitLen() != 2048 {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: e}, D: d, Primes: []*big.Int{p, q}}
		key.Precompute()
		return key
	}
}

// TestR15KeySetsHaveATypeOfTheirOwn (RFC 7517, section 8.5.2): keys may be served by it, a document may not.
func TestR15KeySetsHaveATypeOfTheirOwn(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := realm(t, "example", nil)
	as := func(mediaType string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = w.Write(body)
		}
	}
	const setType = "application/jwk-set+json"
	good := described(func(d map[string]any) {
		d["token_endpoint_auth_method"], d["jwks_uri"] = "private_key_jwt", "https://example.com/jwks.json"
	})
	var accept string
	h.set(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/jwks.json" {
			good(w, r)
			return
		}
		accept = r.Header.Get("Accept")
		as(setType, publicJWKS(t))(w, r)
	})
	if got := find(t, c.Clients, r, urlID); got.JWKS != string(publicJWKS(t)) || !strings.Contains(accept, setType) {
		t.Errorf("found %+v by Accept: %s", got, accept)
	}
	h.set(as(setType, fmt.Appendf(nil, `{"client_id":%q,"redirect_uris":["com.example:/"]}`, urlID)))
	c.Documents = newRig(t).cache
	unknown(t, c.Clients, r, urlID)
}
