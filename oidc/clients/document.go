package clients

import (
	"cmp"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"signpost/oidc"
)

// hostOfID returns the host of an id that is a URL (draft-ietf-oauth-client-id-metadata-document,
// section 3; R15): https with a path, a host name and nothing else. There is one way to write each,
// so ids and origins are compared as strings. An address or a port would
// reach what no name stands for; a query could make any number of ids of one document.
func hostOfID(id string) (string, bool) {
	rest, ok := strings.CutPrefix(id, "https://")
	if !ok || len(id) > maxID {
		return "", false
	}
	host, path, ok := strings.Cut(rest, "/")
	return host, ok && publicName(host) && plainPath(path)
}

// publicName takes a host name whose last label cannot be read as part of an address
// (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func publicName(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return domain(host) && 'a' <= last[0] && last[0] <= 'z'
}

// document is what is read of a client's metadata document. Members that are not here are ignored.
type document struct {
	ClientID               string          `json:"client_id"`
	ClientName             string          `json:"client_name"`
	RedirectURIs           []string        `json:"redirect_uris"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris"`
	SoftwareID             string          `json:"software_id"`
	Authentication         string          `json:"token_endpoint_auth_method"`
	Secret                 json.RawMessage `json:"client_secret"`
	SecretExpiresAt        json.RawMessage `json:"client_secret_expires_at"`
	JWKS                   json.RawMessage `json:"jwks"`
	JWKSURI                string          `json:"jwks_uri"`
	IDTokenAlgorithm       string          `json:"id_token_signed_response_alg"`
	DPoPBound              bool            `json:"dpop_bound_access_tokens"`
}

// readDocument makes a client of a document that was read at id. If keys is not
// empty, they are to be read there. The reason why not is for the log.
func readDocument(id string, body []byte) (c Client, keys string, reason string) {
	var d document
	if !utf8.Valid(body) || json.Unmarshal(body, &d) != nil {
		return Client{}, "", "not a JSON object with each member once and of its type"
	}
	host, _ := hostOfID(id)
	origin := "https://" + host + "/"
	c = Client{
		ID: id, Kind: URL, Name: cleanName(d.ClientName), Host: host, SoftwareID: d.SoftwareID,
		RedirectURIs: usable(d.RedirectURIs, origin), PostLogoutRedirectURIs: usable(d.PostLogoutRedirectURIs, origin),
		Authentication: cmp.Or(d.Authentication, oidc.AuthNone), IDTokenAlgorithm: cmp.Or(d.IDTokenAlgorithm, defaultAlgorithm), DPoPBound: d.DPoPBound,
	}
	switch {
	case d.ClientID != id:
		return Client{}, "", "client_id is not the URL of the document"
	case d.Secret != nil || d.SecretExpiresAt != nil:
		return Client{}, "", "it has a shared secret"
	case c.Authentication != oidc.AuthNone && c.Authentication != oidc.AuthPrivateKeyJWT:
		return Client{}, "", "token_endpoint_auth_method is neither none nor private_key_jwt"
	case len(c.RedirectURIs) == 0:
		return Client{}, "", "no redirect URI is on its origin, a loopback address or a private-use scheme"
	case c.IDTokenAlgorithm != string(jose.RS256) && c.IDTokenAlgorithm != string(jose.ES256):
		return Client{}, "", "id_token_signed_response_alg is neither RS256 nor ES256"
	case !c.Confidential():
		return c, "", ""
	case (d.JWKS == nil) == (d.JWKSURI == ""):
		return Client{}, "", "private_key_jwt needs either jwks or jwks_uri"
	case d.JWKS != nil && !publicKeys(d.JWKS):
		return Client{}, "", "jwks is not a set of at most eight public keys"
	case d.JWKSURI != "" && !onOrigin(d.JWKSURI, origin):
		return Client{}, "", "jwks_uri is not on the origin of the id"
	}
	c.JWKS = string(d.JWKS)
	return c, d.JWKSURI, ""
}

// usable leaves out redirect URIs that are not allowed here: a document is written for many servers.
func usable(uris []string, origin string) []string {
	var kept []string
	for _, uri := range uris {
		if native(uri) || onOrigin(uri, origin) {
			kept = append(kept, uri)
		}
	}
	return kept
}

// onOrigin takes a URL below origin, "https://host/", without query or fragment.
func onOrigin(uri, origin string) bool {
	path, ok := strings.CutPrefix(uri, origin)
	return ok && len(uri) <= maxRedirect && plainPath(path)
}
