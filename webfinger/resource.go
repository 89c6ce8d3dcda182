package webfinger

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxResource is the length in bytes up to which a resource is read: an address
// with every byte of its local part escaped fits.
const MaxResource = 512

// Schemes of a resource. RFC 7033, section 8.1 asks who uses WebFinger to name them.
const (
	SchemeAcct   = "acct"   // RFC 7565, section 7
	SchemeMailto = "mailto" // RFC 6068, section 2: one address and nothing else
	SchemeHTTPS  = "https"  // a served domain, or an issuer
	SchemeHTTP   = "http"   // the same at a loopback address: development only
)

// Resource is a parsed resource. Two resources are the same account if User and
// Domain are equal, the same place if Scheme, Host and Path are.
type Resource struct {
	Raw    string // as sent: the subject of the answer repeats it
	Scheme string // one of the constants above
	User   string // acct, mailto: local part, percent-decoded; "alice@gmail.com" for a foreign login name
	Domain string // A-labels in lower case, or the IP address of a URL
	Host   string // URLs: Domain with the port, unless it is the scheme's own; else equal to Domain
	Path   string // URLs: as sent, empty for "/"
}

// ParseResource reads the value of a resource parameter after the query's own
// percent-encoding was taken off. The forms are acct:user@domain,
// mailto:user@domain and https://host[:port][/path]; http only with a literal
// loopback address. Every error wraps ErrResource.
func ParseResource(raw string) (Resource, error) {
	if len(raw) > MaxResource {
		return Resource{}, malformed("longer than %d bytes", MaxResource)
	}
	if err := checkCharacters(raw); err != nil {
		return Resource{}, err
	}
	scheme, rest, found := strings.Cut(raw, ":")
	if !found || strings.Contains(scheme, "@") {
		return Resource{}, malformed(`no scheme: write an address as "acct:" and the address`)
	}
	r := Resource{Raw: raw, Scheme: strings.ToLower(scheme)}
	var err error
	switch r.Scheme {
	case SchemeAcct, SchemeMailto:
		err = r.parseAccount(rest)
	case SchemeHTTPS, SchemeHTTP:
		err = r.parseURL(rest)
	default:
		err = malformed("the scheme is none of acct, mailto, https")
	}
	if err != nil {
		return Resource{}, err
	}
	return r, nil
}

// String returns the resource in its one canonical spelling.
func (r Resource) String() string {
	if r.Scheme == SchemeHTTPS || r.Scheme == SchemeHTTP {
		return r.Scheme + "://" + r.Host + r.Path
	}
	return r.Scheme + ":" + escapeUser(r.User, r.Scheme) + "@" + r.Domain
}

// parseAccount reads userpart "@" host. RFC 7565, section 7 gives a grammar for
// the user part that taken literally allows one letter only; its prose, and
// section 6 on characters beyond ASCII, say what is meant: unreserved,
// sub-delims and percent-encoded characters.
func (r *Resource) parseAccount(rest string) error {
	user, host, found := strings.Cut(rest, "@")
	switch {
	case !found:
		return malformed("no @ between the name and the domain")
	case user == "":
		return malformed("no name before the @")
	case strings.Contains(host, "@"):
		return malformed("an @ inside the name has to be written %%40")
	case strings.ContainsAny(user, ":/?#[]"):
		return malformed("a character of the name has to be percent-encoded")
	case r.Scheme == SchemeMailto && strings.Contains(user, ","):
		return malformed("more than one address")
	}
	var err error
	if r.User, err = unescape(user); err != nil {
		return err
	}
	if r.Domain, err = parseHost(host); err != nil {
		return err
	}
	r.Host = r.Domain
	return nil
}

// parseURL reads "//" host [":" port] [path].
func (r *Resource) parseURL(rest string) error {
	rest, found := strings.CutPrefix(rest, "//")
	switch {
	case !found:
		return malformed("no // after the scheme")
	case strings.ContainsAny(rest, "?#"):
		return malformed("a query or fragment")
	}
	authority, path := rest, ""
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		authority, path = rest[:slash], rest[slash:]
	}
	switch {
	case strings.Contains(authority, "@"):
		return malformed("user information in a URL")
	case strings.ContainsAny(path, "[]"):
		return malformed("a character of the path has to be percent-encoded")
	}
	if err := r.parseAuthority(authority); err != nil {
		return err
	}
	if path != "/" {
		r.Path = path
	}
	return nil
}

func (r *Resource) parseAuthority(authority string) error {
	host, port := authority, ""
	if colon := strings.LastIndexByte(authority, ':'); colon > strings.LastIndexByte(authority, ']') {
		host, port = authority[:colon], authority[colon+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return malformed("the port is not a number from 1 to 65535")
		}
	}
	var err error
	if literal, found := strings.CutPrefix(host, "["); found {
		if r.Domain, err = parseIPv6(literal); err != nil {
			return err
		}
		r.Host = "[" + r.Domain + "]"
	} else {
		if r.Domain, err = parseHost(host); err != nil {
			return err
		}
		r.Host = r.Domain
	}
	if r.Scheme == SchemeHTTP && !loopback(r.Domain) {
		return malformed("http is for literal loopback addresses only: use https")
	}
	if port != "" && port != defaultPort(r.Scheme) {
		r.Host += ":" + port
	}
	return nil
}

func defaultPort(scheme string) string {
	if scheme == SchemeHTTP {
		return "80"
	}
	return "443"
}

func loopback(domain string) bool {
	address, err := netip.ParseAddr(domain)
	return err == nil && address.IsLoopback()
}

// parseIPv6 reads what follows the opening bracket of an IPv6 literal.
func parseIPv6(literal string) (string, error) {
	literal, closed := strings.CutSuffix(literal, "]")
	address, err := netip.ParseAddr(literal)
	if !closed || err != nil || !address.Is6() || address.Zone() != "" {
		return "", malformed("the address in brackets is not an IPv6 address")
	}
	return address.String(), nil
}

// parseHost reads a reg-name of RFC 3986, section 3.2.2, which may hold
// percent-encoded UTF-8, as a domain name.
func parseHost(host string) (string, error) {
	host, err := unescape(host)
	if err != nil {
		return "", err
	}
	domain, err := ParseDomain(host)
	if err != nil {
		return "", malformed("the domain is not a domain name")
	}
	return domain, nil
}

// checkCharacters refuses whatever RFC 3986, section 2 does not allow in a URI:
// anything beyond ASCII, spaces, quotes, control characters, broken escapes.
func checkCharacters(raw string) error {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '%':
			if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) {
				return malformed("a %% without two hexadecimal digits after it")
			}
			if escaped := unhex(raw[i+1])<<4 | unhex(raw[i+2]); escaped < 0x20 || escaped == 0x7f {
				return malformed("an escaped control character")
			}
			i += 2
		case !isURICharacter(c):
			return malformed("a character that a URI may not hold")
		}
	}
	return nil
}

// unescape takes the percent-encoding off a part that checkCharacters has seen.
func unescape(part string) (string, error) {
	if !strings.Contains(part, "%") {
		return part, nil
	}
	decoded := make([]byte, 0, len(part))
	for i := 0; i < len(part); i++ {
		c := part[i]
		if c == '%' {
			c = unhex(part[i+1])<<4 | unhex(part[i+2])
			i += 2
		}
		decoded = append(decoded, c)
	}
	if !utf8.Valid(decoded) {
		return "", malformed("escaped characters that are not UTF-8")
	}
	if text := string(decoded); !strings.ContainsFunc(text, unicode.IsControl) {
		return text, nil
	}
	return "", malformed("an escaped control character")
}

// escapeUser writes a local part with whatever is neither unreserved nor a
// sub-delim escaped, and the comma too where it would separate addresses.
func escapeUser(user, scheme string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(user) {
		c := user[i]
		if isUnreserved(c) || isSubDelim(c) && (c != ',' || scheme == SchemeAcct) {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}

func isURICharacter(c byte) bool {
	return isUnreserved(c) || isSubDelim(c) || strings.IndexByte(":/?#[]@", c) >= 0
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func isSubDelim(c byte) bool { return strings.IndexByte("!$&'()*+,;=", c) >= 0 }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

func malformed(format string, values ...any) error {
	return fmt.Errorf("%w: %s", ErrResource, fmt.Sprintf(format, values...))
}
