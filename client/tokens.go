package client

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"signpost/oidc"
)

// Tokens is what a token endpoint gave. Its text forms hide the tokens.
type Tokens struct {
	AccessToken  string
	TokenType    string    // "Bearer"
	ExpiresIn    int64     // seconds from when the answer came; zero if the provider did not say
	ExpiresAt    time.Time // the same as a moment; zero if the provider did not say
	Scope        string    // granted: one space between words
	RefreshToken string    // may be empty
	IDToken      string    // verified; may be empty
	Subject      string    // "sub" of the ID token: the same for the same person; may be empty
}

// String shows what is not secret.
func (t Tokens) String() string {
	return fmt.Sprintf("%s token for %q, valid for %d s", t.TokenType, t.Scope, t.ExpiresIn)
}

// GoString hides what String hides.
func (t Tokens) GoString() string { return t.String() }

// LogValue hides what String hides.
func (t Tokens) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Refresh trades a refresh token for a new access token. An empty scope means all
// that was granted; a resource narrows the access token to one target, and
// may be empty (RFC 8707, section 2.2). Keep the RefreshToken of the answer, which
// is the old one if the provider sent none. An *Error with "invalid_grant" means
// that the sign-in has ended: throw the tokens away and sign in again. The ID token of
// the answer, if there is one, was verified: compare its Subject with the first one's.
func (c *Client) Refresh(ctx context.Context, d Discovery, refreshToken, scope, resource string) (Tokens, error) {
	form := url.Values{
		"grant_type":    {oidc.GrantTypeRefreshToken},
		"client_id":     {d.ClientID},
		"refresh_token": {refreshToken},
	}
	setUnlessEmpty(form, "scope", scope)
	setUnlessEmpty(form, "resource", resource)
	t, err := c.token(ctx, d, form)
	if err != nil {
		return Tokens{}, fmt.Errorf("refresh: %w", err)
	}
	if t.RefreshToken == "" {
		t.RefreshToken = refreshToken
	}
	if t.Scope == "" {
		t.Scope = scope
	}
	if t.Subject, err = c.verifyIDToken(ctx, d, d.ClientID, "", t.Tokens); err != nil {
		return Tokens{}, fmt.Errorf("refresh: %w", err)
	}
	return t.Tokens, nil
}

// Exchange trades the broad token for a narrow one of one service (RFC 8693, section 2.1). The
// audience is the service's of the configuration document; an empty scope means what
// that service needs and no more. An *Error with "invalid_request" means that the
// broad token is not taken (any more): Refresh and try again. "invalid_target" means
// that the account has no such service: fetch the configuration again.
func (c *Client) Exchange(ctx context.Context, d Discovery, token, audience, scope string) (Tokens, error) {
	form := url.Values{
		"grant_type":           {oidc.GrantTypeTokenExchange},
		"client_id":            {d.ClientID},
		"subject_token":        {token},
		"subject_token_type":   {oidc.TokenTypeAccessToken},
		"requested_token_type": {oidc.TokenTypeAccessToken},
		"audience":             {audience},
	}
	setUnlessEmpty(form, "scope", scope)
	t, err := c.token(ctx, d, form)
	if err != nil {
		return Tokens{}, fmt.Errorf("exchange: %w", err)
	}
	if t.issuedTokenType != oidc.TokenTypeAccessToken {
		return Tokens{}, fmt.Errorf("exchange: %w", malformed("issued_token_type is not that of an access token"))
	}
	if t.Scope == "" {
		t.Scope = scope // left out means as asked for (RFC 8693, section 2.2.1)
	}
	return t.Tokens, nil
}

func setUnlessEmpty(form url.Values, name, value string) {
	if value != "" {
		form.Set(name, value)
	}
}

// token posts a form to the token endpoint of the metadata, and nowhere else.
func (c *Client) token(ctx context.Context, d Discovery, form url.Values) (tokenAnswer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Metadata.TokenEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return tokenAnswer{}, malformed("a token endpoint that cannot be asked")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", mediaTypeJSON)
	a, err := c.send(req)
	if err != nil {
		return tokenAnswer{}, err
	}
	if a.status != http.StatusOK {
		if refused := a.refused(); refused != nil {
			return tokenAnswer{}, refused
		}
	}
	if err := a.check(mediaTypeJSON); err != nil {
		return tokenAnswer{}, err
	}
	return readTokens(a.body, c.now())
}

// tokenAnswer is an answer of the token endpoint.
type tokenAnswer struct {
	Tokens
	issuedTokenType string // RFC 8693, section 2.2.1
}

// maxExpiresIn keeps what a provider says within what a time.Time can add: 100 years.
const maxExpiresIn = 100 * 365 * 24 * 3600

// readTokens reads an answer of RFC 6749, section 5.1. A token of a type that is
// not understood must not be used (section 7.1 there).
func readTokens(body []byte, now time.Time) (tokenAnswer, error) {
	var m struct {
		AccessToken     string `json:"access_token"`
		TokenType       string `json:"token_type"`
		ExpiresIn       int64  `json:"expires_in"`
		Scope           string `json:"scope"`
		RefreshToken    string `json:"refresh_token"`
		IDToken         string `json:"id_token"`
		IssuedTokenType string `json:"issued_token_type"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return tokenAnswer{}, malformed("token answer: a member of the wrong type, or not JSON")
	}
	switch {
	case m.AccessToken == "":
		return tokenAnswer{}, malformed("token answer: no access token")
	case !strings.EqualFold(m.TokenType, "Bearer"):
		return tokenAnswer{}, fmt.Errorf("%w: token type is not Bearer", ErrUnsupported)
	case m.ExpiresIn < 0 || m.ExpiresIn > maxExpiresIn:
		return tokenAnswer{}, malformed("token answer: expires_in is out of range")
	}
	t := tokenAnswer{issuedTokenType: m.IssuedTokenType, Tokens: Tokens{
		AccessToken:  m.AccessToken,
		TokenType:    m.TokenType,
		ExpiresIn:    m.ExpiresIn,
		Scope:        m.Scope,
		RefreshToken: m.RefreshToken,
		IDToken:      m.IDToken,
	}}
	if m.ExpiresIn > 0 {
		t.ExpiresAt = now.Add(time.Duration(m.ExpiresIn) * time.Second)
	}
	return t, nil
}
