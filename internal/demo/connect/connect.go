// Package connect is a small mail, calendar, contact and file program: it signs
// in to a service of the configuration document with a token and reads, or
// submits, as programs on people's devices do. The demo's walk ends here: a
// service works when this package can read back what was put there.
package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Service is what a program learns about a service from the configuration.
type Service struct {
	Protocol  string // imap, submission, caldav, carddav or webdav
	Host      string // of a mail service
	Port      int
	URL       string // of an HTTP service
	Username  string // login name
	Mechanism string // of a mail service: OAuthBearer or XOAuth2
}

// The protocols, as the configuration document names them.
const (
	IMAP       = "imap"
	Submission = "submission"
	CalDAV     = "caldav"
	CardDAV    = "carddav"
	WebDAV     = "webdav"
)

// ErrProtocol means that the service speaks something this package does not.
var ErrProtocol = errors.New("connect: unknown protocol")

// Refused says that the server did not take the token, and how it said so.
type Refused struct {
	Reply             string // in short: "NO [AUTHENTICATIONFAILED]", "535", "401 invalid_token"
	Detail            string // what came with it: the JSON of SASL, or the WWW-Authenticate header
	InvalidToken      bool   // the reply is the one that says that the token is not valid here
	InsufficientScope bool   // the reply is 403 and says that the token does not go far enough
}

// Error returns the reply and what came with it.
func (r *Refused) Error() string { return "refused: " + r.Reply + " " + r.Detail }

// Program makes connections and counts what goes back and forth.
type Program struct {
	HTTP *http.Client // the token is added to each request; no redirect is followed
	// Trips counts round trips: HTTP requests, and on a mail connection each time
	// the program had to wait for the server's answer.
	Trips *atomic.Int64
}

const timeout = 10 * time.Second // for one connection, from dialling to the end

// SignIn connects, signs in with the token, and leaves. It returns nil if the
// token was taken and *Refused if not.
func (p *Program) SignIn(ctx context.Context, s Service, token string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch s.Protocol {
	case IMAP:
		client, err := p.openIMAP(ctx, s, token)
		if err != nil {
			return err
		}
		return closeIMAP(client)
	case Submission:
		client, err := p.openSubmission(ctx, s, token)
		if err != nil {
			return err
		}
		return client.Quit()
	case CalDAV, CardDAV, WebDAV:
		return p.propfind(ctx, s, token)
	}
	return fmt.Errorf("%w %q", ErrProtocol, s.Protocol)
}

// Find reports whether the text stands in something that the service holds for
// its user: a message in the INBOX, an event, a contact, a file. A refused token
// is *Refused.
func (p *Program) Find(ctx context.Context, s Service, token, text string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch s.Protocol {
	case IMAP:
		return p.findMessage(ctx, s, token, text)
	case CalDAV:
		return p.findEvent(ctx, s, token, text)
	case CardDAV:
		return p.findContact(ctx, s, token, text)
	case WebDAV:
		return p.findFile(ctx, s, token, text)
	}
	return false, fmt.Errorf("%w %q", ErrProtocol, s.Protocol)
}

// dial opens a mail connection that counts its round trips and ends with ctx.
func (p *Program) dial(ctx context.Context, s Service) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
	if err != nil {
		return nil, err
	}
	// Not a deadline: the libraries set those themselves.
	context.AfterFunc(ctx, func() { conn.Close() })
	return &countedConn{Conn: conn, trips: p.Trips}, nil
}

// countedConn counts a round trip when something arrives after something was
// sent. The greeting is none.
type countedConn struct {
	net.Conn
	trips *atomic.Int64
	asked atomic.Bool
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.asked.Store(true)
	return c.Conn.Write(b)
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.asked.Swap(false) {
		c.trips.Add(1)
	}
	return n, err
}
