package clients_test

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/cache"
	"signpost/internal/seal"
	"signpost/oidc"
	"signpost/oidc/clients"
)

const (
	base   = "https://id.example.test"
	secret = "a secret that is long and random: 7f/+=%&"
)

// realm compiles a tenant of that name; edit changes what is declared.
func realm(t testing.TB, name string, edit func(*directory.Tenant)) *directory.Realm {
	t.Helper()
	tenant := directory.Tenant{Name: name, Title: "Example Organisation", Placement: directory.PlacementPath}
	if edit != nil {
		edit(&tenant)
	}
	snapshot, err := directory.Compile(base, []directory.Tenant{tenant}, 1)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	r, ok := snapshot.Realm(name)
	if !ok {
		t.Fatalf("no tenant %s", name)
	}
	return r
}

// policy is a realm with a policy.
func policy(t testing.TB, p directory.ClientPolicy) *directory.Realm {
	t.Helper()
	return realm(t, "example", func(tenant *directory.Tenant) { tenant.Clients = p })
}

// rows are what grants kept of registrations.
type rows struct {
	mu    sync.Mutex
	kept  map[string][]byte
	err   error
	asked int
}

func (s *rows) Registration(_ context.Context, tenant string, idHash []byte) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	value, found := s.kept[tenant+" "+string(idHash)]
	return value, found, s.err
}

func (s *rows) keep(tenant, id string, registration []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := sha256.Sum256([]byte(id))
	s.kept[tenant+" "+string(sum[:])] = registration
}

// cacheWatch counts how often a cache is used.
type cacheWatch struct {
	*cache.Memory
	mu   sync.Mutex
	used int
}

func (c *cacheWatch) touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used++
}

func (c *cacheWatch) Get(ctx context.Context, key string) ([]byte, bool, error) {
	c.touch()
	return c.Memory.Get(ctx, key)
}

func (c *cacheWatch) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	c.touch()
	return c.Memory.Set(ctx, key, value, ttl)
}

func (c *cacheWatch) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	c.touch()
	return c.Memory.Add(ctx, key, value, ttl)
}

func (c *cacheWatch) Allow(ctx context.Context, key string, limit int, span time.Duration) (bool, time.Duration, error) {
	c.touch()
	return c.Memory.Allow(ctx, key, limit, span)
}

// rig is a set of clients over real sealing and a real cache.
type rig struct {
	*clients.Clients
	rows  *rows
	cache *cacheWatch
}

func key(fill byte) []byte {
	k := make([]byte, seal.KeySize)
	for i := range k {
		k[i] = fill
	}
	return k
}

func newRig(t testing.TB) *rig {
	t.Helper()
	box, err := seal.New(key(1))
	if err != nil {
		t.Fatal(err)
	}
	memory := cache.NewMemory(1 << 20)
	t.Cleanup(memory.Close)
	r := &rig{rows: &rows{kept: map[string][]byte{}}, cache: &cacheWatch{Memory: memory}}
	r.Clients = &clients.Clients{
		Store: r.rows, Sealer: box, Fetch: &http.Client{Transport: nothing{}}, Documents: r.cache, Marks: r.cache, Now: time.Now,
	}
	return r
}

// nothing is a network with nobody in it.
type nothing struct{}

func (nothing) RoundTrip(*http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded }

// find wants a client to be there.
func find(t testing.TB, c *clients.Clients, r *directory.Realm, id string) clients.Client {
	t.Helper()
	found, err := c.Find(t.Context(), r, id)
	if err != nil {
		t.Fatalf("Find(%.40q): %v", id, err)
	}
	return found
}

// wantCode wants a refusal in the words of the protocol.
func wantCode(t testing.TB, err error, code, about string) {
	t.Helper()
	if got := oidc.CodeOf(err); got != code {
		t.Errorf("%s: %v, want %s", about, err, code)
	}
}

func form(pairs ...string) url.Values {
	f := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return f
}

func hashOf(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}
