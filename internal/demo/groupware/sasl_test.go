package groupware

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"

	"github.com/emersion/go-sasl"
)

var errFailed = errors.New("authentication failed")

// testAuth signs in whoever brings the token "good" as nobody else than alice.
func testAuth() bearerAuth {
	return bearerAuth{
		login: func(user, token string) error {
			switch {
			case token == "narrow":
				return ErrInsufficientScope
			case token != "good" || user != "" && user != alice:
				return ErrInvalidToken
			}
			return nil
		},
		failed: errFailed, scope: mailScope, issuer: "http://127.0.0.1:8480",
		hosts: loopbackNames, port: "143",
	}
}

func TestOAuthBearerMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, message, status string }{
		{"without identity", "n,,\x01auth=Bearer good\x01\x01", ""},
		{"with identity", "n,a=" + alice + ",\x01auth=Bearer good\x01\x01", ""},
		{"host and port", "n,,\x01host=127.0.0.1\x01port=143\x01auth=Bearer good\x01\x01", ""},
		{"scheme in lower case", "n,,\x01auth=bearer good\x01\x01", ""},
		{"unknown key is ignored", "n,,\x01mauth=x\x01auth=Bearer good\x01qs=\x01\x01", ""},
		{"client that could bind channels", "y,,\x01auth=Bearer good\x01\x01", ""},
		{"other identity", "n,a=" + bob + ",\x01auth=Bearer good\x01\x01", "invalid_token"},
		{"bad token", "n,,\x01auth=Bearer bad\x01\x01", "invalid_token"},
		{"narrow token", "n,,\x01auth=Bearer narrow\x01\x01", "insufficient_scope"},
		{"other host", "n,,\x01host=imap.evil.test\x01auth=Bearer good\x01\x01", "invalid_request"},
		{"other port", "n,,\x01port=144\x01auth=Bearer good\x01\x01", "invalid_request"},
		{"channel binding", "p=tls-unique,,\x01auth=Bearer good\x01\x01", "invalid_request"},
		{"identity without a=", "n,alice,\x01auth=Bearer good\x01\x01", "invalid_request"},
		{"identity with a bare equals sign", "n,a=al=ice,\x01auth=Bearer good\x01\x01", "invalid_request"},
		{"no token", "n,,\x01\x01", "invalid_request"},
		{"empty token", "n,,\x01auth=Bearer \x01\x01", "invalid_request"},
		{"two tokens", "n,,\x01auth=Bearer bad\x01auth=Bearer good\x01\x01", "invalid_request"},
		{"two words", "n,,\x01auth=Bearer good bad\x01\x01", "invalid_request"},
		{"other scheme", "n,,\x01auth=Basic good\x01\x01", "invalid_request"},
		{"end missing", "n,,\x01auth=Bearer good\x01", "invalid_request"},
		{"empty", "", "invalid_request"},
	} {
		server := &oauthBearer{auth: testAuth()}
		challenge, done, err := server.Next([]byte(c.message))
		if c.status == "" {
			if !done || err != nil {
				t.Errorf("%s: Next = %q, %v, %v, want success", c.name, challenge, done, err)
			}
			continue
		}
		want := map[string]string{
			"status": c.status, "scope": mailScope,
			"openid-configuration": "http://127.0.0.1:8480/.well-known/openid-configuration",
		}
		refusedWith(t, c.name, server, challenge, done, err, want)
	}
}

func TestXOAuth2Messages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, message string
		ok            bool
	}{
		{"good", "user=" + alice + "\x01auth=Bearer good\x01\x01", true},
		{"unknown key is ignored", "user=" + alice + "\x01vendor=x\x01auth=Bearer good\x01\x01", true},
		{"other user", "user=" + bob + "\x01auth=Bearer good\x01\x01", false},
		{"bad token", "user=" + alice + "\x01auth=Bearer bad\x01\x01", false},
		{"without user", "auth=Bearer good\x01\x01", false},
		{"two users", "user=" + bob + "\x01user=" + alice + "\x01auth=Bearer good\x01\x01", false},
		{"end missing", "user=" + alice + "\x01auth=Bearer good\x01", false},
		{"empty", "", false},
	} {
		server := &xoauth2{auth: testAuth()}
		challenge, done, err := server.Next([]byte(c.message))
		if c.ok {
			if !done || err != nil {
				t.Errorf("%s: Next = %q, %v, %v, want success", c.name, challenge, done, err)
			}
			continue
		}
		want := map[string]string{"status": "401", "schemes": "bearer", "scope": mailScope}
		refusedWith(t, c.name, server, challenge, done, err, want)
	}
}

// RFC 7628, section 3.2.3: the server sends JSON, and fails after the client's
// answer, whatever that is.
func refusedWith(t *testing.T, name string, server sasl.Server, challenge []byte, done bool, err error, want map[string]string) {
	t.Helper()
	got := make(map[string]string)
	if done || err != nil || json.Unmarshal(challenge, &got) != nil || !maps.Equal(got, want) {
		t.Errorf("%s: Next = %s, %v, %v, want %v", name, challenge, done, err, want)
	}
	for _, answer := range [][]byte{{1}, {}, nil, []byte("n,,\x01auth=Bearer good\x01\x01")} {
		if _, done, err := server.Next(answer); done || !errors.Is(err, errFailed) {
			t.Errorf("%s: Next(%q) after the refusal = %v, %v, want %v", name, answer, done, err, errFailed)
		}
	}
}

func TestSASLAsksForTheMessageThatDidNotComeAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server  sasl.Server
		message string
	}{
		mechanismOAuthBearer: {&oauthBearer{auth: testAuth()}, "n,,\x01auth=Bearer good\x01\x01"},
		mechanismXOAuth2:     {&xoauth2{auth: testAuth()}, "user=" + alice + "\x01auth=Bearer good\x01\x01"},
	} {
		challenge, done, err := c.server.Next(nil)
		if len(challenge) != 0 || done || err != nil {
			t.Errorf("%s: Next(nil) = %q, %v, %v, want an empty challenge", name, challenge, done, err)
		}
		if _, done, err := c.server.Next([]byte(c.message)); !done || err != nil {
			t.Errorf("%s: Next = %v, %v, want success", name, done, err)
		}
		if _, done, err := c.server.Next([]byte(c.message)); done || err == nil {
			t.Errorf("%s: Next after success = %v, %v, want an error", name, done, err)
		}
	}
}

func TestSASLWithoutKeysIsTemporary(t *testing.T) {
	t.Parallel()
	later := errors.New("later")
	auth := testAuth()
	auth.login = func(string, string) error { return ErrUnavailable }
	auth.unavailable = later
	for _, server := range []sasl.Server{&oauthBearer{auth: auth}, &xoauth2{auth: auth}} {
		message := "n,,\x01auth=Bearer good\x01\x01"
		if _, ok := server.(*xoauth2); ok {
			message = "user=" + alice + "\x01auth=Bearer good\x01\x01"
		}
		if _, done, err := server.Next([]byte(message)); done || !errors.Is(err, later) {
			t.Errorf("%T: Next = %v, %v, want %v", server, done, err, later)
		}
	}
}

// FuzzSASL: no message makes a server panic, and none signs anybody in without
// the checker having said yes to what it was given.
func FuzzSASL(f *testing.F) {
	f.Add([]byte("n,a="+alice+",\x01host=localhost\x01auth=Bearer good\x01\x01"), []byte{1})
	f.Add([]byte("user="+alice+"\x01auth=Bearer good\x01\x01"), []byte{})
	f.Add([]byte("n,a=a=2Cb=3D,\x01auth=Bearer bad\x01\x01"), []byte("n,,\x01auth=Bearer good\x01\x01"))
	f.Add([]byte("\x01\x01\x01"), []byte(nil))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, name := range []string{mechanismOAuthBearer, mechanismXOAuth2} {
			auth := testAuth()
			yes := false
			check := auth.login
			auth.login = func(user, token string) error {
				err := check(user, token)
				yes = err == nil
				return err
			}
			var server sasl.Server = &oauthBearer{auth: auth}
			if name == mechanismXOAuth2 {
				server = &xoauth2{auth: auth}
			}
			for _, response := range [][]byte{first, second, second} {
				_, done, err := server.Next(response)
				if done && (!yes || err != nil) {
					t.Fatalf("%s: signed in by %q, %q without the checker's yes", name, first, second)
				}
				if done || err != nil {
					break
				}
			}
		}
	})
}
