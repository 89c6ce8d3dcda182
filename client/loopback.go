package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Loopback receives the answer of a sign-in on the loopback address
// (RFC 8252, section 7.3). It listens on 127.0.0.1 only, on a port that the
// system chooses, and is good for one sign-in.
type Loopback struct {
	host    string
	server  *http.Server
	answers chan url.Values
}

const loopbackPath = "/callback"

// maxWaiting is how many answers are kept for Wait. There is one in a sign-in;
// the others are what other programs on the same machine may send.
const maxWaiting = 16

// loopbackPage is what the browser shows in the end. It is the same whatever the
// answer was, because the page cannot know whether the program likes it.
const loopbackPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Back to your program</title>
<p>You can close this window and go back to your program.</p>
</html>
`

// Listen opens a Loopback. Close it when the sign-in is over.
func Listen(ctx context.Context) (*Loopback, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the answer: %w", err)
	}
	l := &Loopback{
		host:    listener.Addr().String(),
		answers: make(chan url.Values, maxWaiting),
	}
	l.server = &http.Server{Handler: l, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 32 << 10}
	go func() { _ = l.server.Serve(listener) }() // ends with Close, and has nothing to report but that
	return l, nil
}

// RedirectURI is the redirect URI to give to Authorize.
func (l *Loopback) RedirectURI() string { return "http://" + l.host + loopbackPath }

// Wait returns the parameters of the answer with this state, for Redeem, and
// closes the Loopback. Answers with another state are not of this sign-in and are
// dropped. It waits until ctx ends: a person may take minutes.
func (l *Loopback) Wait(ctx context.Context, state string) (url.Values, error) {
	defer l.Close()
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the answer: %w", ctx.Err())
		case answer := <-l.answers:
			if answer.Get("state") == state {
				return answer, nil
			}
		}
	}
}

// Close stops listening. It may be called more than once.
func (l *Loopback) Close() error {
	if err := l.server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("stop listening: %w", err)
	}
	return nil
}

// ServeHTTP takes the answer. A request with another host is refused: it comes
// from a website whose name was made to point here.
func (l *Loopback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Path != loopbackPath || r.Host != l.host {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(loopbackPage))) // so that Flush below sends all of it
	header.Set("Content-Security-Policy", "default-src 'none'")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer") // the URL holds the code
	w.Write([]byte(loopbackPage))
	http.NewResponseController(w).Flush() // before Wait closes the connection
	select {
	case l.answers <- r.URL.Query():
	default: // nobody reads that many
	}
}
