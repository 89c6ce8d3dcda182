package browser

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"signpost/client"
)

// toAccount goes to the person's own page, through the identity provider's form.
func (s scene) toAccount() chromedp.Action[chromedp.Void] {
	alice, _ := s.World.Person("alice@example.test")
	return chromedp.Steps(
		chromedp.Navigate(s.discovery.Issuer+"/account"),
		chromedp.WaitVisible(chromedp.CSS(`a.choice`)),
		chromedp.Click(chromedp.CSS(`a.choice`)),
		chromedp.WaitVisible(chromedp.CSS(`input[type=password]`)),
		chromedp.SetValue(chromedp.CSS(`input[name=username]`), alice.Username),
		chromedp.SendKeys(chromedp.CSS(`input[type=password]`), alice.Password),
		chromedp.Submit(chromedp.CSS(`input[type=password]`)),
		chromedp.WaitVisible(chromedp.CSS(`button[value=sign-out]`)),
	)
}

// signedIn brings the client's sign-in to its end in a browser of its own.
func (s scene) signedIn(t *testing.T) client.Tokens {
	t.Helper()
	if err := chromedp.Do(newTab(t), s.toConsent(t), chromedp.Click(chromedp.CSS(`button[value=allow]`))); err != nil {
		t.Fatalf("allow: %v", err)
	}
	tokens, err := s.client.Redeem(t.Context(), s.discovery, s.ask, s.answer(t))
	if err != nil {
		t.Fatalf("redeem: %v", err)
	}
	return tokens
}

// A person comes from the identity provider's site to their own page, without scripts, ends a
// program's access, and signs out: the browser keeps the session's cookie on that way, and
// its policy holds back no form.
func TestAccountInChromium(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	tokens := s.signedIn(t)
	ctx := newTab(t, chromedp.Flag("blink-settings", "scriptEnabled=false"))
	if err := chromedp.Do(ctx, s.toAccount()); err != nil {
		t.Fatalf("sign in: %v", err)
	}
	if at, err := chromedp.Run(ctx, chromedp.Location()); err != nil || at != s.discovery.Issuer+"/account" {
		t.Errorf("the browser is at %s, %v; want the account page and nothing in its address", at, err)
	}
	if err := chromedp.Do(ctx,
		chromedp.Click(chromedp.CSS(`button[name=grant]`)),
		chromedp.WaitVisible(chromedp.CSS(`p[role=status]`)),
	); err != nil {
		t.Fatalf("end: %v", err)
	}
	page, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(`main`)))
	if err != nil || !strings.Contains(page, "Access has ended") || !strings.Contains(page, "No program has access") {
		t.Errorf("the page says %q, %v; want what was ended, and that nothing is left", page, err)
	}
	var answer struct {
		Error string `json:"error"`
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "client_id": {"open"}, "refresh_token": {tokens.RefreshToken}}
	if status := s.send(t, "/token", refresh, &answer); status != http.StatusBadRequest || answer.Error != "invalid_grant" {
		t.Errorf("refresh: %d %s, want invalid_grant", status, answer.Error)
	}
	if err := chromedp.Do(ctx,
		chromedp.Click(chromedp.CSS(`button[value=sign-out]`)),
		chromedp.WaitNotPresent(chromedp.CSS(`form`)),
		chromedp.Navigate(s.discovery.Issuer+"/account"),
		chromedp.WaitVisible(chromedp.CSS(`a.choice`)),
	); err != nil {
		t.Errorf("sign out: %v", err)
	}
}
