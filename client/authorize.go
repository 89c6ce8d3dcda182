package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"

	"golang.org/x/oauth2"

	"signpost/oidc"
)

const challengeMethodS256 = "S256"

// Authorization is a sign-in that has begun. Keep it until the answer comes; it
// is good for one answer. It holds secrets, which its text forms leave out.
type Authorization struct {
	URL         string // to show in the system browser
	RedirectURI string // where the answer comes
	Issuer      string
	ClientID    string
	Scope       string // as asked for
	State       string // ties the answer to this sign-in
	Nonce       string // ties the ID token to this sign-in
	Verifier    string // proves that who redeems the code is who asked for it (RFC 7636, section 4.1)
}

// String names the issuer and hides the rest.
func (a Authorization) String() string { return "sign-in at " + a.Issuer }

// GoString hides what String hides.
func (a Authorization) GoString() string { return a.String() }

// LogValue hides what String hides.
func (a Authorization) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Authorize begins a sign-in. The redirect URI is that of a Loopback, or one
// registered for the client. An empty scope means d.Scope; an empty login hint is
// left out. Resources narrow what the sign-in is for (RFC 8707, section 2.1). It is
// ErrUnsupported if the provider takes no PKCE with S256, or if d.ClientID is
// empty: then register, or set it to a client id that the provider gave.
func (c *Client) Authorize(d Discovery, redirectURI, scope, loginHint string, resources ...string) (Authorization, error) {
	if !d.Metadata.supportsS256() {
		return Authorization{}, fmt.Errorf("authorize: %w: no PKCE with S256", ErrUnsupported)
	}
	if d.ClientID == "" {
		return Authorization{}, fmt.Errorf("authorize: %w: no client id", ErrUnsupported)
	}
	u, err := url.Parse(d.Metadata.AuthorizationEndpoint)
	if err != nil {
		return Authorization{}, malformed("an authorization endpoint that cannot be read")
	}
	if err := checkURL(u); err != nil {
		return Authorization{}, fmt.Errorf("authorize: %w", err)
	}
	if scope == "" {
		scope = d.Scope
	}
	a := Authorization{
		RedirectURI: redirectURI,
		Issuer:      d.Issuer,
		ClientID:    d.ClientID,
		Scope:       scope,
		State:       rand.Text(),
		Nonce:       rand.Text(),
		Verifier:    oauth2.GenerateVerifier(),
	}
	u.RawQuery = a.query(u.Query(), loginHint, resources).Encode()
	a.URL = u.String()
	return a, nil
}

// query adds the parameters of RFC 6749, section 4.1.1 to those that the
// endpoint's URL has already.
func (a Authorization) query(q url.Values, loginHint string, resources []string) url.Values {
	q.Set("response_type", "code")
	q.Set("client_id", a.ClientID)
	q.Set("redirect_uri", a.RedirectURI)
	q.Set("scope", a.Scope)
	q.Set("state", a.State)
	q.Set("nonce", a.Nonce)
	q.Set("code_challenge", oauth2.S256ChallengeFromVerifier(a.Verifier))
	q.Set("code_challenge_method", challengeMethodS256)
	if loginHint != "" {
		q.Set("login_hint", loginHint)
	}
	for _, resource := range resources {
		q.Add("resource", resource)
	}
	return q
}

// Redeem checks the answer that came to the redirect URI and trades its code for
// the broad token. The code leaves only after state and issuer were found right.
// A refusal by the person or the provider is an *Error, an answer that is not of
// this sign-in ErrState or ErrIssuerMismatch, an ID token that does not verify
// ErrIDToken. After any error begin with Authorize again: a code is good once.
func (c *Client) Redeem(ctx context.Context, d Discovery, a Authorization, answer url.Values) (Tokens, error) {
	code, err := a.code(d, answer)
	if err != nil {
		return Tokens{}, fmt.Errorf("redeem: %w", err)
	}
	t, err := c.token(ctx, d, url.Values{
		"grant_type":    {oidc.GrantTypeAuthorizationCode},
		"client_id":     {a.ClientID},
		"redirect_uri":  {a.RedirectURI},
		"code":          {code},
		"code_verifier": {a.Verifier},
	})
	if err != nil {
		return Tokens{}, fmt.Errorf("redeem: %w", err)
	}
	if t.Scope == "" {
		t.Scope = a.Scope // left out means as asked for (RFC 6749, section 5.1)
	}
	if t.Subject, err = c.verifyIDToken(ctx, d, a.ClientID, a.Nonce, t.Tokens); err != nil {
		return Tokens{}, fmt.Errorf("redeem: %w", err)
	}
	return t.Tokens, nil
}

// code returns the code of an answer that belongs to this sign-in.
func (a Authorization) code(d Discovery, answer url.Values) (string, error) {
	for name, values := range answer {
		if len(values) > 1 {
			return "", malformed("the parameter %q more than once", printable(name)) // RFC 6749, section 3.1
		}
	}
	if a.State == "" || answer.Get("state") != a.State {
		return "", ErrState
	}
	if err := a.checkIssuer(d, answer); err != nil {
		return "", err
	}
	if code := answer.Get("error"); code != "" {
		return "", refusal(code, answer.Get("error_description"), 0)
	}
	if answer.Get("code") == "" {
		return "", malformed("neither a code nor an error")
	}
	return answer.Get("code"), nil
}

// checkIssuer compares iss as a plain string, in refusals too (RFC 9207, section 2.4).
func (a Authorization) checkIssuer(d Discovery, answer url.Values) error {
	switch {
	case a.Issuer != d.Issuer:
		return fmt.Errorf("%w: the sign-in began at another issuer", ErrIssuerMismatch)
	case answer.Has("iss") && answer.Get("iss") != d.Issuer:
		return fmt.Errorf("%w: iss is another one", ErrIssuerMismatch)
	case !answer.Has("iss") && d.Metadata.IssParameter:
		return fmt.Errorf("%w: iss is missing", ErrIssuerMismatch)
	}
	return nil
}
