// Package client is Signpost's way as a native client walks it:
//
//  1. Discover: from an address to the issuer by WebFinger (RFC 7033), then to
//     its metadata (RFC 8414) and to the scopes that open everything.
//  2. Authorize: make the address of the sign-in page, with PKCE (RFC 7636), and
//     show it in the system browser (RFC 8252); Loopback receives the answer.
//  3. Redeem: check the answer (RFC 9207) and trade it for one broad token.
//     SignIn joins steps 2 and 3.
//  4. Document: fetch the person's own configuration with the broad token.
//  5. Exchange: trade the broad token for a narrow one of one service (RFC 8693).
//     Bundle is steps 4 and 5 in one request: the configuration with a token in each service.
//  6. Refresh: stay signed in, and look for a changed configuration.
//
// Connecting to the mail or calendar server with the narrow token is the
// program's own work. Errors say what to tell the person; see errors.go. No
// secret, token or address is ever part of an error's text.
package client

import (
	"net/http"
	"time"
)

// Client talks to providers. The zero Client is ready to use, and safe for
// concurrent use as long as its fields are left alone.
type Client struct {
	// HTTP sends the requests. Nil means the default transport and 20 s for a
	// request with its answer. Its cookie jar and its handling of redirects are
	// not used: only WebFinger follows redirects, and that by rules of its own.
	HTTP *http.Client

	// Server replaces DNS: the base URL of the server that is asked by WebFinger
	// instead of the address's domain. It may be http only with a literal
	// loopback address: "http://127.0.0.1:8080". Optional.
	Server string

	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}
