// Package upstream is the relying party: it sends people to the identity
// providers that a tenant trusts and learns who came back (OpenID Connect Core
// 1.0, authorization code flow, with PKCE of RFC 7636 and the issuer check of
// RFC 9207). Protocol and signatures are go-oidc's and x/oauth2's; what is here is
// which answers count, and what of a provider's claims may be believed (R1, R2).
// It keeps no state between the two steps: whoever calls keeps the Request and
// compares the state parameter (R3).
package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"signpost/oidc"
)

var (
	// ErrUnavailable means that the identity provider cannot be reached or that its
	// metadata are unusable. Tell the person to try again, and the operator why.
	ErrUnavailable = errors.New("upstream: identity provider unavailable")
	// ErrRejected means that what came back from the identity provider fails a
	// check. Nobody is signed in; the person may start again.
	ErrRejected = errors.New("upstream: answer of identity provider rejected")
)

// Provider is an identity provider as the operator declared it.
type Provider struct {
	Name         string   // the tenant's name for it
	Issuer       string   // exact issuer URL: https, or http on a loopback address for tests and the demo
	ClientID     string   // ours, there
	ClientSecret string   // empty for a public client
	RedirectURL  string   // where it sends people back (R3)
	Scopes       []string // asked for; openid always is
	Domains      []string // domains for which its word counts, in lower case (R1)
	AddressClaim string   // default "email"; a string or an array of strings
	AddressTrust string   // TrustEmailVerified or TrustDirectory; anything else trusts no address
	LoginClaim   string   // default "preferred_username"
	NameClaim    string   // default "name"
	KeepClaims   []string // claims of the ID token that are kept for conditions; 16 at most
}

// How a provider's word about addresses is taken (R2).
const (
	// TrustEmailVerified: an address counts when the claim email_verified is true.
	// It speaks of the claim email only, so of another AddressClaim just the
	// address that equals email counts.
	TrustEmailVerified = "email_verified"
	// TrustDirectory: every address in the provider's own domains counts.
	TrustDirectory = "directory"
)

// Request is one sign-in: made and kept by the caller between the two steps.
type Request struct {
	State     string // names the sign-in; comes back with the code
	Nonce     string // comes back inside the ID token
	Verifier  string // PKCE code verifier: 43 to 128 characters (RFC 7636, section 4.1)
	LoginHint string // the address that the person typed; may be empty
	Prompt    string // passed on: "none", "login", "select_account" or empty
	ACRValues string // passed on; may be empty. What is reached is in Person.ACR
	UILocales string // passed on; may be empty
	MaxAge    *int   // seconds, passed on; nil for no limit. Whether the answer is fresh is the caller's to check

	// ResponseIssuer is "iss" of the authorization response, empty if it had none.
	// Only Redeem looks at it (RFC 9207, section 2.4).
	ResponseIssuer string
}

// Client talks to identity providers. It is safe for use by many goroutines and
// remembers for an hour what it discovered about each issuer, up to a day if
// the issuer cannot be asked again, and for ten seconds that it could not be asked.
type Client struct {
	http *http.Client
	now  func() time.Time

	asking singleflight.Group // by issuer

	mu    sync.Mutex
	found map[string]finding // by issuer
}

// New makes a client on the transport of the given one, or on the default
// transport if that is nil. Its requests end after 10 s, follow no redirects and
// read at most 1 MiB, whatever the given one is set to. now is the clock.
func New(client *http.Client, now func() time.Time) *Client {
	return &Client{http: careful(client), now: now, found: map[string]finding{}}
}

// AuthCodeURL returns the URL to which the person's browser is sent. State, nonce
// and verifier of the request must be set. It discovers the provider if need be
// and then returns ErrUnavailable if that goes wrong.
func (c *Client) AuthCodeURL(ctx context.Context, p Provider, r Request) (string, error) {
	if r.State == "" || r.Nonce == "" || len(r.Verifier) < 43 {
		return "", errors.New("upstream: request without state, nonce or verifier")
	}
	k, err := c.discover(ctx, p.Issuer)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(r.Verifier), gooidc.Nonce(r.Nonce)}
	for name, value := range map[string]string{
		"login_hint": r.LoginHint, "prompt": r.Prompt, "acr_values": r.ACRValues, "ui_locales": r.UILocales,
	} {
		if value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	if r.MaxAge != nil {
		options = append(options, oauth2.SetAuthURLParam("max_age", strconv.Itoa(*r.MaxAge)))
	}
	return k.config(p).AuthCodeURL(r.State, options...), nil
}

// Redeem finishes the sign-in: it exchanges the code, checks the ID token, asks
// userinfo, and returns what the provider proved about the person. r must be the
// request of AuthCodeURL with ResponseIssuer filled in; the caller has compared
// the state. A code can be tried once: after an error the person starts again.
// Errors are ErrUnavailable or ErrRejected and hold neither tokens nor codes.
func (c *Client) Redeem(ctx context.Context, p Provider, r Request, code string) (oidc.Person, error) {
	if r.Nonce == "" || r.Verifier == "" || code == "" {
		return oidc.Person{}, errors.New("upstream: redemption without nonce, verifier or code")
	}
	k, err := c.discover(ctx, p.Issuer)
	if err != nil {
		return oidc.Person{}, err
	}
	if err := k.checkResponse(p.Issuer, r.ResponseIssuer); err != nil {
		return oidc.Person{}, err
	}
	ctx = gooidc.ClientContext(ctx, c.http)
	token, err := k.exchange(ctx, p, r, code)
	if err != nil {
		return oidc.Person{}, err
	}
	idToken, err := k.verify(ctx, p, r, token, c.now)
	if err != nil {
		return oidc.Person{}, err
	}
	info, err := k.userinfo(ctx, token, idToken.subject)
	if err != nil {
		return oidc.Person{}, err
	}
	return p.person(idToken, info), nil
}

// rejected and unavailable wrap a cause once, with what was being done.
func rejected(doing string, cause error) error {
	return fmt.Errorf("%w: %s: %w", ErrRejected, doing, brief{cause})
}

func unavailable(doing string, cause error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, brief{cause})
}

// brief cuts the text of an error to the length of a log line: go-oidc repeats
// whole documents in its errors.
type brief struct{ err error }

func (b brief) Error() string {
	const limit = 300
	text := b.err.Error()
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "..."
}

func (b brief) Unwrap() error { return b.err }
