package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"signpost/configdoc"
	"signpost/oidc"
)

// Document fetches the person's configuration with the broad token. Pass the
// entity tag of the copy that you have, or "": if that is still good, notModified is
// true and the document empty. An *Error with "invalid_token" means that the token is
// not taken (any more): Refresh and try again. The token goes to the issuer's host
// or that of its token endpoint and along no redirect (R29).
func (c *Client) Document(ctx context.Context, d Discovery, token, etag string) (document configdoc.Document, newETag string, notModified bool, err error) {
	a, err := c.askDocument(ctx, d, token, etag)
	if err != nil {
		return configdoc.Document{}, "", false, fmt.Errorf("configuration: %w", err)
	}
	if etag != "" && a.status == http.StatusNotModified {
		return configdoc.Document{}, etag, true, nil
	}
	if document, err = readDocument(d, a); err != nil {
		return configdoc.Document{}, "", false, fmt.Errorf("configuration: %w", err)
	}
	return document, a.header.Get("ETag"), false, nil
}

// Bundle fetches the person's configuration with a token in each of the services that are named by
// the ids of an earlier document, or in all of them if none is. A service has a Token or, if the
// provider refused one, a Refusal; ask for what you use, and again when half of ExpiresIn is over. The
// person's tokens are in the document: do not log it.
//
// Errors and what they mean are those of Document; an *Error with "invalid_request" means that a
// service is not in the configuration any more: fetch that again. ErrUnsupported means also that the
// provider gives no tokens in this way: use Document and Exchange. The token goes where Document's goes (R29).
func (c *Client) Bundle(ctx context.Context, d Discovery, token string, services ...string) (configdoc.Document, error) {
	document, err := c.bundle(ctx, d, token, services)
	if err != nil {
		return configdoc.Document{}, fmt.Errorf("configuration with tokens: %w", err)
	}
	return document, nil
}

func (c *Client) bundle(ctx context.Context, d Discovery, token string, services []string) (configdoc.Document, error) {
	u, err := d.configurationURL()
	if err != nil {
		return configdoc.Document{}, err
	}
	form := url.Values{"client_id": {d.ClientID}}
	if len(services) > 0 {
		form["service"] = services
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return configdoc.Document{}, malformed("a URL that cannot be asked")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", mediaTypeJSON)
	req.Header.Set("Authorization", "Bearer "+token)
	a, err := c.send(req)
	if err != nil {
		return configdoc.Document{}, err
	}
	if a.status == http.StatusMethodNotAllowed {
		return configdoc.Document{}, fmt.Errorf("%w: no tokens with the configuration", ErrUnsupported)
	}
	document, err := readDocument(d, a)
	if err != nil {
		return configdoc.Document{}, err
	}
	for _, s := range document.Services() {
		if err := checkToken(s.Token); err != nil {
			return configdoc.Document{}, err
		}
	}
	return document, nil
}

// checkToken refuses a token that cannot be used, as readTokens does.
func checkToken(t *configdoc.Token) error {
	switch {
	case t == nil:
		return nil
	case !strings.EqualFold(t.TokenType, "Bearer"):
		return fmt.Errorf("%w: token type is not Bearer", ErrUnsupported)
	case t.IssuedTokenType != oidc.TokenTypeAccessToken:
		return malformed("configuration: issued_token_type is not that of an access token")
	case t.ExpiresIn > maxExpiresIn:
		return malformed("configuration: expires_in is out of range")
	}
	return nil
}

// configurationURL is where the configuration is, if a token may go there.
func (d Discovery) configurationURL() (*url.URL, error) {
	if d.ConfigurationURL == "" {
		return nil, fmt.Errorf("%w: no configuration", ErrUnsupported)
	}
	return d.ownURL(d.ConfigurationURL)
}

func (c *Client) askDocument(ctx context.Context, d Discovery, token, etag string) (answer, error) {
	u, err := d.configurationURL()
	if err != nil {
		return answer{}, err
	}
	header := http.Header{"Accept": {mediaTypeJSON}, "Authorization": {"Bearer " + token}}
	if etag != "" {
		header.Set("If-None-Match", etag)
	}
	return c.get(ctx, u, header)
}

func readDocument(d Discovery, a answer) (configdoc.Document, error) {
	if a.status != http.StatusOK {
		if refused := a.refused(); refused != nil {
			return configdoc.Document{}, refused
		}
	}
	switch a.status { // the same without a body (RFC 6750, section 3.1)
	case http.StatusUnauthorized:
		return configdoc.Document{}, refusal(oidc.CodeInvalidToken, "", a.status)
	case http.StatusForbidden:
		return configdoc.Document{}, refusal(oidc.CodeInsufficientScope, "", a.status)
	}
	if err := a.check(mediaTypeJSON); err != nil {
		return configdoc.Document{}, err
	}
	document, err := configdoc.Parse(a.body)
	if err != nil {
		return configdoc.Document{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if document.Issuer != d.Issuer {
		return configdoc.Document{}, fmt.Errorf("%w: in the configuration", ErrIssuerMismatch)
	}
	return document, nil
}
