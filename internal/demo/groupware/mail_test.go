package groupware

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"signpost/internal/demo/connect"
)

const (
	imapAudience       = "imap.example.test"
	submissionAudience = "submission.example.test"
)

func program() *connect.Program {
	return &connect.Program{HTTP: http.DefaultClient, Trips: new(atomic.Int64)}
}

func mailService(t *testing.T, protocol, address, mechanism string) connect.Service {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatalf("split %q: %v", address, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatalf("port %q: %v", port, err)
	}
	return connect.Service{Protocol: protocol, Host: host, Port: number, Username: alice, Mechanism: mechanism}
}

func mailboxes(t *testing.T) *Mailboxes {
	t.Helper()
	m, err := NewMailboxes(alice, bob)
	if err != nil {
		t.Fatalf("make mailboxes: %v", err)
	}
	return m
}

func TestIMAPReadsTheOwnMailOverBothMechanisms(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	boxes := mailboxes(t)
	for login, text := range map[string]string{alice: "for alice", bob: "for bob"} {
		if _, err := boxes.Deliver(login, []byte("Subject: hello\r\n\r\n"+text+"\r\n")); err != nil {
			t.Fatalf("deliver: %v", err)
		}
	}
	server := &IMAP{issuer.check(imapAudience, mailScope), boxes, quiet()}
	address := serve(t, server.Serve)
	token := issuer.sign(t, issuer.claims(imapAudience, mailScope, alice))
	for _, mechanism := range []string{connect.OAuthBearer, connect.XOAuth2} {
		p := program()
		service := mailService(t, connect.IMAP, address, mechanism)
		for text, want := range map[string]bool{"for alice": true, "for bob": false} {
			if got, err := p.Find(t.Context(), service, token, text); got != want || err != nil {
				t.Errorf("%s: Find(%q) = %v, %v, want %v", mechanism, text, got, err, want)
			}
		}
		if p.Trips.Load() < 8 {
			t.Errorf("%s: %d round trips counted for two sessions, want at least 8", mechanism, p.Trips.Load())
		}
	}
}

func TestIMAPKnowsNoPassword(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	server := &IMAP{issuer.check(imapAudience, mailScope), mailboxes(t), quiet()}
	talk := dialLines(t, serve(t, server.Serve))
	for command, want := range map[string]string{
		"a LOGIN " + alice + ` ""`: "a NO [AUTHENTICATIONFAILED]",
		"b AUTHENTICATE PLAIN":     "b NO",
	} {
		if got := talk(command, command[:2]); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", command, got, want)
		}
	}
}

// RFC 7628, section 3.2.2 and 3.2.3: the JSON, the client's 0x01, the failure.
func TestIMAPRefusal(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	server := &IMAP{issuer.check(imapAudience, mailScope), mailboxes(t), quiet()}
	talk := dialLines(t, serve(t, server.Serve))

	message := "n,a=" + alice + ",\x01auth=Bearer bad\x01\x01"
	challenge := talk("a AUTHENTICATE OAUTHBEARER "+base64.StdEncoding.EncodeToString([]byte(message)), "+ ")
	want := `{"status":"invalid_token","scope":"` + mailScope + `","openid-configuration":"` + issuer.URL + `/.well-known/openid-configuration"}`
	if got := decoded(t, challenge, "+ "); got != want {
		t.Errorf("OAUTHBEARER: got %s, want %s", got, want)
	}
	if got := talk("AQ==", "a "); !strings.HasPrefix(got, "a NO [AUTHENTICATIONFAILED] ") {
		t.Errorf("OAUTHBEARER: got %q after 0x01, want NO [AUTHENTICATIONFAILED]", got)
	}

	message = "user=" + alice + "\x01auth=Bearer bad\x01\x01"
	challenge = talk("b AUTHENTICATE XOAUTH2 "+base64.StdEncoding.EncodeToString([]byte(message)), "+ ")
	want = `{"status":"401","schemes":"bearer","scope":"` + mailScope + `"}`
	if got := decoded(t, challenge, "+ "); got != want {
		t.Errorf("XOAUTH2: got %s, want %s", got, want)
	}
	if got := talk("", "b "); !strings.HasPrefix(got, "b NO [AUTHENTICATIONFAILED] ") {
		t.Errorf("XOAUTH2: got %q after an empty line, want NO [AUTHENTICATIONFAILED]", got)
	}
}

func TestSubmissionRefusal(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	server := &Submission{issuer.check(submissionAudience, mailScope), mailboxes(t), &Spool{}, quiet()}
	talk := dialLines(t, serve(t, server.Serve))
	talk("EHLO localhost", "250 ")

	message := "n,a=" + alice + ",\x01auth=Bearer bad\x01\x01"
	challenge := talk("AUTH OAUTHBEARER "+base64.StdEncoding.EncodeToString([]byte(message)), "334 ")
	want := `{"status":"invalid_token","scope":"` + mailScope + `","openid-configuration":"` + issuer.URL + `/.well-known/openid-configuration"}`
	if got := decoded(t, challenge, "334 "); got != want {
		t.Errorf("OAUTHBEARER: got %s, want %s", got, want)
	}
	for _, step := range [][2]string{{"AQ==", "535 "}, {"MAIL FROM:<" + alice + ">", "502 "}, {"AUTH PLAIN AGEAYg==", "504 "}} {
		if got := talk(step[0], step[1]); !strings.HasPrefix(got, step[1]) {
			t.Errorf("%s: got %q, want %s", step[0], got, step[1])
		}
	}
}

func TestSubmissionDeliversInTheOwnNameToItsOwnPeople(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	boxes, spool := mailboxes(t), &Spool{}
	server := &Submission{issuer.check(submissionAudience, mailScope), boxes, spool, quiet()}
	address := serve(t, server.Serve)
	inbox := serve(t, (&IMAP{issuer.check(imapAudience, mailScope), boxes, quiet()}).Serve)
	token := issuer.sign(t, issuer.claims(submissionAudience, mailScope, alice))
	p := program()
	for i, mechanism := range []string{connect.OAuthBearer, connect.XOAuth2} {
		text := fmt.Sprintf("marker %d", i)
		service := mailService(t, connect.Submission, address, mechanism)
		if err := p.Submit(t.Context(), service, token, alice, bob, "hello", text); err != nil {
			t.Fatalf("%s: Submit: %v", mechanism, err)
		}
		if m, ok := spool.Find(text); !ok || m.From != alice || len(m.To) != 1 || m.To[0] != bob {
			t.Errorf("%s: spool has %+v, %v, want a message from alice to bob", mechanism, m, ok)
		}
		bobs := mailService(t, connect.IMAP, inbox, connect.OAuthBearer)
		bobs.Username = bob
		found, err := p.Find(t.Context(), bobs, issuer.sign(t, issuer.claims(imapAudience, mailScope, bob)), text)
		if !found || err != nil {
			t.Errorf("%s: message in bob's INBOX = %v, %v, want true", mechanism, found, err)
		}
	}
	service := mailService(t, connect.Submission, address, connect.OAuthBearer)
	for name, c := range map[string][2]string{"in another's name": {bob, alice}, "to the world": {alice, "x@example.org"}} {
		if err := p.Submit(t.Context(), service, token, c[0], c[1], "hello", "never"); err == nil {
			t.Errorf("%s: Submit succeeded, want a refusal", name)
		}
	}
	if m, ok := spool.Find("never"); ok {
		t.Errorf("spool has %+v, want nothing of the refused messages", m)
	}
}

func TestMailServersRefuseBadTokens(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	boxes := mailboxes(t)
	for _, c := range []struct {
		protocol, audience string
		server             func(*Check) func(context.Context, net.Listener) error
	}{
		{connect.IMAP, imapAudience, func(c *Check) func(context.Context, net.Listener) error {
			return (&IMAP{c, boxes, quiet()}).Serve
		}},
		{connect.Submission, submissionAudience, func(c *Check) func(context.Context, net.Listener) error {
			return (&Submission{c, boxes, &Spool{}, quiet()}).Serve
		}},
	} {
		strict := serve(t, c.server(issuer.check(c.audience, mailScope)))
		for _, mechanism := range []string{connect.OAuthBearer, connect.XOAuth2} {
			service := mailService(t, c.protocol, strict, mechanism)
			cases := append(issuer.badTokens(t, c.audience, mailScope, alice),
				bad{name: "another user's", token: issuer.sign(t, issuer.claims(c.audience, mailScope, bob))})
			for _, b := range cases {
				err := program().SignIn(t.Context(), service, b.token)
				if refused, ok := errors.AsType[*connect.Refused](err); !ok || !refused.InvalidToken {
					t.Errorf("%s, %s, %s: SignIn = %v, want a refusal", c.protocol, mechanism, b.name, err)
				}
			}
		}
		for _, b := range issuer.badTokens(t, c.audience, mailScope, alice) {
			check := issuer.check(c.audience, mailScope)
			check.Insecure = b.skip
			service := mailService(t, c.protocol, serve(t, c.server(check)), connect.OAuthBearer)
			if err := program().SignIn(t.Context(), service, b.token); err != nil {
				t.Errorf("%s, %s, check off: SignIn = %v, want success", c.protocol, b.name, err)
			}
		}
	}
}

// dialLines returns a function that sends a line and returns the first answer
// that begins with the prefix, or the one on which the talk ended.
func dialLines(t *testing.T, address string) func(line, prefix string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	lines := bufio.NewScanner(conn)
	lines.Scan() // greeting
	return func(line, prefix string) string {
		t.Helper()
		if _, err := fmt.Fprintf(conn, "%s\r\n", line); err != nil {
			t.Fatalf("send %q: %v", line, err)
		}
		for lines.Scan() {
			if got := lines.Text(); strings.HasPrefix(got, prefix) || len(got) > 3 && got[3] == ' ' {
				return got
			}
		}
		t.Fatalf("send %q: connection ended: %v", line, lines.Err())
		return ""
	}
}

func decoded(t *testing.T, line, prefix string) string {
	t.Helper()
	out, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, prefix))
	if err != nil {
		t.Fatalf("decode %q: %v", line, err)
	}
	return string(out)
}
