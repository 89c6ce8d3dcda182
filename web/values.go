package web

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode"
)

// plain drops control characters and those that turn the direction of text
// around: with them a name could rewrite how the sentence around it reads.
// Escaping for HTML is html/template's.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s)
}

// link returns s if a person may safely follow it, else "": then the page shows
// no link, instead of one that html/template has disarmed and that leads nowhere.
func link(s string) string {
	u, err := url.Parse(s)
	if err != nil || strings.Contains(s, `\`) { // browsers read "/\host" as "//host"
		return ""
	}
	switch u.Scheme {
	case "https", "http":
		if u.Host != "" {
			return s
		}
	case "mailto":
		return s
	case "":
		if strings.HasPrefix(s, "/") && u.Host == "" {
			return s
		}
	}
	return ""
}

// known is how much of an asker can be shown: its kind, or AskerOpen for one of
// another kind or without a name.
func known(a Asker) string {
	switch a.Kind {
	case AskerNamed, AskerRegistered, AskerProved, AskerUnproved:
		if plain(a.Name) != "" {
			return a.Kind
		}
	}
	return AskerOpen
}

// website reports whether the answer goes to a web server that can be believed to be the asker's.
func website(a Asker) bool {
	k := known(a)
	return (k == AskerNamed || k == AskerProved) && !a.Device && !onDevice(a.Redirect)
}

// onDevice reports whether the answer goes to a program on the person's device:
// a loopback address (RFC 8252, section 7.3) or a private-use scheme (RFC 8252, section 7.1).
func onDevice(redirect string) bool {
	if strings.HasSuffix(redirect, ":") {
		return true
	}
	u, err := url.Parse("//" + redirect)
	if err != nil {
		return false
	}
	if strings.EqualFold(u.Hostname(), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback()
}
