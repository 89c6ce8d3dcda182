package issuer_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"signpost/oidc/issuer"
)

// sized is a cache that remembers how large the largest value was.
type sized struct {
	issuer.Cache
	largest int
}

func (s *sized) Set(_ context.Context, _ string, value []byte, _ time.Duration) error {
	s.largest = max(s.largest, len(value))
	return nil
}

// What a stranger's request leaves behind does not grow beyond what was sent: "<" is
// one byte in a query and six where JSON is made fit for pages.
func TestRequestsLeaveLittleBehind(t *testing.T) {
	t.Parallel()
	r := realm(t, "example")
	angles := strings.Repeat("<", 1000)
	q := with("state", angles)
	q.Set("nonce", angles)
	q.Set("login_hint", strings.Repeat("&", 300))
	cache := &sized{}
	i := &issuer.Issuer{Begun: cache, Now: time.Now}
	a, err := i.Check(r, q)
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	if _, err := i.Begin(t.Context(), r, a, "browser"); err != nil {
		t.Fatalf("Begin: %v", err)
	}
	if sent := len(q.Encode()); cache.largest == 0 || cache.largest > sent {
		t.Errorf("the request leaves %d bytes, want some, and no more than the %d that were sent", cache.largest, sent)
	}
}
