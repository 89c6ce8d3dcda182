package keys_test

import (
	"cmp"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
	"signpost/oidc/keys"
)

const (
	issuer = "https://id.example.org"
	other  = "https://id.example.org/t/other"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// memory is a keys.Store.
type memory struct {
	mu   sync.Mutex
	rows map[string][]keys.Stored
	err  error // what it answers, if not nil

	replacing func() // called once in the next ReplaceKey, to come before it
}

func (m *memory) Keys(_ context.Context, tenant string) ([]keys.Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.rows[tenant]), m.err
}

// AddKey keeps the order in which keys came: in these tests that of their making.
func (m *memory) AddKey(_ context.Context, tenant string, k keys.Stored) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows == nil {
		m.rows = map[string][]keys.Stored{}
	}
	if slices.ContainsFunc(m.rows[tenant], func(s keys.Stored) bool { return s.Use == k.Use && s.Algorithm == k.Algorithm }) {
		return false, m.err
	}
	m.rows[tenant] = append(m.rows[tenant], k)
	return true, m.err
}

func (m *memory) ReplaceKey(_ context.Context, tenant string, r keys.Replacement) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if m.replacing != nil {
		replacing := m.replacing
		m.replacing = nil
		replacing()
	}
	rows := slices.Clone(m.rows[tenant])
	head := slices.IndexFunc(rows, func(s keys.Stored) bool { return s.ID == r.Head })
	if head < 0 || rows[head].Successor != "" {
		return keys.ErrReplaced
	}
	if rows[head].Use != r.Next.Use || rows[head].Algorithm != r.Next.Algorithm || r.Next.Successor != "" || !r.Next.RemovedAt.IsZero() {
		return errors.New("the new key does not head the line of the old one")
	}
	for i := range rows {
		if r.Compromised && rows[i].Use == r.Next.Use && rows[i].Algorithm == r.Next.Algorithm {
			rows[i].RemovedAt, rows[i].Compromised = r.RemovedAt, true
		}
	}
	rows[head].RemovedAt, rows[head].Successor = r.RemovedAt, r.Next.ID
	rows = append(rows, r.Next)
	slices.SortFunc(rows, func(a, b keys.Stored) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	m.rows[tenant] = rows
	return nil
}

// box is a keys.Sealer: the standard library's AES-GCM under one key.
type box struct{ aead cipher.AEAD }

func newBox(t testing.TB, key byte) box {
	t.Helper()
	block, err := aes.NewCipher(slices.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return box{aead}
}

func (b box) Seal(purpose string, plaintext, associated []byte) ([]byte, error) {
	return b.aead.Seal(nil, nil, plaintext, fmt.Appendf(nil, "%q %q", purpose, associated)), nil
}

func (b box) Open(purpose string, sealed, associated []byte) ([]byte, error) {
	return b.aead.Open(nil, nil, sealed, fmt.Appendf(nil, "%q %q", purpose, associated))
}

// rsaKeys are made once: making them is most of the time of these tests.
var rsaKeys = sync.OnceValues(func() (made [8]crypto.Signer, err error) {
	for i := range made {
		if made[i], err = keys.Generate(keys.RS256); err != nil {
			return made, err
		}
	}
	return made, nil
})

// kept is a private key with its name, as only the service itself has it.
type kept struct {
	id     string
	signer crypto.Signer
}

// rig is the keys of two tenants, and their private halves.
type rig struct {
	*keys.Keys
	store   *memory
	made    []crypto.Signer // all of them, in their order
	now     time.Time
	access  kept // ES256 of "example"
	rsa     kept // RS256 of "example", for access tokens
	id      kept // RS256 of "example", for ID tokens
	idES    kept // ES256 of "example", for ID tokens
	answers kept // ES256 of "example", for answers of the introspection endpoint
	foreign kept // ES256 of "other"
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{store: &memory{}, now: start}
	nextRSA := 0
	r.Keys = keys.New(r.store, newBox(t, 1), func() time.Time { return r.now }, func(algorithm string) (crypto.Signer, error) {
		if algorithm != keys.RS256 {
			k, err := keys.Generate(algorithm)
			r.made = append(r.made, k)
			return k, err
		}
		shared, err := rsaKeys()
		next := shared[nextRSA%len(shared)]
		nextRSA++
		r.made = append(r.made, next)
		return next, err
	})
	for _, tenant := range []string{"example", "other"} {
		if err := r.Ensure(t.Context(), tenant); err != nil {
			t.Fatalf("ensure keys of %s: %v", tenant, err)
		}
	}
	rows := slices.Concat(r.store.rows["example"], r.store.rows["other"])
	if len(rows) != 10 || len(r.made) != 10 {
		t.Fatalf("%d rows and %d keys, want 10 of each", len(rows), len(r.made))
	}
	for i, k := range []*kept{&r.access, &r.rsa, &r.id, &r.idES, &r.answers, &r.foreign} {
		*k = kept{rows[i].ID, r.made[i]}
	}
	return r
}

func claims() oidc.Claims {
	return oidc.Claims{
		Issuer: issuer, Subject: "AAAAAAAAAAAAAAAAAAAAAA", Audience: []string{issuer, "https://dav.example.org/"},
		ExpiresAt: start.Add(time.Hour), IssuedAt: start, ID: "jjjjjjjjjjj", Scope: "openid offline_access",
		ClientID: "open", GrantID: "ggggggggggg", Username: "alice@example.org",
	}
}

func (r *rig) sign(t testing.TB, name, algorithm string, c oidc.Claims) string {
	t.Helper()
	token, err := r.Sign("example", profile(t, name), algorithm, c)
	if err != nil {
		t.Fatalf("sign %s %s: %v", name, algorithm, err)
	}
	return token
}

// body is the payload of a good access token; edit changes it.
func body(edit func(jwt.MapClaims)) jwt.MapClaims {
	m := jwt.MapClaims{
		"iss": issuer, "sub": "AAAAAAAAAAAAAAAAAAAAAA", "aud": []string{issuer}, "exp": start.Add(time.Hour).Unix(), "iat": start.Unix(),
		"jti": "jjjjjjjjjjj", "scope": "openid", "client_id": "open", "grant": "ggggggggggg",
	}
	if edit != nil {
		edit(m)
	}
	return m
}

// forge signs any header and payload with any key.
func forge(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, payload jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, payload)
	for name, value := range header {
		token.Header[name] = value
		if value == nil {
			delete(token.Header, name)
		}
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatalf("forge: %v", err)
	}
	return signed
}

// parts returns header and payload of a token as JSON text.
func parts(t testing.TB, token string) (header, payload string) {
	t.Helper()
	p := strings.Split(token, ".")
	if len(p) != 3 {
		t.Fatalf("%d parts, want 3", len(p))
	}
	var text [2][]byte
	for i := range text {
		var err error
		if text[i], err = base64.RawURLEncoding.Strict().DecodeString(p[i]); err != nil {
			t.Fatal(err)
		}
	}
	return string(text[0]), string(text[1])
}

func object(t testing.TB, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func wantInvalid(t testing.TB, r *rig, name, token string) {
	t.Helper()
	c, err := r.Verify("example", issuer, token)
	if !errors.Is(err, keys.ErrInvalid) {
		t.Errorf("%s: error %v, claims %+v, want ErrInvalid; token %q", name, err, c, token)
	}
	if c.Subject != "" || c.Audience != nil {
		t.Errorf("%s: claims came with the refusal: %+v", name, c)
	}
}

// profile returns a built-in profile.
func profile(t testing.TB, name string) oidc.Profile {
	t.Helper()
	for _, p := range oidc.BuiltInProfiles() {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no profile %q", name)
	return oidc.Profile{}
}

// addServer makes the key of a server that has one of its own.
func (r *rig) addServer(t testing.TB, audience string) kept {
	t.Helper()
	if err := r.Ensure(t.Context(), "example", audience); err != nil {
		t.Fatalf("ensure the key of %s: %v", audience, err)
	}
	rows := r.store.rows["example"]
	added := rows[len(rows)-1]
	if added.Use != keys.UseServer(audience) || added.Algorithm != keys.RS256 {
		t.Fatalf("made a key for %s in %s, want one for the server %s in RS256", added.Use, added.Algorithm, audience)
	}
	return kept{id: added.ID, signer: r.made[len(r.made)-1]}
}
