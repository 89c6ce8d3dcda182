package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signpost/internal/servertest"
	"signpost/oidc"
)

// endings are the two ways to end everything of alice.
func endings(t *testing.T, s *servertest.Server) map[string]func() {
	return map[string]func(){
		"by the person": func() {
			b := newBrowser(t)
			b.ends(s.URL, b.toAccount(s.URL), "decision", "end-all")
		},
		"by an administrator": func() {
			_, err := s.EndGrants(t, servertest.Tenant, aliceAddress, "")
			must(t, err)
		},
	}
}

// TestR21EndOfEverythingEndsSessions at the person's own page: else whoever has one there goes on making app passwords.
func TestR21EndOfEverythingEndsSessions(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	for name, end := range endings(t, s) {
		thief := newBrowser(t)
		open := thief.toAccount(s.URL)
		end()
		if p := thief.makes(s.URL, open, "", imapHost); shownPassword.MatchString(p.body) || !asksIn(p) {
			t.Errorf("ended %s: a session of before makes an app password, or is not asked to sign in: %d\n%s", name, p.status, p.body)
		}
		if p := thief.get(s.URL + "/account"); !asksIn(p) {
			t.Errorf("ended %s: a session of before opens the page: %d", name, p.status)
		}
		if p := thief.makes(s.URL, thief.toAccount(s.URL), "", imapHost); !shownPassword.MatchString(p.body) {
			t.Errorf("ended %s: whoever signs in anew gets none:\n%s", name, p.body)
		}
	}
	if living := rows(t, s, `SELECT id FROM app_passwords WHERE ended_at IS NULL`); len(living) != 1 {
		t.Errorf("%d app passwords live, want the one that was made after the last end", len(living))
	}
}

// TestR21EndOfOneProgramEndsNoSession: only who ends everything signs the person out elsewhere.
func TestR21EndOfOneProgramEndsNoSession(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	in := signedIn(t, s.URL, nil)
	b, other := newBrowser(t), newBrowser(t)
	other.toAccount(s.URL)
	b.ends(s.URL, b.toAccount(s.URL), "grant", grantOf(t, in))
	_, err := s.EndGrants(t, servertest.Tenant, aliceAddress, "open")
	must(t, err)
	if p := other.get(s.URL + "/account"); !isAccount(p) {
		t.Errorf("after the end of one program: %d, want the session alive", p.status)
	}
}

// TestR21WhoEndsEverythingStays on the page, with a new secret: a copy of the old one opens nothing.
func TestR21WhoEndsEverythingStays(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	b := newBrowser(t)
	p := b.toAccount(s.URL)
	old := b.secretOf(s.URL, sessionCookie)
	for range 2 { // the second time there is nothing to end, and sessions end all the same
		if p = b.ends(s.URL, p, "decision", "end-all"); !isAccount(p) {
			t.Fatalf("after the end of everything: %d\n%s", p.status, p.body)
		}
	}
	if now := b.secretOf(s.URL, sessionCookie); now == old || now == "" {
		t.Errorf("the session has the secret %q, want a new one", now)
	}
	if p := ask(t, http.MethodGet, s.URL+"/account", header("Cookie", sessionCookie+"="+old)); !asksIn(p) {
		t.Errorf("the old secret opens the page: %d", p.status)
	}
	if made := b.makes(s.URL, p, "", imapHost); !shownPassword.MatchString(made.body) {
		t.Errorf("who ended everything gets no new app password:\n%s", made.body)
	}
}

// TestR21EndOfEverythingEndsWhatIsUnderWay: a code, a page that asks and a device code of before make no sign-in after it.
func TestR21EndOfEverythingEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for name, end := range endings(t, s) {
		code := newBrowser(t).signIn(authorizeURL(s.URL, nil)).Get("code")
		asked := newBrowser(t)
		ticket, _ := asked.toConsent(authorizeURL(s.URL, nil))
		allowed, waits := newDevice(t, s.URL), newDevice(t, s.URL)
		device := newBrowser(t)
		allowedTicket, _ := device.toDeviceConsent(allowed)
		device.allows(allowed, allowedTicket, "allow").endsWith(t, "allowed")
		waitsTicket, _ := device.toDeviceConsent(waits)

		end()
		if a := token(t, s.URL, codeForm(code)); a.Error != oidc.CodeInvalidGrant || a.AccessToken != "" {
			t.Errorf("ended %s, a code: %d %q, want invalid_grant", name, a.Status, a.Error)
		}
		if p := asked.post(s.URL+"/consent", url.Values{"ticket": {ticket}, "decision": {"allow"}}); p.status != http.StatusBadRequest || strings.Contains(p.body, "code=") {
			t.Errorf("ended %s, a page that asked: %d at %v, want that it is over", name, p.status, p.url)
		}
		allowed.poll(oidc.CodeInvalidGrant)
		if p := device.allows(waits, waitsTicket, "allow"); p.status != http.StatusBadRequest {
			t.Errorf("ended %s, a page that asked for a device: %d at %v, want that it is over", name, p.status, p.url)
		}
		waits.poll(oidc.CodeAuthorizationPending)
		alive(t, s.URL, signedIn(t, s.URL, nil), "signed in after it was ended "+name)
	}
	if kept := rows(t, s, `SELECT id FROM grants WHERE ended_at IS NULL`); len(kept) != 1 {
		t.Errorf("%d grants live, want the one of the last sign-in", len(kept))
	}
}
