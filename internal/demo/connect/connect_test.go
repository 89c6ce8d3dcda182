package connect

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

func TestSASLMessages(t *testing.T) {
	t.Parallel()
	s := Service{Host: "127.0.0.1", Port: 1143, Username: "alice@example.test"}
	for mechanism, c := range map[string]struct{ message, answer string }{
		OAuthBearer: {"n,a=alice@example.test,\x01host=127.0.0.1\x01port=1143\x01auth=Bearer T\x01\x01", "\x01"},
		XOAuth2:     {"user=alice@example.test\x01auth=Bearer T\x01\x01", ""},
	} {
		s.Mechanism = mechanism
		client, err := newSASLClient(s, "T")
		if err != nil {
			t.Fatalf("%s: %v", mechanism, err)
		}
		if name, message, err := client.Start(); name != mechanism || string(message) != c.message || err != nil {
			t.Errorf("%s: Start = %q, %q, %v, want %q", mechanism, name, message, err, c.message)
		}
		if answer, err := client.Next([]byte(`{"status":"401"}`)); answer == nil || string(answer) != c.answer || err != nil {
			t.Errorf("%s: Next = %q, %v, want %q", mechanism, answer, err, c.answer)
		}
		if _, err := client.Next([]byte("again")); err == nil {
			t.Errorf("%s: a second challenge was answered", mechanism)
		}
	}
	s.Mechanism = "PLAIN"
	if _, err := newSASLClient(s, "T"); err == nil {
		t.Error("PLAIN: want an error")
	}
}

func TestRefusalsOfHTTP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status    int
		challenge string
		want      Refused
	}{
		{401, `Bearer realm="x", error="invalid_token"`, Refused{Reply: "401 invalid_token", InvalidToken: true}},
		{401, `bearer error=invalid_token`, Refused{Reply: "401 invalid_token", InvalidToken: true}},
		{403, `Bearer error="insufficient_scope", scope="a b"`, Refused{Reply: "403 insufficient_scope", InsufficientScope: true}},
		{403, `Bearer error="invalid_token"`, Refused{Reply: "403 invalid_token"}},
		{401, `Bearer realm="x"`, Refused{Reply: "401"}},
		{401, `Basic error="invalid_token"`, Refused{Reply: "401"}},
		{401, ``, Refused{Reply: "401"}},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer T" {
				t.Errorf("Authorization = %q, want Bearer T", r.Header.Get("Authorization"))
			}
			w.Header().Set("WWW-Authenticate", c.challenge)
			w.WriteHeader(c.status)
		}))
		t.Cleanup(server.Close)
		p := Program{HTTP: server.Client(), Trips: new(atomic.Int64)}
		c.want.Detail = c.challenge
		err := p.SignIn(t.Context(), Service{Protocol: CalDAV, URL: server.URL}, "T")
		if got, ok := errors.AsType[*Refused](err); !ok || *got != c.want {
			t.Errorf("%d %s: got %+v, want %+v", c.status, c.challenge, err, c.want)
		}
		if p.Trips.Load() != 1 {
			t.Errorf("%d round trips for one request", p.Trips.Load())
		}
	}
}

func TestATokenGoesAlongNoRedirect(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the token was sent elsewhere") }))
	t.Cleanup(elsewhere.Close)
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(server.Close)
	p := Program{HTTP: server.Client(), Trips: new(atomic.Int64)}
	if err := p.SignIn(t.Context(), Service{Protocol: WebDAV, URL: server.URL}, "T"); err == nil {
		t.Error("SignIn succeeded at a redirect")
	}
}

func TestRoundTripsAreWaits(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	var trips atomic.Int64
	conn := &countedConn{Conn: near, trips: &trips}
	buffer := make([]byte, 8)
	say := func(c net.Conn, text string) {
		t.Helper()
		if _, err := c.Write([]byte(text)); err != nil {
			t.Errorf("write: %v", err)
		}
	}
	hear := func(c net.Conn) {
		t.Helper()
		if _, err := c.Read(buffer); err != nil {
			t.Errorf("read: %v", err)
		}
	}
	go say(far, "greeting")
	hear(conn)
	for _, want := range []int64{1, 2} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			say(conn, "a")
			say(conn, "b")
		}()
		other := make([]byte, 1)
		for range 2 {
			if _, err := far.Read(other); err != nil {
				t.Fatalf("read: %v", err)
			}
		}
		<-done
		go say(far, "answered")
		hear(conn)
		if got := trips.Load(); got != want {
			t.Errorf("%d round trips, want %d", got, want)
		}
	}
}

func TestUnknownProtocol(t *testing.T) {
	t.Parallel()
	p := Program{HTTP: http.DefaultClient, Trips: new(atomic.Int64)}
	if err := p.SignIn(t.Context(), Service{Protocol: "gopher"}, "T"); !errors.Is(err, ErrProtocol) {
		t.Errorf("SignIn = %v, want %v", err, ErrProtocol)
	}
	if _, err := p.Find(t.Context(), Service{Protocol: "gopher"}, "T", "x"); !errors.Is(err, ErrProtocol) {
		t.Errorf("Find = %v, want %v", err, ErrProtocol)
	}
}
