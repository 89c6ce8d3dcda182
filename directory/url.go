package directory

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"signpost/webfinger"
)

// parseURL reads a URL that names an issuer or a resource. Both are compared as
// strings, so only one spelling is taken: https, the host in lower case and
// A-labels, no default port, no user information, query, fragment, dot segments
// or needless escapes. http is for literal loopback addresses only, where the
// demo runs. The error is a sentence for the person who wrote the URL.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Opaque != "" || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("not an https URL")
	case u.User != nil:
		return nil, fmt.Errorf("a URL must not hold user information")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return nil, fmt.Errorf("a URL must not have a query or fragment here")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("http is for literal loopback addresses only: use https")
	}
	if err := checkAuthority(u); err != nil {
		return nil, err
	}
	if err := checkPath(u.EscapedPath()); err != nil {
		return nil, err
	}
	if u.String() != raw {
		return nil, fmt.Errorf("not in its plain spelling, which is %s", u)
	}
	return u, nil
}

func checkAuthority(u *url.URL) error {
	host := u.Hostname()
	if address, err := netip.ParseAddr(host); err == nil {
		if address.String() != host || address.Zone() != "" {
			return fmt.Errorf("the IP address is not in its short form")
		}
	} else if domain, err := webfinger.ParseDomain(host); err != nil {
		return fmt.Errorf("the host is not a domain name")
	} else if domain != host {
		return fmt.Errorf("the host has to be written %s", domain)
	}
	port := u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return fmt.Errorf("a colon without a port")
		}
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return fmt.Errorf("the port is not a number from 1 to 65535")
	}
	if port == defaultPort(u) {
		return fmt.Errorf("the port %s goes without saying: leave it out", port)
	}
	return nil
}

// checkPath refuses what lets two spellings name one path: dot segments, an
// escaped slash, escaped unreserved characters (RFC 3986, section 2.3).
func checkPath(path string) error {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("the path must not have dot segments")
		}
	}
	for i := 0; i+2 < len(path); i++ {
		if path[i] != '%' {
			continue
		}
		n, err := strconv.ParseUint(path[i+1:i+3], 16, 8)
		if err != nil {
			return fmt.Errorf("the path has a broken escape")
		}
		if c := byte(n); c == '/' || c == '\\' || c < 0x20 || c == 0x7f || unreserved(c) {
			return fmt.Errorf("the path must not escape %q", c)
		}
	}
	return nil
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

func defaultPort(u *url.URL) string {
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

// below reports whether a URL is the prefix or lies below it by whole path
// segments, on the same scheme, host and port (R30).
func below(u, prefix *url.URL) bool {
	if u.Scheme != prefix.Scheme || u.Host != prefix.Host {
		return false
	}
	path, top := u.EscapedPath(), strings.TrimSuffix(prefix.EscapedPath(), "/")
	return path == top || strings.HasPrefix(path, top+"/")
}
