package issuer

import (
	"strconv"
	"strings"

	"signpost/oidc"
)

// Client is a native application that may ask for a sign-in.
type Client struct {
	ID string
}

// client returns a client by its id. Only the open one is known yet.
func client(id string) (Client, bool) {
	if id == oidc.ClientOpen {
		return Client{ID: id}, true
	}
	return Client{}, false
}

// maxRedirect bounds a redirect URI; the longest that programs use are below 200.
const maxRedirect = 512

// RedirectAllowed reports whether the answer may be sent to a redirect URI. The
// open client takes loopback addresses with any port and any path, and nothing
// else: http://127.0.0.1[:port]/* and http://[::1][:port]/* (RFC 8252, section
// 7.3; R13). The string is compared as it stands, because a parser that is kinder than the
// browser is a way in: no user information, query, fragment, backslash, dot segment or escape of one.
func (c Client) RedirectAllowed(uri string) bool {
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

// plainPath takes path characters that no two programs read differently.
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

// RedirectName is what a person can be told about where the answer goes: host and port.
func RedirectName(uri string) string {
	rest := strings.TrimPrefix(uri, "http://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}
