package tokens_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/seal"
	"signpost/oidc"
	"signpost/oidc/keys"
	"signpost/oidc/keys/keystest"
	"signpost/oidc/tokens"
)

const (
	issuer  = "https://id.example.org"
	foreign = "https://id.example.org/t/other"
)

var (
	start   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	errAway = errors.New("cache: away")
)

// shelf is a tokens.Cache that can be read and written by others, too.
type shelf struct {
	mu      sync.Mutex
	entries map[string][]byte
	lives   map[string]time.Duration
	asked   int
	away    bool
}

func (s *shelf) Get(_ context.Context, key string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.away {
		return nil, false, errAway
	}
	value, found := s.entries[key]
	return slices.Clone(value), found, nil
}

func (s *shelf) Set(_ context.Context, key string, value []byte, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.away {
		return errAway
	}
	if ttl <= 0 {
		return errors.New("cache: no time to live")
	}
	s.entries[key], s.lives[key] = slices.Clone(value), ttl
	return nil
}

// names are those of all entries that begin so.
func (s *shelf) names(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.entries)), func(name string) bool { return !strings.HasPrefix(name, prefix) })
}

// rows is a keys.Store.
type rows struct {
	mu   sync.Mutex
	kept map[string][]keys.Stored
}

func (r *rows) Keys(_ context.Context, tenant string) ([]keys.Stored, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.kept[tenant]), nil
}

func (r *rows) AddKey(_ context.Context, tenant string, k keys.Stored) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept[tenant] = append(r.kept[tenant], k)
	return true, nil
}

func (r *rows) ReplaceKey(_ context.Context, tenant string, p keys.Replacement) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := slices.Clone(r.kept[tenant])
	for i, k := range kept {
		if p.Compromised && k.Use == p.Next.Use && k.Algorithm == p.Next.Algorithm {
			kept[i].RemovedAt, kept[i].Compromised = p.RemovedAt, true
		}
		if k.ID == p.Head {
			kept[i].RemovedAt, kept[i].Successor = p.RemovedAt, p.Next.ID
		}
	}
	r.kept[tenant] = append(kept, p.Next)
	return nil
}

// rig is two replicas of a service for two tenants.
type rig struct {
	*tokens.Tokens
	second *tokens.Tokens
	keys   *keys.Keys
	rows   *rows
	shelf  *shelf
	box    *seal.Box
	now    time.Time

	numbers int // of requests
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{rows: &rows{kept: map[string][]keys.Stored{}}, shelf: &shelf{entries: map[string][]byte{}, lives: map[string]time.Duration{}}, now: start}
	var err error
	if r.box, err = seal.New(bytes.Repeat([]byte{7}, seal.KeySize)); err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return r.now }
	r.keys = keys.New(r.rows, r.box, now, keystest.Generator())
	for _, tenant := range []string{"example", "other"} {
		if err := r.keys.Ensure(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	r.Tokens = tokens.New(r.keys, r.shelf, r.box, now)
	r.second = tokens.New(r.keys, r.shelf, r.box, now)
	return r
}

// rotate replaces the key for access tokens of the first tenant, in one algorithm.
func (r *rig) rotate(t testing.TB, algorithm string, compromised bool) {
	t.Helper()
	_, err := r.keys.Rotate(t.Context(), "example", keys.Line{Use: keys.UseAccess, Algorithm: algorithm}, compromised)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.keys.Ensure(t.Context(), "example"); err != nil {
		t.Fatal(err)
	}
}

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

func claims() oidc.Claims {
	return oidc.Claims{
		Issuer: issuer, Subject: "AAAAAAAAAAAAAAAAAAAAAA", Audience: []string{issuer, "https://dav.example.org/"},
		ExpiresAt: start.Add(time.Hour), IssuedAt: start, ID: "jjjjjjjjjjj", Scope: "openid offline_access",
		ClientID: "open", GrantID: "ggggggggggg", Username: "alice@example.org", Key: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
	}
}

// narrow are claims for one service, for a quarter of an hour.
func narrow() oidc.Claims {
	c := claims()
	c.Audience, c.Key, c.ExpiresAt = []string{"imap.example.org"}, "", start.Add(15*time.Minute)
	return c
}

func (r *rig) make(t testing.TB, name, algorithm string, c oidc.Claims) string {
	t.Helper()
	made, err := r.Make(t.Context(), "example", profile(t, name), algorithm, c)
	if err != nil {
		t.Fatalf("make %s %s: %v", name, algorithm, err)
	}
	if made.Again || !made.ExpiresAt.Equal(c.ExpiresAt) || made.Token == "" {
		t.Fatalf("made %+v, want a new token until %v", made, c.ExpiresAt)
	}
	return made.Token
}

// taken checks a token and returns what it says.
func (r *rig) taken(t testing.TB, token string) oidc.Claims {
	t.Helper()
	c, err := r.Verify(t.Context(), "example", issuer, token)
	if err != nil {
		t.Fatalf("verify %q: %v", token, err)
	}
	return c
}

// wantRefused checks that a token is refused with an error, and says nothing.
func (r *rig) wantRefused(t testing.TB, name, tenant, issuer, token string, want error) {
	t.Helper()
	c, err := r.Verify(t.Context(), tenant, issuer, token)
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v; token %q", name, err, want, token)
	}
	if over := errors.Is(want, keys.ErrExpired); over != (c.Subject != "") || over != (c.GrantID != "") || over != (c.Audience != nil) {
		t.Errorf("%s: claims %+v came with %v, want them with what is over alone", name, c, err)
	}
}
