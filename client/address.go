package client

import (
	"fmt"
	"strings"

	"signpost/webfinger"
)

// parseAddress makes a WebFinger resource of what a person typed
// (https://openid.net/specs/openid-connect-discovery-1_0.html#IdentifierNormalization):
// "alice@example.com" and "acct:alice@example.com" are the same account. In
// "alice@gmail.com@example.com" the name at example.com is "alice@gmail.com".
func parseAddress(address string) (webfinger.Resource, error) {
	address = strings.TrimSpace(address)
	uri := address
	if !strings.HasPrefix(strings.ToLower(address), webfinger.SchemeAcct+":") {
		at := strings.LastIndexByte(address, '@')
		if at < 1 {
			return webfinger.Resource{}, fmt.Errorf("%w: no name or no @", ErrAddress)
		}
		domain, err := webfinger.ParseDomain(address[at+1:])
		if err != nil {
			return webfinger.Resource{}, fmt.Errorf("%w: no domain name after the @", ErrAddress)
		}
		uri = webfinger.Resource{Scheme: webfinger.SchemeAcct, User: address[:at], Domain: domain}.String()
	}
	resource, err := webfinger.ParseResource(uri)
	if err != nil {
		return webfinger.Resource{}, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return resource, nil
}
