package cache_test

import (
	"crypto/rand"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"signpost/internal/cache"
	"signpost/internal/cache/cachetest"
	"signpost/internal/seal"
	"signpost/test/backends"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]func(t *testing.T) string{
		"miniredis": func(t *testing.T) string { return "redis://" + miniredis.RunT(t).Addr() },
		"alone":     func(t *testing.T) string { return backends.Redis(t) },
		"sentinel":  func(t *testing.T) string { return backends.Sentinel(t) },
		"cluster":   func(t *testing.T) string { return backends.Cluster(t) },
		"TLS":       func(t *testing.T) string { return trusting(backends.TLSRedis(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address(t) // skips once, not in each case
			cachetest.Run(t, func(t *testing.T, run cachetest.Case) {
				r, err := cache.OpenPatiently(t.Context(), address(t), newGuard(t))
				if err != nil {
					t.Fatalf("OpenRedis: %v", err)
				}
				t.Cleanup(r.Close)
				w := watch(t, r)
				run(t, r, w.advance)
			})
		})
	}
}

// trusting adds the file with the authority to a URL.
func trusting(address, caFile string) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + "ca_file=" + url.QueryEscape(caFile)
}

// newGuard makes a box with a key of its own: many caches may share a Redis, and
// none finds anything of another.
func newGuard(t *testing.T) *seal.Box {
	t.Helper()
	key := make([]byte, seal.KeySize)
	_, _ = rand.Read(key) // never fails
	box, err := seal.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// openRedis opens a cache with a watch on its wire, and closes it when the test ends.
func openRedis(t *testing.T, address string, guard cache.Guard) (*cache.Redis, *wire) {
	t.Helper()
	r, err := cache.OpenRedis(t.Context(), address, guard)
	if err != nil {
		t.Fatalf("OpenRedis: %v", err)
	}
	t.Cleanup(r.Close)
	return r, watch(t, r)
}

func watch(t *testing.T, r *cache.Redis) *wire {
	t.Helper()
	w := &wire{t: t, client: r.Client(), ends: map[string]time.Time{}}
	r.Client().AddHook(w)
	return w
}
