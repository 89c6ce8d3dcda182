package dpop

import (
	"net/url"
	"strings"
)

// normalise writes a URL in the one way in which two are compared (RFC 9449, section 4.3;
// RFC 3986, section 6.2.2 and section 6.2.3): no query, no fragment, scheme and
// host in lower case, no default port, "/" for no path. Our own paths have neither
// escapes nor dot segments, so a URL with one is simply another.
func normalise(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return "", false
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, ":") + path, true
}
