package client

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// checkURL refuses whatever nothing may be sent to: everything but https, unless
// the host is a literal loopback address, and URLs that are easily misread.
func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return malformed("a URL that is neither https nor http")
	case u.Hostname() == "" || u.Opaque != "" || u.User != nil || u.Fragment != "":
		return malformed("a URL without a host, or with user information or a fragment")
	case u.Scheme == "http" && !loopbackLiteral(u.Hostname()):
		return fmt.Errorf("%w: http to %s", ErrInsecure, u.Host)
	}
	return nil
}

// loopbackLiteral reports whether the host is an address of 127.0.0.0/8 or ::1.
// A name like "localhost" is not: it can be made to resolve to anything.
func loopbackLiteral(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// follow reads a URL that an answer from another URL names. What came over https
// never leads to http, not even to the loopback address.
func follow(from *url.URL, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, malformed("a URL that cannot be read") // the cause repeats it
	}
	if err := checkURL(u); err != nil {
		return nil, err
	}
	if from.Scheme == "https" && u.Scheme != "https" {
		return nil, fmt.Errorf("%w: from https to http", ErrInsecure)
	}
	return u, nil
}

// parseIssuer reads an issuer: a URL without query and fragment
// (https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig).
func parseIssuer(from *url.URL, text string) (*url.URL, error) {
	if strings.ContainsAny(text, "?#") {
		return nil, malformed("an issuer with a query or a fragment")
	}
	return follow(from, text)
}

// sameHost compares host and port; follow has seen to the scheme.
func sameHost(a, b *url.URL) bool { return strings.EqualFold(a.Host, b.Host) }
