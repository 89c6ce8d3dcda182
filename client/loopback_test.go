package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signpost/client"
)

func listen(t *testing.T) *client.Loopback {
	t.Helper()
	l, err := client.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

// visit sends a request and returns status and page.
func visit(t *testing.T, method, target, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return res.StatusCode, string(page)
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	l := listen(t)
	redirectURI, err := url.Parse(l.RedirectURI())
	if err != nil || redirectURI.Scheme != "http" || redirectURI.Hostname() != "127.0.0.1" || redirectURI.Port() == "" {
		t.Fatalf("RedirectURI() = %q, want http at 127.0.0.1 and a port (RFC 8252, section 7.3)", l.RedirectURI())
	}
	for _, stray := range []struct {
		method, target, host string
		status               int
	}{
		{"GET", l.RedirectURI() + "?state=other&code=x", "", 200}, // it cannot know that this is not the answer
		{"GET", l.RedirectURI(), "", 200},
		{"POST", l.RedirectURI() + "?state=mine&code=post", "", 404},
		{"HEAD", l.RedirectURI() + "?state=mine&code=head", "", 404},
		{"GET", l.RedirectURI() + "/more?state=mine&code=path", "", 404},
		{"GET", strings.TrimSuffix(l.RedirectURI(), "/callback") + "/favicon.ico", "", 404},
		{"GET", l.RedirectURI() + "?state=mine&code=rebound", "evil.example.com", 404},
	} {
		if status, _ := visit(t, stray.method, stray.target, stray.host); status != stray.status {
			t.Errorf("%s %s (host %q): status %d, want %d", stray.method, stray.target, stray.host, status, stray.status)
		}
	}
	status, page := visit(t, "GET", l.RedirectURI()+"?state=mine&code=secret-code&iss=x", "")
	if status != http.StatusOK || !strings.Contains(page, "go back to your program") || strings.Contains(page, "secret") {
		t.Errorf("status %d, page %q, want a page without the code", status, page)
	}
	answer, err := l.Wait(t.Context(), "mine")
	if err != nil || answer.Get("code") != "secret-code" || answer.Get("iss") != "x" {
		t.Errorf("Wait = %v, %v, want the answer of this sign-in", answer, err)
	}
	if res, err := http.Get(l.RedirectURI() + "?state=mine&code=again"); err == nil {
		res.Body.Close()
		t.Error("it answers a second time")
	}
}

// However much other programs send before anybody waits, nothing hangs.
func TestLoopbackDropsWhatNobodyReads(t *testing.T) {
	t.Parallel()
	l := listen(t)
	for range 50 {
		if status, _ := visit(t, "GET", l.RedirectURI()+"?state=other", ""); status != http.StatusOK {
			t.Fatalf("status %d, want 200", status)
		}
	}
}

func TestLoopbackEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := listen(t).Wait(ctx, "mine"); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v, want the context's error", err)
	}
}
