package groupware

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"signpost/internal/demo/connect"
)

// davServer is one of the three, filled with something of alice's and bob's.
type davServer struct {
	protocol, scope string
	start           func(t *testing.T, check *Check) func(context.Context, net.Listener) error
	foreign         string // path of something of bob's, where it has one
}

const (
	aliceText = "something of alice's"
	bobText   = "something of bob's"
)

func davServers() []davServer {
	logins := []string{alice, bob}
	texts := map[string]string{alice: aliceText, bob: bobText}
	return []davServer{
		{connect.CalDAV, "urn:ietf:params:oauth:scope:calendars", func(t *testing.T, check *Check) func(context.Context, net.Listener) error {
			server := NewCalendar(check, quiet(), logins)
			for login, text := range texts {
				if err := server.AddEvent(login, "one", text, time.Now()); err != nil {
					t.Fatalf("add event: %v", err)
				}
			}
			return server.Serve
		}, "/" + bob + "/calendars/default/one.ics"},
		{connect.CardDAV, "urn:ietf:params:oauth:scope:contacts", func(t *testing.T, check *Check) func(context.Context, net.Listener) error {
			server := NewContacts(check, quiet(), logins)
			for login, text := range texts {
				if err := server.AddContact(login, "one", "Carol", "carol@other.test", text); err != nil {
					t.Fatalf("add contact: %v", err)
				}
			}
			return server.Serve
		}, "/" + bob + "/contacts/default/one.vcf"},
		{connect.WebDAV, "urn:signpost:scope:files", func(t *testing.T, check *Check) func(context.Context, net.Listener) error {
			server, err := NewFiles(check, quiet(), t.TempDir(), logins)
			if err != nil {
				t.Fatalf("make files: %v", err)
			}
			for login, text := range texts {
				if err := server.AddFile(login, "one.txt", []byte(text)); err != nil {
					t.Fatalf("add file: %v", err)
				}
			}
			return server.Serve
		}, ""},
	}
}

// startDAV serves with the URL as the audience, as in the demo.
func startDAV(t *testing.T, issuer *fakeIssuer, s davServer, skip Insecure) connect.Service {
	t.Helper()
	check := issuer.check("", s.scope)
	check.Insecure = skip
	run := s.start(t, check)
	ready := make(chan string, 1)
	serve(t, func(ctx context.Context, listener net.Listener) error {
		check.Audience = "http://" + listener.Addr().String() + "/"
		ready <- check.Audience
		return run(ctx, listener)
	})
	return connect.Service{Protocol: s.protocol, URL: <-ready, Username: alice}
}

func TestDAVServersReadTheOwnThings(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	for _, s := range davServers() {
		service := startDAV(t, issuer, s, Insecure{})
		token := issuer.sign(t, issuer.claims(service.URL, s.scope, alice))
		p := program()
		if err := p.SignIn(t.Context(), service, token); err != nil {
			t.Errorf("%s: SignIn: %v", s.protocol, err)
		}
		for text, want := range map[string]bool{aliceText: true, bobText: false} {
			if got, err := p.Find(t.Context(), service, token, text); got != want || err != nil {
				t.Errorf("%s: Find(%q) = %v, %v, want %v", s.protocol, text, got, err, want)
			}
		}
		if s.foreign != "" {
			if status, _, body := request(t, http.MethodGet, service.URL+s.foreign[1:], "Bearer "+token, ""); status != http.StatusForbidden || strings.Contains(body, bobText) {
				t.Errorf("%s: GET of bob's = %d, want 403", s.protocol, status)
			}
		}
	}
}

func TestDAVServersRefuseBadTokens(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	for _, s := range davServers() {
		service := startDAV(t, issuer, s, Insecure{})
		for _, b := range issuer.badTokens(t, service.URL, s.scope, alice) {
			err := program().SignIn(t.Context(), service, b.token)
			refused, ok := errors.AsType[*connect.Refused](err)
			if !ok || refused.InvalidToken == b.scope {
				t.Errorf("%s, %s: SignIn = %v, want a refusal", s.protocol, b.name, err)
			}
			if ok && b.scope && !refused.InsufficientScope {
				t.Errorf("%s, %s: got %s, want 403 insufficient_scope", s.protocol, b.name, refused.Reply)
			}
			open := startDAV(t, issuer, s, b.skip)
			again := issuer.badTokens(t, open.URL, s.scope, alice)
			for _, same := range again {
				if same.name != b.name {
					continue
				}
				if err := program().SignIn(t.Context(), open, same.token); err != nil {
					t.Errorf("%s, %s, check off: SignIn = %v, want success", s.protocol, b.name, err)
				}
			}
		}
	}
}

// RFC 6750, section 3.1: no error code if the request lacks authentication.
func TestBearerChallenges(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	s := davServers()[0]
	service := startDAV(t, issuer, s, Insecure{})
	plain := `Bearer realm="Signpost demo", scope="` + s.scope + `"`
	for _, c := range []struct {
		name, authorization string
		status              int
		challenge           string
	}{
		{"no header", "", http.StatusUnauthorized, plain},
		{"other scheme", "Basic YTpi", http.StatusUnauthorized, plain},
		{"no token", "Bearer", http.StatusBadRequest, plain + `, error="invalid_request"`},
		{"two tokens", "Bearer a b", http.StatusBadRequest, plain + `, error="invalid_request"`},
		{"bad token", "Bearer abc", http.StatusUnauthorized, plain + `, error="invalid_token"`},
	} {
		status, challenge, _ := request(t, "PROPFIND", service.URL, c.authorization, "")
		if status != c.status || challenge != c.challenge {
			t.Errorf("%s: got %d %s, want %d %s", c.name, status, challenge, c.status, c.challenge)
		}
	}
}

func TestDAVServersKeepWhatIsPut(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	bodies := map[string][3]string{
		connect.CalDAV: {alice + "/calendars/default/new.ics", "text/calendar",
			"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//x//EN\r\nBEGIN:VEVENT\r\nUID:n\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260101T000000Z\r\nSUMMARY:new here\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"},
		connect.CardDAV: {alice + "/contacts/default/new.vcf", "text/vcard",
			"BEGIN:VCARD\r\nVERSION:4.0\r\nUID:n\r\nFN:New\r\nNOTE:new here\r\nEND:VCARD\r\n"},
		connect.WebDAV: {"new.txt", "text/plain", "new here"},
	}
	for _, s := range davServers() {
		service := startDAV(t, issuer, s, Insecure{})
		token := issuer.sign(t, issuer.claims(service.URL, s.scope, alice))
		put := bodies[s.protocol]
		if status, _, body := request(t, http.MethodPut, service.URL+put[0], "Bearer "+token, put[1], put[2]); status != http.StatusCreated {
			t.Errorf("%s: PUT = %d %s, want 201", s.protocol, status, body)
		}
		if found, err := program().Find(t.Context(), service, token, "new here"); !found || err != nil {
			t.Errorf("%s: Find after PUT = %v, %v, want true", s.protocol, found, err)
		}
		if status, _, body := request(t, http.MethodDelete, service.URL+put[0], "Bearer "+token, ""); status != http.StatusNoContent {
			t.Errorf("%s: DELETE = %d %s, want 204", s.protocol, status, body)
		}
		if found, err := program().Find(t.Context(), service, token, "new here"); found || err != nil {
			t.Errorf("%s: Find after DELETE = %v, %v, want false", s.protocol, found, err)
		}
	}
}

func request(t *testing.T, method, url, authorization, contentType string, body ...string) (status int, challenge, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(strings.Join(body, "")))
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return resp.StatusCode, resp.Header.Get("WWW-Authenticate"), string(out)
}
