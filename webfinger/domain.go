package webfinger

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// ParseDomain returns a domain name in the one form in which names are compared:
// A-labels in lower case without a trailing dot. U-labels are converted
// (RFC 5891, section 5). Everything that is not a host name is ErrDomain.
func ParseDomain(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if !plainDomain(name) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil || !utf8.ValidString(name) {
			return "", ErrDomain // the cause would repeat the name
		}
		name = ascii
	}
	if len(name) > 253 {
		return "", fmt.Errorf("%w: longer than 253 bytes", ErrDomain)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return "", fmt.Errorf("%w: a label has 1 to 63 bytes", ErrDomain)
		}
	}
	return name, nil
}

// plainDomain reports whether a name is lower-case letters, digits, dots and
// single hyphens inside labels, so that it is what IDNA would make of it. Nearly
// every name is: this keeps the tables of Unicode off the hot path.
func plainDomain(name string) bool {
	before := byte('.')
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '.' && before != '-':
		case c == '-' && before != '.' && before != '-':
		default:
			return false
		}
		before = c
	}
	return before != '-'
}
