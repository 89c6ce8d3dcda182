package clients_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"signpost/directory"
	"signpost/oidc/clients"
)

// TestR15LimitPerOwner: hosts below one registered name are one, and those below a name under
// which everybody may register are not.
func TestR15LimitPerOwner(t *testing.T) {
	t.Parallel()
	c, _ := hosted(t)
	r := realm(t, "example", nil)
	var asked []string
	c.Fetch = &http.Client{Transport: roundTrip(func(request *http.Request) (*http.Response, error) {
		asked = append(asked, request.URL.Host)
		return httptest.NewRecorder().Result(), nil
	})}
	for i := range 10 {
		unknown(t, c.Clients, r, fmt.Sprintf("https://a%d.evil.example/x", i))
	}
	for _, id := range []string{"https://a11.evil.example/x", "https://evil.example/x", "https://x.y.evil.example/x"} {
		unavailable(t, c.Clients, r, id)
	}
	if len(asked) != 10 {
		t.Errorf("asked %v, want 10 hosts", asked)
	}
	for i := range 11 {
		unknown(t, c.Clients, r, fmt.Sprintf("https://good%d.example/x", i))
		unknown(t, c.Clients, r, fmt.Sprintf("https://good%d.co.uk/x", i))
		unknown(t, c.Clients, r, fmt.Sprintf("https://good%d.github.io/x", i))
	}
	unknown(t, c.Clients, r, "https://github.io/x") // a public suffix itself
}

// TestR15SlowHostsHoldOnlyTheirShare: the hosts of one owner have four of the 32 places,
// and who finds none of them free uses up no count.
func TestR15SlowHostsHoldOnlyTheirShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := newRigWithoutCache(t), realm(t, "example", nil)
		counted := &counting{}
		c.Documents = counted
		gate := make(chan struct{})
		c.Fetch = &http.Client{Transport: roundTrip(func(request *http.Request) (*http.Response, error) {
			if strings.HasSuffix(request.URL.Host, ".evil.example") {
				select {
				case <-gate:
				case <-request.Context().Done():
					return nil, request.Context().Err()
				}
			}
			return httptest.NewRecorder().Result(), nil
		})}
		var waiting sync.WaitGroup
		for i := range 4 {
			waiting.Go(func() { _, _ = c.Find(t.Context(), r, fmt.Sprintf("https://a%d.evil.example/x", i)) })
		}
		synctest.Wait()
		unavailable(t, c.Clients, r, "https://a4.evil.example/x")
		if counted.asked != 4 {
			t.Errorf("%d were counted, want the four that were read", counted.asked)
		}
		unknown(t, c.Clients, r, "https://good.example/x")
		close(gate)
		waiting.Wait()
		unknown(t, c.Clients, r, "https://a4.evil.example/x")
	})
}

type counting struct {
	forgetful
	mu    sync.Mutex
	asked int
}

func (c *counting) Allow(context.Context, string, int, time.Duration) (bool, time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return true, 0, nil
}

// TestR15APanicEndsNoProcess: it ends neither the process nor the reading of other documents, gives
// its place back, and tells nothing of what a stranger wrote.
func TestR15APanicEndsNoProcess(t *testing.T) {
	t.Parallel()
	c := newRig(t)
	fresh(c)
	r := realm(t, "example", nil)
	c.Fetch = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { panic("a stranger's text") })}
	for range 40 {
		_, err := c.Find(t.Context(), r, urlID)
		if !errors.Is(err, clients.ErrUnavailable) || strings.Contains(err.Error(), "stranger") || !strings.Contains(err.Error(), "panic") {
			t.Fatalf("got %v, want ErrUnavailable by a panic without its text", err)
		}
	}
}

// TestR7URLIDsAreNoAudiences: what is an audience, an issuer or a resource server of any tenant
// is no client, and nobody is asked about it.
func TestR7URLIDsAreNoAudiences(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	snapshot, err := directory.Compile(base, []directory.Tenant{
		{Name: "example", Placement: directory.PlacementPath, ResourceServers: []directory.ResourceServer{{Name: "https://example.com/server"}}},
		{Name: "other", Placement: directory.PlacementPath, Services: []directory.Service{{
			ID: "files", Protocol: directory.ProtocolWebDAV, Audience: "https://example.com/dav/", Endpoints: []directory.Endpoint{{URL: "https://example.com/dav/"}},
		}}},
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range snapshot.Realms() {
		for _, id := range []string{"https://example.com/dav/", "https://example.com/dav", "https://example.com/server", base + "/t/example", base + "/t/other"} {
			h.set(described(func(d map[string]any) { d["client_id"] = id }))
			unknown(t, c.Clients, r, id)
		}
	}
	if h.count() != 0 {
		t.Errorf("asked for %v", h.asked)
	}
}

// TestR15TogetherIsOneRequest: many who ask for the same document at once make one request.
func TestR15TogetherIsOneRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := newRigWithoutCache(t), realm(t, "example", nil)
		gate := make(chan struct{})
		var asked int
		good := described(nil)
		c.Fetch = &http.Client{Transport: roundTrip(func(request *http.Request) (*http.Response, error) {
			asked++
			<-gate
			w := httptest.NewRecorder()
			good(w, request)
			return w.Result(), nil
		})}
		first, hangUp := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := c.Find(first, r, urlID); !errors.Is(err, clients.ErrUnavailable) {
				t.Errorf("who hung up got %v, want ErrUnavailable", err)
			}
		})
		synctest.Wait()
		for range 20 {
			waiting.Go(func() {
				if _, err := c.Find(t.Context(), r, urlID); err != nil {
					t.Errorf("who waited got %v", err)
				}
			})
		}
		synctest.Wait()
		hangUp()
		synctest.Wait()
		close(gate)
		waiting.Wait()
		if asked != 1 {
			t.Errorf("asked %d times, want once", asked)
		}
	})
}

// TestR15AtOnce: not more than 32 documents are read at once.
func TestR15AtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := newRigWithoutCache(t), realm(t, "example", nil)
		gate := make(chan struct{})
		c.Fetch = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			<-gate
			return httptest.NewRecorder().Result(), nil
		})}
		var waiting sync.WaitGroup
		for i := range 32 {
			waiting.Go(func() { _, _ = c.Find(t.Context(), r, fmt.Sprintf("https://h%d.example/x", i)) })
		}
		synctest.Wait()
		unavailable(t, c.Clients, r, urlID)
		close(gate)
		waiting.Wait()
		unknown(t, c.Clients, r, urlID) // and then it is asked: what answers has no type
	})
}

// TestR15FiveSeconds: a host that is dialled and then says nothing is given up.
func TestR15FiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, r := newRigWithoutCache(t), realm(t, "example", nil)
		c.Fetch = clients.NewFetch(func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			t.Cleanup(func() { _ = theirs.Close() })
			return ours, nil
		}, nil)
		start := time.Now()
		unavailable(t, c.Clients, r, urlID)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("given up after %v, want 5 s", took)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newRigWithoutCache is for synctest: no goroutine of a cache outlives the test.
func newRigWithoutCache(t testing.TB) *rig {
	t.Helper()
	c := newRig(t)
	c.Documents = forgetful{}
	return c
}

type forgetful struct{}

func (forgetful) Get(context.Context, string) ([]byte, bool, error)        { return nil, false, nil }
func (forgetful) Set(context.Context, string, []byte, time.Duration) error { return nil }
func (forgetful) Delete(context.Context, string) error                     { return nil }
func (forgetful) Allow(context.Context, string, int, time.Duration) (bool, time.Duration, error) {
	return true, 0, nil
}
