package clients

import (
	"slices"
	"strconv"
	"strings"

	"signpost/oidc"
)

// maxRedirect bounds a redirect URI; the longest that programs use are below 200.
const maxRedirect = 512

// RedirectAllowed reports whether the answer may be sent to a redirect URI. The
// open client takes loopback addresses with any port and any path, and nothing
// else: http://127.0.0.1[:port]/* and http://[::1][:port]/* (RFC 8252, section
// 7.3; R13). All others take what is theirs, character by character, except that a
// loopback address may have any port (RFC 9700, section 2.1). Strings are compared as they
// stand, because a parser that is kinder than the browser is a way in.
func (c Client) RedirectAllowed(uri string) bool {
	if c.Kind == Open {
		return loopback(uri)
	}
	return len(uri) <= maxRedirect && slices.ContainsFunc(c.RedirectURIs, func(own string) bool { return sameRedirect(own, uri) })
}

// PostLogoutRedirectAllowed reports whether a browser may be sent to a URI after a
// sign-out. It is compared exactly
// (https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RedirectionAfterLogout).
func (c Client) PostLogoutRedirectAllowed(uri string) bool {
	return uri != "" && slices.Contains(c.PostLogoutRedirectURIs, uri)
}

// Remembers reports whether a consent that leads to a redirect URI may be remembered
// (R12): only where the answer reaches the client itself and nobody else, at an https
// address that the operator or the host of its id vouches for. Loopback addresses
// and private-use schemes are open to every program of the device, whether or not the
// client has credentials, because those of a program on a device are known
// (RFC 8252, section 8.5 and section 8.6).
func (c Client) Remembers(redirectURI string) bool {
	switch c.Kind {
	case Fixed, BuiltIn, URL:
		return strings.HasPrefix(redirectURI, "https://") && c.RedirectAllowed(redirectURI)
	}
	return false
}

// Proved reports whether Host may be shown as the one that asks (R15): the answer
// goes to that host, or whoever asked has shown its key with this very request. If not, a program on the device says so
// and nobody can check it. It is false for every client whose id is not a URL.
func (c Client) Proved(redirectURI string, shown bool) bool {
	if c.Kind != URL {
		return false
	}
	return shown && c.Authentication == oidc.AuthPrivateKeyJWT ||
		c.RedirectAllowed(redirectURI) && strings.HasPrefix(redirectURI, "https://"+c.Host+"/")
}

// RedirectName is what a person can be told about where the answer goes: host and
// port of an address, or a private-use scheme with its colon.
func RedirectName(uri string) string {
	scheme, rest, _ := strings.Cut(uri, ":")
	if scheme != "http" && scheme != "https" {
		return scheme + ":"
	}
	rest = strings.TrimPrefix(rest, "//")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		return rest[:end]
	}
	return rest
}

// sameRedirect compares a client's own redirect URI with the one that it sends.
func sameRedirect(own, sent string) bool {
	if own == sent {
		return true
	}
	ownHost, ownRest, ok := cutPort(own)
	if !ok {
		return false
	}
	host, rest, ok := cutPort(sent)
	return ok && host == ownHost && rest == ownRest
}

// loopbackHosts are the origins whose port is chosen when the program starts. The
// name localhost is in it for the built-in clients, which have no other (R13): nobody else
// can bring it along.
var loopbackHosts = [...]string{"http://127.0.0.1", "http://[::1]", "http://localhost"}

// cutPort takes the port out of the URI of a loopback address.
func cutPort(uri string) (host, rest string, ok bool) {
	for _, host := range loopbackHosts {
		rest, ok := strings.CutPrefix(uri, host)
		if !ok {
			continue
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		return host, rest[end:], validPort(rest[:end])
	}
	return "", "", false
}

// native reports whether a redirect URI may be registered by anybody: a loopback
// address or a private-use scheme (draft-ietf-mailmaint-oauth-public).
func native(uri string) bool { return loopback(uri) || privateUse(uri) }

func loopback(uri string) bool {
	rest, ok := strings.CutPrefix(uri, "http://127.0.0.1")
	if !ok {
		if rest, ok = strings.CutPrefix(uri, "http://[::1]"); !ok {
			return false
		}
	}
	port, path, ok := strings.Cut(rest, "/")
	if !ok || len(uri) > maxRedirect || !validPort(port) {
		return false
	}
	return plainPath(path)
}

// privateUse takes a domain name in reverse as scheme, one slash and a path
// (RFC 8252, section 7.1). A second slash would begin an authority.
func privateUse(uri string) bool {
	scheme, path, ok := strings.Cut(uri, ":/")
	if !ok || len(uri) > maxRedirect || strings.HasPrefix(path, "/") || !plainPath(path) {
		return false
	}
	return domain(scheme) && 'a' <= scheme[0] && scheme[0] <= 'z'
}

// domain takes a name of two labels or more: lower-case letters, digits, and hyphens inside.
func domain(name string) bool {
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return len(labels) > 1 && len(name) <= 253
}

// validPort takes "" and ":1" to ":65535" without leading zeros.
func validPort(s string) bool {
	if s == "" {
		return true
	}
	digits, ok := strings.CutPrefix(s, ":")
	if !ok || digits == "" || digits[0] == '0' {
		return false
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return false
		}
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	return err == nil && n > 0
}

// plainPath takes path characters that no two programs read differently: no query,
// fragment, backslash, escape or dot segment.
func plainPath(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	for i := range len(path) {
		c := path[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~/:@!$&'()*+,;=", c) >= 0:
		default:
			return false
		}
	}
	return true
}
