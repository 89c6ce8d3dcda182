package client

import (
	"errors"
	"fmt"
	"strings"
)

// What went wrong, by what the caller should tell the person. An error that has to
// do with the provider wraps one of these or is an *Error.
var (
	// ErrAddress means that this is not an address. Ask for it again.
	ErrAddress = errors.New("client: not an address")

	// ErrNotServed means that no provider was found for this address. Say so, and
	// offer to set the account up by hand.
	ErrNotServed = errors.New("client: no provider found for this address")

	// ErrUnreachable means that the provider cannot be reached or cannot answer
	// now. Ask the person to check the connection and try again later.
	ErrUnreachable = errors.New("client: provider cannot be reached")

	// ErrMalformed means that the provider answered something that its protocols
	// do not allow. The person can only tell the provider's administrator.
	ErrMalformed = errors.New("client: provider's answer cannot be used")

	// ErrUnsupported means that the provider lacks what a native client needs:
	// PKCE with S256, a client id that fits, bearer tokens, a configuration. Offer
	// to set the account up by hand.
	ErrUnsupported = errors.New("client: provider lacks what is needed")

	// ErrInsecure means that the next step would go over a connection without
	// encryption. Do not go on, and do not offer to.
	ErrInsecure = errors.New("client: connection would not be encrypted")

	// ErrForeignHost means that an answer wants a token or a question sent to a
	// host that is not the issuer's. Do not go on: somebody may be after the token.
	ErrForeignHost = errors.New("client: host is not the issuer's")

	// ErrIssuerMismatch means that an answer came from another issuer than the
	// question went to. Do not go on: somebody may be in between (RFC 9700,
	// section 4.4). Begin again with Discover.
	ErrIssuerMismatch = errors.New("client: answer of another issuer")

	// ErrState means that the answer in the browser belongs to another sign-in, or
	// to none. Ignore it and wait on, or begin a new sign-in.
	ErrState = errors.New("client: answer to another sign-in")

	// ErrIDToken means that the ID token cannot be trusted, or that the keys to
	// check it could not be had. Throw the tokens away and begin a new sign-in.
	ErrIDToken = errors.New("client: ID token cannot be trusted")
)

// Error is a refusal by the provider, in the words of OAuth 2.0 (RFC 6749,
// section 4.1.2.1 and section 5.2). Package oidc has the codes. "access_denied"
// means that the person said no; "invalid_grant" and "invalid_token" that a new
// sign-in is needed, or for an access token a Refresh.
type Error struct {
	Code        string // "invalid_grant"
	Description string // for developers, in the provider's words; may be empty
	Status      int    // HTTP status; zero if the answer came through the browser
}

// Error returns code, description and status.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("client: provider refused: ")
	b.WriteString(e.Code)
	if e.Description != "" {
		b.WriteString(": " + e.Description)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " (status %d)", e.Status)
	}
	return b.String()
}

// refusal makes an Error of what a provider sent. Characters beyond those of
// RFC 6749, section 5.2 are left out, so that a terminal can show the rest.
func refusal(code, description string, status int) *Error {
	return &Error{Code: printable(code), Description: printable(description), Status: status}
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return -1
		}
		return r
	}, text)
}

func malformed(format string, values ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, values...))
}
