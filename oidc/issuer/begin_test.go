package issuer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"signpost/internal/cache"
	"signpost/oidc/clients"
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
	i := &issuer.Issuer{Clients: &clients.Clients{}, Begun: cache, Now: time.Now}
	a, err := i.Check(t.Context(), r, q)
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

// A sign-in is answered by the issuer that it was begun at, and by no other that has
// got its provider's name meanwhile.
func TestR3AnswerOfAnotherIssuerUnderTheSameName(t *testing.T) {
	t.Parallel()
	r := realm(t, "example")
	memory := cache.NewMemory(1 << 20)
	t.Cleanup(memory.Close)
	i := &issuer.Issuer{Clients: &clients.Clients{}, Begun: memory, Now: time.Now}
	a, err := i.Check(t.Context(), r, ask(nil))
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	ticket, err := i.Begin(t.Context(), r, a, "browser")
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	state, _, err := i.Choose(t.Context(), r, ticket, "staff", "browser")
	if err != nil {
		t.Fatalf("Choose: %v", err)
	}
	p, err := issuer.Provider(r, "staff")
	if err != nil {
		t.Fatalf("Provider: %v", err)
	}
	moved := p
	moved.Issuer = "https://elsewhere.example.test"
	if _, err := i.Resume(t.Context(), r, moved, state, "browser"); !errors.Is(err, issuer.ErrGone) {
		t.Errorf("Resume for another issuer = %v, want ErrGone", err)
	}
	if _, err := i.Resume(t.Context(), r, p, state, "browser"); err != nil {
		t.Errorf("Resume for the issuer that was asked = %v, want the sign-in", err)
	}
}
