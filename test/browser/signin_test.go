// Package browser signs in to the demo in a real Chromium, as a person does: what
// no HTTP client checks is whether a browser lets them, under the content security
// policy, the cookies' rules and the redirects of three hosts.
package browser

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"signpost/client"
	"signpost/internal/demo/stage"
)

// patience is how long a page may take on a busy machine.
const patience = 90 * time.Second

// chromium finds the browser. Where CI is set a machine without one fails the
// test: make test-all promises that it ran.
func chromium(t *testing.T) string {
	t.Helper()
	path := os.Getenv("SIGNPOST_TEST_CHROMIUM")
	if path == "" {
		path = "chromium"
	}
	found, err := exec.LookPath(path)
	switch {
	case err == nil:
		return found
	case os.Getenv("SIGNPOST_TEST_ALL") != "" || os.Getenv("CI") != "":
		t.Fatalf("no Chromium: %v; install Debian's package chromium or set SIGNPOST_TEST_CHROMIUM", err)
	default:
		t.Skipf("no Chromium: %v; make test-all runs this", err)
	}
	return ""
}

// newTab starts a browser of its own with an empty profile.
func newTab(t *testing.T, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	options = append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.Headless, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(t.TempDir()),
	}, options...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// scene is a demo and a client that has asked for a sign-in.
type scene struct {
	*stage.Stage
	client    *client.Client
	discovery client.Discovery
	ask       client.Authorization
	loopback  *client.Loopback
}

func newScene(t *testing.T) scene {
	t.Helper()
	s, err := stage.Start(t.Context(), stage.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("start the demo: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the demo: %v", err)
		}
	})
	c := &client.Client{Server: s.URL}
	d, err := c.Discover(t.Context(), "alice@example.test")
	if err != nil {
		t.Fatalf("discover: %v", err)
	}
	l, err := client.Listen(t.Context())
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	ask, err := c.Authorize(d, l.RedirectURI(), "", "alice@example.test")
	if err != nil {
		t.Fatalf("authorize: %v", err)
	}
	return scene{s, c, d, ask, l}
}

// toConsent goes from Signpost's first page through the identity provider's form.
func (s scene) toConsent(t *testing.T) chromedp.Action[chromedp.Void] {
	t.Helper()
	alice, _ := s.World.Person("alice@example.test")
	return chromedp.Steps(
		chromedp.Navigate(s.ask.URL),
		chromedp.WaitVisible(chromedp.CSS(`a.choice`)),
		chromedp.Click(chromedp.CSS(`a.choice`)),
		chromedp.WaitVisible(chromedp.CSS(`input[type=password]`)),
		chromedp.SetValue(chromedp.CSS(`input[name=username]`), alice.Username),
		chromedp.SendKeys(chromedp.CSS(`input[type=password]`), alice.Password),
		chromedp.Submit(chromedp.CSS(`input[type=password]`)),
		chromedp.WaitVisible(chromedp.CSS(`button[value=allow]`)),
	)
}

// answer waits for the browser at the client's loopback address.
func (s scene) answer(t *testing.T) url.Values {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	values, err := s.loopback.Wait(ctx, s.ask.State)
	if err != nil {
		t.Fatalf("the browser never came to the client: %v", err)
	}
	return values
}

func TestSignInInChromium(t *testing.T) {
	t.Parallel()
	ctx := newTab(t)
	s := newScene(t)
	if err := chromedp.Do(ctx, s.toConsent(t)); err != nil {
		t.Fatalf("sign in: %v", err)
	}
	// The stylesheet came, under the policy that allows nothing else.
	look := `getComputedStyle(document.querySelector("button[value=allow]")).cursor + " on " + document.title`
	if got, err := chromedp.Run(ctx, chromedp.Evaluate[string](look)); err != nil || !strings.HasPrefix(got, "pointer on ") || len(got) < 15 {
		t.Errorf("consent page: %q, %v; want the stylesheet's pointer and a title", got, err)
	}
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`button[value=allow]`))); err != nil {
		t.Fatalf("allow: %v", err)
	}
	tokens, err := s.client.Redeem(t.Context(), s.discovery, s.ask, s.answer(t))
	if err != nil {
		t.Fatalf("redeem: %v", err)
	}
	document, _, _, err := s.client.Document(t.Context(), s.discovery, tokens.AccessToken, "")
	if err != nil || len(document.Services()) != 5 {
		t.Errorf("configuration: %d services, %v; want 5", len(document.Services()), err)
	}
	if n := s.World.PasswordsSeen(); n != 0 {
		t.Errorf("Signpost was given %d passwords", n)
	}
}

func TestDenyInChromium(t *testing.T) {
	t.Parallel()
	ctx := newTab(t)
	s := newScene(t)
	if err := chromedp.Do(ctx, s.toConsent(t), chromedp.Click(chromedp.CSS(`button[value=deny]`))); err != nil {
		t.Fatalf("deny: %v", err)
	}
	if got := s.answer(t); got.Get("error") != "access_denied" || got.Has("code") {
		t.Errorf("answer %v, want access_denied and no code", got)
	}
}

// The consent page works without JavaScript, and going back to it says what to do.
func TestConsentPageCannotBeUsedTwice(t *testing.T) {
	t.Parallel()
	ctx := newTab(t, chromedp.Flag("blink-settings", "scriptEnabled=false"))
	s := newScene(t)
	if err := chromedp.Do(ctx, s.toConsent(t)); err != nil {
		t.Fatalf("sign in: %v", err)
	}
	consent, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		t.Fatalf("where am I: %v", err)
	}
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`button[value=allow]`))); err != nil {
		t.Fatalf("allow: %v", err)
	}
	s.answer(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(consent)); err != nil {
		t.Fatalf("open the consent page again: %v", err)
	}
	body, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(`main`)))
	if err != nil || !strings.Contains(body, "again") {
		t.Errorf("page says %q, %v; want that one starts again", body, err)
	}
}
