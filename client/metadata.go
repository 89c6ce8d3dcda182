package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"signpost/scopes"
)

// Metadata is what an issuer says about itself (RFC 8414, section 2), as far as
// a native client needs it.
type Metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	ScopesSupported       []string `json:"scopes_supported"`
	GrantTypesSupported   []string `json:"grant_types_supported"`
	CodeChallengeMethods  []string `json:"code_challenge_methods_supported"`
	IDTokenAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	IssParameter          bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207, section 3
}

// metadata fetches the metadata of an issuer: where RFC 8414, section 3.1 puts it,
// then where OpenID Connect Discovery does. A redirect is not an answer.
func (c *Client) metadata(ctx context.Context, issuer *url.URL, name string) (Metadata, error) {
	var err error
	for _, u := range metadataURLs(issuer) {
		var a answer
		if a, err = c.get(ctx, u, http.Header{"Accept": {mediaTypeJSON}}); err != nil {
			return Metadata{}, err
		}
		if err = a.check(mediaTypeJSON); err == nil {
			return readMetadata(issuer, name, a.body)
		}
		if errors.Is(err, ErrUnreachable) {
			return Metadata{}, err
		}
	}
	return Metadata{}, err
}

// metadataURLs returns the two places of an issuer's metadata. The first inserts
// its path after the well-known path, the second appends the well-known path;
// both without the issuer's last slash.
func metadataURLs(issuer *url.URL) []*url.URL {
	base := url.URL{Scheme: issuer.Scheme, Host: issuer.Host}
	path := strings.TrimSuffix(issuer.EscapedPath(), "/")
	return []*url.URL{
		base.JoinPath("/.well-known/oauth-authorization-server" + path),
		base.JoinPath(path + "/.well-known/openid-configuration"),
	}
}

// readMetadata reads metadata and refuses that of another issuer, compared code
// point by code point (RFC 8414, section 3.3).
func readMetadata(issuer *url.URL, name string, body []byte) (Metadata, error) {
	var m Metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return Metadata{}, malformed("a member of the wrong type, or not JSON")
	}
	if m.Issuer != name {
		return Metadata{}, fmt.Errorf("%w: asked %q, found %q", ErrIssuerMismatch, name, printable(m.Issuer))
	}
	endpoints := map[string]string{
		"authorization_endpoint": m.AuthorizationEndpoint,
		"token_endpoint":         m.TokenEndpoint,
	}
	if !validWords(m.ScopesSupported) {
		return Metadata{}, malformed("scopes_supported holds something that is not a scope")
	}
	if m.JWKSURI != "" {
		endpoints["jwks_uri"] = m.JWKSURI
	}
	for member, endpoint := range endpoints {
		if _, err := follow(issuer, endpoint); err != nil {
			return Metadata{}, fmt.Errorf("%s: %w", member, err)
		}
	}
	return m, nil
}

func validWords(words []string) bool {
	for _, word := range words {
		if !scopes.ValidWord(word) {
			return false
		}
	}
	return true
}

// supportsS256 reports whether the issuer takes PKCE with S256. Metadata without
// the member means that it takes no PKCE at all (RFC 8414, section 2).
func (m Metadata) supportsS256() bool {
	return slices.Contains(m.CodeChallengeMethods, challengeMethodS256)
}
