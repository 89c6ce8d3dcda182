package client

import (
	"context"
	"fmt"
	"net/http"

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

func (c *Client) askDocument(ctx context.Context, d Discovery, token, etag string) (answer, error) {
	if d.ConfigurationURL == "" {
		return answer{}, fmt.Errorf("%w: no configuration", ErrUnsupported)
	}
	u, err := d.ownURL(d.ConfigurationURL)
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
