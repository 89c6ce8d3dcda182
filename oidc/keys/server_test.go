package keys_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
	"signpost/oidc/keys"
)

const dav = "dav.example.org"

var davLine = keys.Line{Use: keys.UseServer(dav), Algorithm: keys.RS256}

// forDAV are claims for one server.
func forDAV() oidc.Claims {
	c := claims()
	c.Audience = []string{dav}
	return c
}

// TestR10OneKeyPerServer: each server has one of its own, made once, and its tokens are
// signed by it alone.
func TestR10OneKeyPerServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	servers := map[string]kept{dav: r.addServer(t, dav), "other.example.org": r.addServer(t, "other.example.org")}
	if err := r.Ensure(t.Context(), "example", dav, "other.example.org", dav); err != nil {
		t.Fatal(err)
	}
	r.ensure(t) // where no server is named, its key stays
	if got := len(r.store.rows["example"]); got != 7 {
		t.Fatalf("%d keys, want those of five lines and of two servers", got)
	}
	for audience, server := range servers {
		c := forDAV()
		c.Audience = []string{audience}
		if id, err := r.SigningKey("example", profile(t, oidc.ProfileCyrus), keys.RS256, c); err != nil || id != server.id {
			t.Errorf("%s: key %q, %v signs, want %s", audience, id, err, server.id)
		}
		token := r.sign(t, oidc.ProfileCyrus, keys.RS256, c)
		for name, k := range map[string]kept{dav: servers[dav], "other.example.org": servers["other.example.org"], "access tokens": r.rsa, "ID tokens": r.id} {
			_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return k.signer.Public().(*rsa.PublicKey), nil },
				jwt.WithTimeFunc(func() time.Time { return start }), jwt.WithValidMethods([]string{keys.RS256}))
			if (err == nil) != (name == audience) {
				t.Errorf("token for %s by the key for %s: %v", audience, name, err)
			}
		}
	}
}

// TestR10ServerKeysAreTheirOwn: they are in no JWK set, and nothing that they signed is taken here,
// whatever it says and whichever key it names.
func TestR10ServerKeysAreTheirOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	before := slices.Sorted(slices.Values(published(t, r.Keys)))
	server := r.addServer(t, dav)
	done := r.rotate(t, davLine, false)
	for _, at := range []time.Time{start, done.SignsFrom, done.RemovedAt} {
		r.now = at
		if got := slices.Sorted(slices.Values(published(t, r.Keys))); !slices.Equal(got, before) {
			t.Errorf("at %v: published are %v, want %v", at, got, before)
		}
	}
	r.now = start
	modulus := server.signer.Public().(*rsa.PublicKey).N.Bytes()
	if set, err := r.JWKS("example"); err != nil || bytes.Contains(set, modulus) {
		t.Errorf("the set (%v) holds the server's key", err)
	}
	tokens := map[string]string{"as it is": r.sign(t, oidc.ProfileCyrus, keys.RS256, forDAV())}
	for _, id := range []string{server.id, r.rsa.id, r.id.id, r.access.id, ""} {
		for _, typ := range []string{oidc.TypeAccessToken, oidc.TypeJWT} {
			header := map[string]any{"typ": typ, "kid": id}
			tokens["an access token as "+typ+" of key "+id] = forge(t, jwt.SigningMethodRS256, server.signer, header, body(nil))
		}
	}
	for name, token := range tokens {
		wantInvalid(t, r, name, token)
		if hint, err := r.VerifyHint("example", issuer, token); !errors.Is(err, keys.ErrInvalid) {
			t.Errorf("%s as a hint: %+v, %v, want ErrInvalid", name, hint, err)
		}
	}
}

// TestR10ServerKeysRotate: as all others do, and they are listed with them.
func TestR10ServerKeysRotate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	server := r.addServer(t, dav)
	cyrus := profile(t, oidc.ProfileCyrus)
	signing := func() string {
		t.Helper()
		id, err := r.SigningKey("example", cyrus, keys.RS256, forDAV())
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	planned := r.rotate(t, davLine, false)
	if got := states(t, r); planned.Old != server.id || got[server.id] != keys.Signs || got[planned.New] != keys.Next || signing() != server.id {
		t.Errorf("rotated %+v, states %v, %s signs", planned, got, signing())
	}
	r.now = planned.SignsFrom
	if got := signing(); got != planned.New {
		t.Errorf("after the lead time %s signs, want %s", got, planned.New)
	}
	hasty := r.rotate(t, davLine, true)
	if got := states(t, r); got[planned.New] != keys.Compromised || got[hasty.New] != keys.Signs || signing() != hasty.New {
		t.Errorf("compromised %+v, states %v, %s signs", hasty, got, signing())
	}
	if _, err := r.Rotate(t.Context(), "example", keys.Line{Use: keys.UseServer("imap.example.org"), Algorithm: keys.RS256}, true); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("a server without a key of its own: %v, want ErrNoKey", err)
	}
}

func TestUseServer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		use      keys.Use
		audience string
		ok       bool
	}{
		{keys.UseServer(dav), dav, true},
		{keys.UseServer("https://dav.example.org/dav/"), "https://dav.example.org/dav/", true},
		{keys.UseAccess, "access", false},
		{keys.UseID, "id", false},
		{keys.UseIntrospection, "introspection", false},
		{"", "", false},
	} {
		if audience, ok := c.use.Server(); audience != c.audience || ok != c.ok {
			t.Errorf("%q: %q, %v, want %q, %v", c.use, audience, ok, c.audience, c.ok)
		}
	}
}

// TestR7PublicsAreOfOneUse: with the states of the moment, and nothing for a compromised key.
func TestR7PublicsAreOfOneUse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	server := r.addServer(t, dav)
	reader := keys.New(r.store, newBox(t, 1), func() time.Time { return r.now }, nil)
	if _, err := reader.Publics("example", keys.UseAccess); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("before they were loaded: %v, want ErrNoKey", err)
	}
	load := func() {
		t.Helper()
		if err := reader.Load(t.Context(), "example"); err != nil {
			t.Fatal(err)
		}
	}
	load()
	for use, want := range map[keys.Use][]kept{
		keys.UseAccess: {r.access, r.rsa}, keys.UseID: {r.id, r.idES}, keys.UseIntrospection: {r.answers}, keys.UseServer(dav): {server}, "mail": nil,
	} {
		found, err := reader.Publics("example", use)
		if err != nil || len(found) != len(want) {
			t.Errorf("%s: %+v, %v, want %d", use, found, err, len(want))
			continue
		}
		for i, k := range found {
			if k.ID != want[i].id || k.State != keys.Signs || !want[i].signer.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(k.Key) {
				t.Errorf("%s: %+v, want the public half of %s, which signs", use, k, want[i].id)
			}
		}
	}
	r.rotate(t, accessES, true)
	load()
	found, err := reader.Publics("example", keys.UseAccess)
	if err != nil || len(found) != 3 {
		t.Fatalf("after a compromise: %+v, %v, want three", found, err)
	}
	for _, k := range found {
		if (k.State == keys.Compromised) != (k.ID == r.access.id) || (k.Key == nil) != (k.ID == r.access.id) {
			t.Errorf("after a compromise: %+v, want %s alone compromised and without a key", k, r.access.id)
		}
	}
	if err := reader.Load(t.Context(), "nobody"); err != nil {
		t.Errorf("a tenant without keys: %v", err)
	}
	if len(r.store.rows["nobody"]) != 0 {
		t.Error("Load made keys")
	}
}
