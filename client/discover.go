package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"signpost/oidc"
	"signpost/scopes"
	"signpost/webfinger"
)

// maxRedirects is how many redirects WebFinger follows.
const maxRedirects = 3

// Discovery is what is known about an address before anybody signs in.
type Discovery struct {
	Address          string          // the address in one spelling; good as a login hint
	Issuer           string          // compared as a plain string, everywhere
	ClientID         string          // for programs without one of their own; empty if the provider names none
	Scope            string          // opens everything: one space between words
	ConfigurationURL string          // where Document asks; empty if there is no configuration
	ScopesURL        string          // where ScopeDocument came from; may be empty
	ScopeDocument    scopes.Document // what each scope opens, in words for people; zero without ScopesURL
	Metadata         Metadata
}

// Discover finds the provider of an address: by WebFinger at the address's domain
// (or at c.Server), then by the issuer's metadata, then by its scope document if
// one is linked. It tells them the address and no secret. Keep the Discovery with
// the tokens; ask again when the provider answers something unexpected.
func (c *Client) Discover(ctx context.Context, address string) (Discovery, error) {
	account, err := parseAddress(address)
	if err != nil {
		return Discovery{}, err
	}
	start, err := c.webfingerURL(account)
	if err != nil {
		return Discovery{}, fmt.Errorf("webfinger: %w", err)
	}
	body, err := c.webfinger(ctx, start)
	if err != nil {
		return Discovery{}, fmt.Errorf("webfinger: %w", err)
	}
	d, issuer, err := readJRD(start, body)
	if err != nil {
		return Discovery{}, fmt.Errorf("webfinger: %w", err)
	}
	d.Address = account.User + "@" + account.Domain
	if d.Metadata, err = c.metadata(ctx, issuer, d.Issuer); err != nil {
		return Discovery{}, fmt.Errorf("metadata: %w", err)
	}
	if d.Scope == "" {
		d.Scope = strings.Join(d.Metadata.ScopesSupported, " ")
	}
	if d.ConfigurationURL != "" {
		if _, err := d.ownURL(d.ConfigurationURL); err != nil {
			return Discovery{}, fmt.Errorf("configuration link: %w", err)
		}
	}
	if d.ScopeDocument, err = c.scopeDocument(ctx, d); err != nil {
		return Discovery{}, fmt.Errorf("scope document: %w", err)
	}
	return d, nil
}

// webfingerURL returns the question of RFC 7033, section 4.1 for an account.
func (c *Client) webfingerURL(account webfinger.Resource) (*url.URL, error) {
	base := &url.URL{Scheme: "https", Host: account.Host}
	if c.Server != "" {
		server, err := url.Parse(c.Server)
		if err != nil || strings.Trim(server.Path, "/") != "" || server.RawQuery != "" {
			return nil, errors.New("Client.Server is not a base URL")
		}
		base = server
	}
	if err := checkURL(base); err != nil {
		return nil, err
	}
	query := url.Values{
		"resource": {account.Raw},
		"rel":      {oidc.RelIssuer, webfinger.RelScopes, webfinger.RelConfiguration},
	}
	return &url.URL{Scheme: base.Scheme, Host: base.Host, Path: webfinger.Path, RawQuery: query.Encode()}, nil
}

// webfinger asks and follows redirects, to https only (RFC 7033, section 4.2).
func (c *Client) webfinger(ctx context.Context, u *url.URL) ([]byte, error) {
	accept := http.Header{"Accept": {webfinger.MediaType + ", " + mediaTypeJSON}}
	for range maxRedirects + 1 {
		a, err := c.get(ctx, u, accept)
		if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
			return nil, fmt.Errorf("%w: %w", ErrNotServed, dns)
		}
		if err != nil {
			return nil, err
		}
		location := a.header.Get("Location")
		if a.status < 300 || a.status > 399 || location == "" {
			return webfingerBody(a)
		}
		next, err := u.Parse(location)
		if err != nil {
			return nil, malformed("a redirect to something that is not a URL")
		}
		if next.Scheme != "https" {
			return nil, fmt.Errorf("%w: %s redirects to a URL that is not https", ErrInsecure, a.host)
		}
		u = next
	}
	return nil, malformed("more than %d redirects", maxRedirects)
}

// webfingerBody returns the JRD of a final answer. Whatever a host without
// WebFinger says with a status of 4xx, the person has no provider there.
func webfingerBody(a answer) ([]byte, error) {
	if a.status >= 400 && a.status < 500 && a.status != http.StatusTooManyRequests {
		return nil, fmt.Errorf("%w: %s: status %d", ErrNotServed, a.host, a.status)
	}
	if err := a.check(webfinger.MediaType, mediaTypeJSON); err != nil {
		return nil, err
	}
	return a.body, nil
}

// readJRD takes from the JRD that came from a URL what leads on.
func readJRD(from *url.URL, body []byte) (Discovery, *url.URL, error) {
	var jrd webfinger.JRD
	if err := json.Unmarshal(body, &jrd); err != nil {
		return Discovery{}, nil, malformed("not a JRD")
	}
	link, ok := jrd.Link(oidc.RelIssuer)
	if !ok {
		return Discovery{}, nil, fmt.Errorf("%w: no link to an issuer", ErrNotServed)
	}
	issuer, err := parseIssuer(from, link.Href)
	if err != nil {
		return Discovery{}, nil, fmt.Errorf("issuer: %w", err)
	}
	d := Discovery{
		Issuer:   link.Href,
		ClientID: link.Properties.Text(webfinger.PropertyClientID),
		Scope:    link.Properties.Text(webfinger.PropertyScope),
	}
	if _, err := scopes.Parse(d.Scope); err != nil {
		return Discovery{}, nil, malformed("the scope of the issuer link is not a list of words")
	}
	if link, ok := jrd.Link(webfinger.RelConfiguration); ok {
		d.ConfigurationURL = link.Href
	}
	if link, ok := jrd.Link(webfinger.RelScopes); ok {
		d.ScopesURL = link.Href
	}
	return d, issuer, nil
}

// ownURL reads a URL that was found outside the metadata and refuses one that is
// neither on the issuer's host nor on that of its token endpoint (R29): WebFinger
// is answered by whoever runs the website, the issuer by somebody else.
func (d Discovery) ownURL(text string) (*url.URL, error) {
	issuer, err := url.Parse(d.Issuer)
	if err != nil {
		return nil, malformed("an issuer that cannot be read")
	}
	u, err := follow(issuer, text)
	if err != nil {
		return nil, err
	}
	token, err := url.Parse(d.Metadata.TokenEndpoint)
	if sameHost(u, issuer) || err == nil && sameHost(u, token) {
		return u, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrForeignHost, u.Host)
}

// scopeDocument fetches the document that says what each scope opens.
func (c *Client) scopeDocument(ctx context.Context, d Discovery) (scopes.Document, error) {
	if d.ScopesURL == "" {
		return scopes.Document{}, nil
	}
	u, err := d.ownURL(d.ScopesURL)
	if err != nil {
		return scopes.Document{}, err
	}
	a, err := c.get(ctx, u, http.Header{"Accept": {mediaTypeJSON}})
	if err != nil {
		return scopes.Document{}, err
	}
	if err := a.check(mediaTypeJSON); err != nil {
		return scopes.Document{}, err
	}
	var document scopes.Document
	if err := json.Unmarshal(a.body, &document); err != nil {
		return scopes.Document{}, malformed("a member of the wrong type, or not JSON")
	}
	return document, nil
}
