// Package narrow_test tries the promise that makes token exchange safe for programs
// without a secret: nothing that anybody makes from a sign-in or a token lies outside of it
// (R22). It goes random ways through the real authorization server, and asks package oracle about
// everything that it gets.
package narrow_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/internal/cache"
	"signpost/internal/seal"
	"signpost/internal/store"
	"signpost/oidc"
	"signpost/oidc/apppassword"
	"signpost/oidc/clients"
	"signpost/oidc/dpop"
	"signpost/oidc/exchange"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
	"signpost/oidc/keys/keystest"
	"signpost/oidc/tokens"
)

// maxStale is how long known grants count without the database.
const maxStale = 5 * time.Minute

// start is when every world begins.
var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// recorder is an audit.Log of the events since it was last emptied.
type recorder struct{ events []audit.Event }

func (l *recorder) Record(_ context.Context, e audit.Event) error {
	l.events = append(l.events, e)
	return nil
}

// ground is what worlds stand on, one after the other: database, cache and programs' keys.
type ground struct {
	t      testing.TB
	box    *seal.Box
	db     *store.Store
	memory *cache.Memory
	keys   [2]prover
	tenant []string // names of the last world's tenants
}

func newGround(t testing.TB) *ground {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{1}, seal.KeySize))
	must(t, err)
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signpost.db"), box)
	must(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	must(t, db.Migrate(t.Context()))
	g := &ground{t: t, box: box, db: db, memory: cache.NewMemory(32 << 20)}
	t.Cleanup(g.memory.Close)
	for i := range g.keys {
		g.keys[i] = newProver(t)
	}
	return g
}

// declare puts tenants in the place of those of the world before.
func (g *ground) declare(tenants []directory.Tenant) {
	g.t.Helper()
	_, revision, err := g.db.Tenants(g.t.Context())
	must(g.t, err)
	_, err = g.db.SaveTenants(g.t.Context(), revision, tenants, g.tenant)
	must(g.t, err)
	g.tenant = nil
	for _, t := range tenants {
		g.tenant = append(g.tenant, t.Name)
	}
}

// issuer is an authorization server of these tenants by a clock.
func (g *ground) issuer(clock func() time.Time, log audit.Log) *issuer.Issuer {
	g.t.Helper()
	signing := keys.New(g.db, g.box, clock, keystest.Generator())
	for _, name := range g.tenant {
		must(g.t, signing.Ensure(g.t.Context(), name))
	}
	i := &issuer.Issuer{
		Clients: &clients.Clients{}, Proofs: &dpop.Checker{Namer: g.box, Marks: g.memory, Now: clock},
		Store: g.db, Known: issuer.NewKnown(g.db, g.db, maxStale, clock), Cache: g.memory, Begun: g.memory,
		Keys: signing, Tokens: tokens.New(signing, g.memory, g.box, clock), Sealer: g.box, Audit: log, Now: clock,
		AppPasswords: &apppassword.Passwords{Store: g.db, Hasher: g.box, Limits: g.memory, Cache: g.memory, Random: cryptorand.Reader, Now: clock},
	}
	i.Register(oidc.GrantTypeTokenExchange, exchange.Grant{Issuer: i})
	return i
}

// prover is a program that holds a key.
type prover struct {
	key        *ecdsa.PrivateKey
	thumbprint string
}

func newProver(t testing.TB) prover {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	must(t, err)
	sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	must(t, err)
	return prover{key, base64.RawURLEncoding.EncodeToString(sum)}
}

// proof is a new one for a request, and for the access token that comes with it, if one does
// (RFC 9449, section 4.2).
func (p prover) proof(t testing.TB, call issuer.Call, accessToken, nonce string, now time.Time) string {
	t.Helper()
	claims := jwt.MapClaims{"jti": cryptorand.Text(), "htm": call.Method, "htu": call.URL, "iat": now.Unix(), "nonce": nonce}
	if accessToken != "" {
		sum := sha256.Sum256([]byte(accessToken))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	signed, err := (&jwt.Token{
		Header: map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jose.JSONWebKey{Key: p.key.Public()}},
		Claims: claims,
		Method: jwt.SigningMethodES256,
	}).SignedString(p.key)
	must(t, err)
	return signed
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
