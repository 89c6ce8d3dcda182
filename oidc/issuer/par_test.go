package issuer_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
)

// TestRFC9126ReferencesExpire: a reference lives as long as expires_in says (RFC 9126,
// section 2.2).
func TestRFC9126ReferencesExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i, r := asked(t)
		pushed, err := i.Push(t.Context(), r, issuer.Call{Form: ask(nil)})
		if err != nil {
			t.Fatalf("Push: %v", err)
		}
		lifetime := time.Duration(pushed.ExpiresIn) * time.Second
		q := url.Values{"client_id": {"open"}, "request_uri": {pushed.RequestURI}}
		for _, step := range []struct {
			wait  time.Duration
			there bool
		}{{lifetime - time.Second, true}, {2 * time.Second, false}} {
			time.Sleep(step.wait)
			_, err := i.Check(t.Context(), r, q)
			unproven, gone := errors.AsType[*issuer.Unproven](err)
			if gone == step.there || gone && unproven.Page != "expired" {
				t.Errorf("%v later: %v, want the request there: %v", step.wait, err, step.there)
			}
		}
	})
}

// TestRFC9126PolicyIsAskedAgain: a client that may not ask any more when the browser comes
// gets no page.
func TestRFC9126PolicyIsAskedAgain(t *testing.T) {
	t.Parallel()
	i, r := asked(t)
	pushed, err := i.Push(t.Context(), r, issuer.Call{Form: ask(nil)})
	if err != nil {
		t.Fatalf("Push: %v", err)
	}
	closed := *r
	closed.Clients = directory.ClientPolicy{OpenOff: true}
	_, err = i.Check(t.Context(), &closed, url.Values{"client_id": {"open"}, "request_uri": {pushed.RequestURI}})
	if unproven, ok := errors.AsType[*issuer.Unproven](err); !ok || unproven.Page != "bad_client" {
		t.Errorf("Check after the client was switched off: %v, want the page bad_client", err)
	}
}

// TestRFC6749RedirectKeepsItsQuery: "The query component MUST be retained when adding
// additional query parameters" (RFC 6749, section 3.1.2).
func TestRFC6749RedirectKeepsItsQuery(t *testing.T) {
	t.Parallel()
	for _, redirect := range []string{
		"https://app.example.test/cb", "https://app.example.test/cb?tenant=1&x=%26", "com.example.app:/cb", "oc://android.opencloud.eu", "http://127.0.0.1:1/",
	} {
		d := &issuer.Denied{Ask: issuer.Ask{RedirectURI: redirect, State: "a&b=c#d"}, Err: oidc.E(oidc.CodeAccessDenied, "no")}
		location := d.RedirectError(base)
		rest, found := strings.CutPrefix(location, redirect)
		u, err := url.Parse(location)
		if !found || err != nil || u.Fragment != "" || strings.Count(location, "?") != 1 {
			t.Errorf("%s: sent to %s (%v)", redirect, location, err)
			continue
		}
		own, _ := url.Parse(redirect)
		for name := range own.Query() {
			if u.Query().Get(name) != own.Query().Get(name) {
				t.Errorf("%s: %s is %q in the answer %s", redirect, name, u.Query().Get(name), location)
			}
		}
		if u.Query().Get("iss") != base || u.Query().Get("state") != "a&b=c#d" || u.Query().Get("error") == "" {
			t.Errorf("%s: the answer is %s", redirect, rest)
		}
	}
}

// TestRFC8628DeviceHasNoRedirect: what is refused on the way ends on a page of ours.
func TestRFC8628DeviceHasNoRedirect(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{"access_denied": "denied", "login_required": "failed", "server_error": "failed"} {
		d := &issuer.Denied{Ask: issuer.Ask{Device: "x", RedirectURI: "https://evil.test/"}, Err: oidc.E(code, "no")}
		if got := d.RedirectError(base); got != base+"/device?result="+want {
			t.Errorf("%s: sent to %s, want the page that says %s", code, got, want)
		}
	}
}
