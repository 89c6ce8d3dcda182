package browser

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// send puts a form to an endpoint for programs and reads the answer.
func (s scene) send(t *testing.T, path string, form url.Values, into any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.discovery.Issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("POST %s: %v", path, err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatalf("answer of %s: %v", path, err)
	}
	return res.StatusCode
}

// A device shows a code, a person follows its link in a browser without scripts, says
// that they started it, signs in and allows: no step is skipped, and none is held back by the
// content security policy.
func TestDeviceInChromium(t *testing.T) {
	t.Parallel()
	ctx := newTab(t, chromedp.Flag("blink-settings", "scriptEnabled=false"))
	s := newScene(t)
	alice, _ := s.World.Person("alice@example.test")
	var device struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
		Complete   string `json:"verification_uri_complete"`
	}
	asked := url.Values{"client_id": {"open"}, "scope": {"openid urn:ietf:params:oauth:scope:mail"}}
	if status := s.send(t, "/device_authorization", asked, &device); status != http.StatusOK {
		t.Fatalf("device authorization: %d", status)
	}
	if err := chromedp.Do(ctx,
		chromedp.Navigate(device.Complete),
		chromedp.WaitVisible(chromedp.CSS(`svg.qr`)),
		chromedp.Submit(chromedp.CSS(`input[name=user_code]`)),
		chromedp.WaitVisible(chromedp.CSS(`button[value=allow]`)),
	); err != nil {
		t.Fatalf("enter the code: %v", err)
	}
	page, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(`main`)))
	if err != nil || !strings.Contains(page, device.UserCode) || !strings.Contains(page, "Did you start this just now?") {
		t.Fatalf("the page says %q, %v; want the code and the question", page, err)
	}
	if err := chromedp.Do(ctx,
		chromedp.Click(chromedp.CSS(`button[value=allow]`)),
		chromedp.WaitVisible(chromedp.CSS(`a.choice`)),
		chromedp.Click(chromedp.CSS(`a.choice`)),
		chromedp.WaitVisible(chromedp.CSS(`input[type=password]`)),
		chromedp.SetValue(chromedp.CSS(`input[name=username]`), alice.Username),
		chromedp.SendKeys(chromedp.CSS(`input[type=password]`), alice.Password),
		chromedp.Submit(chromedp.CSS(`input[type=password]`)),
		chromedp.WaitVisible(chromedp.CSS(`button[value=allow]`)),
		chromedp.Click(chromedp.CSS(`button[value=allow]`)),
		chromedp.WaitVisible(chromedp.CSS(`section.next`)),
	); err != nil {
		t.Fatalf("sign in and allow: %v", err)
	}
	if page, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(`main`))); err != nil || !strings.Contains(page, "Go back to your device") {
		t.Errorf("the page at the end says %q, %v; want that one goes back to the device", page, err)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
	}
	redeem := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"open"}, "device_code": {device.DeviceCode}}
	if status := s.send(t, "/token", redeem, &answer); status != http.StatusOK || answer.AccessToken == "" {
		t.Errorf("redeem: %d %s, want a token", status, answer.Error)
	}
}
