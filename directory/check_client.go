package directory

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"signpost/oidc"
)

// dpop returns DPoP, or what empty means.
func (s Service) dpop() string { return cmp.Or(s.DPoP, DPoPNone) }

// device returns Device, or what empty means.
func (p ClientPolicy) device() string { return cmp.Or(p.Device, DeviceFixed) }

// idTokenAlgorithm returns IDTokenAlgorithm, or what empty means.
func (c FixedClient) idTokenAlgorithm() string { return cmp.Or(c.IDTokenAlgorithm, "RS256") }

// clientPolicySpot returns the place of what the tenant at s says of all programs.
func clientPolicySpot(s spot) spot {
	return spot{ref: ref{tenant: s.tenant, kind: kindClientPolicy}, words: s.words + ", clients"}
}

// clientPolicy checks which programs the tenant at s lets in.
func (c *checker) clientPolicy(s spot, p ClientPolicy) {
	policy := clientPolicySpot(s)
	c.oneOf(policy, "device", p.Device, DeviceOff, DeviceFixed, DeviceOn)
	c.clientMatches(policy, kindAllow, p.Allow)
	c.clientMatches(policy, kindDeny, p.Deny)
	c.condition(policy, p.Condition)
}

func (c *checker) clientMatches(policy spot, kind string, matches []ClientMatch) {
	for i, m := range matches {
		at := ref{tenant: policy.tenant, kind: kind, index: i}
		c.clientMatch(spot{ref: at, words: fmt.Sprintf("%s, entry %d of %s", policy.words, i+1, kind)}, m)
	}
}

var hashPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// maxMatch bounds what a client is told by: ids of registered programs have up to 400 characters.
const maxMatch = 512

func (c *checker) clientMatch(s spot, m ClientMatch) {
	key, value, ok := m.only()
	switch {
	case !ok:
		c.problem(s, "make an entry of each", "it must have exactly one of %s", strings.Join(matchKeys, ", "))
	case len(value) > maxMatch || !printable(value):
		c.problem(s.field(key), "", "%s is longer than %d characters, or has some that are not printable ASCII", key, maxMatch)
	case key == "id_hash" && !hashPattern.MatchString(value):
		c.problem(s.field(key), "64 hexadecimal digits in lower case: the SHA-256 of the client id", "id_hash is not a SHA-256")
	case key == "host" && !isHost(value):
		c.problem(s.field(key), "a bare host name in lower case", "host is not a host name")
	case key == "redirect" && !strings.Contains(value, ":") && (value == "http" || value == "https" || !schemePattern.MatchString(value)):
		c.problem(s.field(key), "a whole redirect URI, or a private-use scheme without the colon", "redirect is neither a URI nor a private-use scheme")
	}
}

// only returns the one field that is set, or false if none is or several are.
func (m ClientMatch) only() (key, value string, ok bool) {
	for i, v := range []string{m.ID, m.IDHash, m.SoftwareID, m.Redirect, m.Host} {
		if v == "" {
			continue
		}
		if value != "" {
			return "", "", false
		}
		key, value = matchKeys[i], v
	}
	return key, value, value != ""
}

// maxClientID bounds the id of a declared client: it stands in tokens.
const maxClientID = 100

// accountPage stands in the place of a client id where people make app passwords themselves.
const accountPage = "account-page"

func (c *checker) fixedClient(s spot, client FixedClient) {
	c.clientID(s.field("id"), client.ID)
	c.required(s, "name", client.Name)
	c.clientURIs(s.field("redirect_uris"), "redirect URI", client.RedirectURIs)
	c.clientURIs(s.field("post_logout_redirect_uris"), "post-logout redirect URI", client.PostLogoutRedirectURIs)
	c.oneOf(s, "authentication", client.Authentication, oidc.AuthNone, oidc.AuthSecretBasic, oidc.AuthSecretPost, oidc.AuthPrivateKeyJWT)
	c.credentials(s, client.Authentication, client.SecretHash, client.JWKS)
	c.oneOf(s, "id_token_algorithm", client.IDTokenAlgorithm, "RS256", "ES256")
	c.condition(s, client.Condition)
}

func (c *checker) clientID(s spot, id string) {
	switch {
	case id == "":
		c.problem(s, "", "id is missing")
	case len(id) > maxClientID || !printable(id):
		c.problem(s, fmt.Sprintf("at most %d printable ASCII characters without spaces", maxClientID), "the id cannot be a client id")
	case id == oidc.ClientOpen:
		c.problem(s, "give it another id", "the id %q is that of every program that has no other", id)
	case id == accountPage:
		c.problem(s, "give it another id", "the id %q stands for the page where people manage their account", id)
	case strings.HasPrefix(strings.ToLower(id), "https://") || strings.HasPrefix(strings.ToLower(id), "http://"):
		c.problem(s, "give it an id that is no URL", "an id that is a URL stands for the program that describes itself there")
	}
}

// printable reports whether a text is printable ASCII without spaces.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= 0x20 || r >= 0x7f })
}

// credentials refuses credentials that do not fit the way to prove them.
func (c *checker) credentials(s spot, authentication string, secretHash []byte, jwks string) {
	switch authentication {
	case "":
		c.problem(s.field("authentication"), "", "authentication is missing")
	case oidc.AuthNone:
		if secretHash != nil || jwks != "" {
			c.problem(s.field("authentication"), "leave authentication out, or secret and jwks", "authentication none has neither secret nor jwks")
		}
	case oidc.AuthSecretBasic, oidc.AuthSecretPost:
		if jwks != "" {
			c.problem(s.field("jwks"), "keep one of them", "authentication %s has no jwks", authentication)
		}
		if secretHash == nil {
			c.problem(s.field("secret"), secretHint, "authentication %s needs a secret", authentication)
		}
	case oidc.AuthPrivateKeyJWT:
		if secretHash != nil {
			c.problem(s.field("secret"), "keep one of them", "authentication %s has no secret", authentication)
		}
		if jwks == "" {
			c.problem(s.field("jwks"), "its public keys as a JWK set", "authentication %s needs jwks", authentication)
		}
	}
	if jwks != "" {
		if err := checkJWKS(jwks); err != nil {
			c.problem(s.field("jwks"), `{"keys": [...]} with public keys alone`, "jwks: %v", err)
		}
	}
}

// checkJWKS takes a JWK set (RFC 7517, section 5) of public keys. What a key is
// worth is seen where it is used.
func checkJWKS(raw string) error {
	var set map[string]json.RawMessage // a map, because members differ in case
	if err := json.Unmarshal([]byte(raw), &set); err != nil {
		return errors.New("not a JSON object")
	}
	var keys []map[string]json.RawMessage
	if err := json.Unmarshal(set["keys"], &keys); err != nil || len(keys) == 0 {
		return errors.New("it has no keys")
	}
	for i, key := range keys {
		if err := checkPublicKey(key); err != nil {
			return fmt.Errorf("key %d: %w", i+1, err)
		}
	}
	return nil
}

// publicMembers are what a public key of a type has (RFC 7518, section 6; RFC 8037, section 2).
var publicMembers = map[string][]string{"RSA": {"n", "e"}, "EC": {"crv", "x", "y"}, "OKP": {"crv", "x"}}

func checkPublicKey(key map[string]json.RawMessage) error {
	for _, private := range []string{"d", "k", "p", "q", "dp", "dq", "qi", "oth"} {
		if _, found := key[private]; found {
			return errors.New("it is not public: give the public half alone")
		}
	}
	var kind string
	if err := json.Unmarshal(key["kty"], &kind); err != nil || publicMembers[kind] == nil {
		return errors.New(`its "kty" is none of EC, OKP, RSA`)
	}
	for _, member := range publicMembers[kind] {
		var value string
		if err := json.Unmarshal(key[member], &value); err != nil || value == "" {
			return fmt.Errorf("it has no %q", member)
		}
	}
	return nil
}

func (c *checker) clientURIs(s spot, what string, uris []string) {
	for i, uri := range uris {
		if err := checkClientURI(uri); err != nil {
			c.problem(s, "https, http://127.0.0.1, http://[::1], or a scheme like com.example.program:", "%s %d: %v", what, i+1, err)
		} else if slices.Contains(uris[:i], uri) {
			c.problem(s, "keep one of them", "%s %d comes twice", what, i+1)
		}
	}
}

// maxURI bounds a redirect URI; the longest that programs use are below 200.
const maxURI = 512

// schemePattern is a URI scheme as it is written here, in lower case (RFC 3986, section 3.1).
var schemePattern = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// checkClientURI takes what a person may be sent back to: an https URL, a loopback
// address (RFC 8252, section 7.3) or a private-use scheme that is a domain name in
// reverse (RFC 8252, section 7.1). It is compared as it stands, so nothing is in it
// that browsers read differently. The error does not repeat it.
func checkClientURI(raw string) error {
	if len(raw) > maxURI || !printable(raw) || strings.ContainsAny(raw, "\"<>\\^`{|}#*") {
		return fmt.Errorf("longer than %d characters, or with a character that it must not have: it is compared exactly, without wildcards or fragments", maxURI)
	}
	scheme, rest, found := strings.Cut(raw, ":")
	if !found || !schemePattern.MatchString(scheme) {
		return errors.New("not a URI with a scheme in lower case")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("not a URI")
	case u.User != nil:
		return errors.New("a URI must not hold user information")
	}
	if scheme == "https" || scheme == "http" {
		return checkWebURI(raw, u)
	}
	path, _, _ := strings.Cut(rest, "?")
	if !strings.Contains(scheme, ".") || strings.HasPrefix(scheme, ".") || strings.HasSuffix(scheme, ".") || strings.Contains(scheme, "..") {
		return errors.New("a private-use scheme must be a domain name of its maker in reverse, with a dot")
	}
	return checkPath(path)
}

func checkWebURI(raw string, u *url.URL) error {
	withoutQuery, _, _ := strings.Cut(raw, "?")
	switch {
	case u.Scheme == "http" && u.Hostname() == "localhost":
		return errors.New("http://localhost is for built-in programs only: use http://127.0.0.1")
	case u.Scheme == "http" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1":
		return errors.New("http is for 127.0.0.1 and [::1] only: use https")
	}
	_, err := parseURL(withoutQuery)
	return err
}

func (c *checker) resourceServer(s spot, t Tenant, server ResourceServer) {
	c.name(s, "name", server.Name)
	if len(server.Audiences) == 0 {
		c.problem(s.field("audiences"), "list the audiences of the services that it is", "audiences is missing")
	}
	known := namesOf(t.Services, func(service Service) string { return service.Audience })
	for i, audience := range server.Audiences {
		switch {
		case !slices.Contains(known, audience):
			c.problem(s.field("audiences"), suggest(audience, known), "audience %q is not one of the tenant's services", audience)
		case slices.Contains(server.Audiences[:i], audience):
			c.problem(s.field("audiences"), "", "audience %q comes twice", audience)
		}
	}
	c.oneOf(s, "authentication", server.Authentication, oidc.AuthSecretBasic, oidc.AuthPrivateKeyJWT)
	c.credentials(s, server.Authentication, server.SecretHash, server.JWKS)
}
