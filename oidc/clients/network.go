package clients

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"

	"code.dny.dev/ssrf"
)

// DialFunc opens a connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// NewFetch makes the HTTP client that reads documents at URLs that strangers choose
// (R15): no redirects, no proxy, no cookies, no compression that would make much of
// little. A nil dial is PublicDial of the system's resolver, nil roots are the system's.
func NewFetch(dial DialFunc, roots *x509.CertPool) *http.Client {
	if dial == nil {
		dial = PublicDial(nil)
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dial,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableCompression:     true,
			DisableKeepAlives:      true, // the next document is somewhere else
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       fetchTimeout,
	}
}

// PublicDial connects to port 443 of addresses of the public internet and refuses
// all others. The check is made of the address itself just before the connection,
// so no name and no change of a name leads inside: neither loopback, private,
// link-local or shared addresses, nor IPv6 forms that carry them (mapped, 6to4, NAT64).
// A nil resolver is the system's.
func PublicDial(resolver *net.Resolver) DialFunc {
	guard := ssrf.New(ssrf.WithPorts(443))
	dialer := &net.Dialer{Resolver: resolver, Control: guard.Safe, Timeout: fetchTimeout}
	return dialer.DialContext
}
