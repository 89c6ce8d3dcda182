// Package apppassword makes and recognises passwords for programs and servers that know no
// OAuth (R21): generated, for named services, kept as a keyed hash, listed and ended like a
// grant. A password is a selector of 40 bits, which finds its row, and a secret of 130 bits, so
// that a fast hash under a server key is enough: servers for calendars ask at each request.
// Whether one may be made, and what it is worth today, is decided by oidc/policy; oidc/issuer
// asks both.
package apppassword

import (
	"fmt"
	"io"
	"strings"
)

// alphabet has 32 letters and digits of which no two look alike: no i, l, o and u.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// Lengths in characters of 5 bits.
const (
	selectorLength = 8  // 40 bits
	secretLength   = 26 // 130 bits, of which R21 asks 128
	length         = selectorLength + secretLength
)

// groups says how many characters stand between hyphens.
var groups = [...]int{4, 4, 5, 5, 5, 5, 6}

// Password is a password as a person types it, taken apart. The zero value is none. It prints
// itself as a placeholder, so that it does not get into a log by mistake.
type Password struct{ text string }

// New makes a password of 170 random bits. random is crypto/rand.Reader but in tests.
func New(random io.Reader) (Password, error) {
	var b [length]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return Password{}, fmt.Errorf("make app password: %w", err)
	}
	for i, random := range b {
		b[i] = alphabet[random%32] // 256 is a multiple of 32: each one is as likely
	}
	return Password{string(b[:])}, nil
}

// Parse reads what somebody typed: with its hyphens or without any, in whatever case, with white space
// at the ends, with the letters o, i and l where a digit is meant. It reports false for all else, which
// cannot be an app password.
func Parse(typed string) (Password, bool) {
	typed = strings.TrimSpace(typed)
	if len(typed) == length+len(groups)-1 {
		typed = withoutHyphens(typed)
	}
	if len(typed) != length {
		return Password{}, false
	}
	var b [length]byte
	for i := range b {
		c := meant(typed[i])
		if strings.IndexByte(alphabet, c) < 0 {
			return Password{}, false
		}
		b[i] = c
	}
	return Password{string(b[:])}, true
}

// withoutHyphens takes out those that stand where Reveal writes them. Others stay, and are refused.
func withoutHyphens(typed string) string {
	var plain strings.Builder
	rest := typed
	for i, n := range groups {
		if i > 0 && rest[0] != '-' {
			return ""
		}
		if i > 0 {
			rest = rest[1:]
		}
		plain.WriteString(rest[:n])
		rest = rest[n:]
	}
	return plain.String()
}

// meant is the character of the alphabet that was typed, or looks like it.
func meant(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	switch c {
	case 'o':
		return '0'
	case 'i', 'l':
		return '1'
	}
	return c
}

// Reveal returns the password for the person, in groups with hyphens between them.
func (p Password) Reveal() string {
	if p.text == "" {
		return ""
	}
	var shown strings.Builder
	rest := p.text
	for i, n := range groups {
		if i > 0 {
			shown.WriteByte('-')
		}
		shown.WriteString(rest[:n])
		rest = rest[n:]
	}
	return shown.String()
}

// Selector finds the password's row. It is no secret, but nobody is told.
func (p Password) Selector() string {
	if p.text == "" {
		return ""
	}
	return p.text[:selectorLength]
}

// hashed is what the keyed hash is made of: the tenant too, so that a row that is copied to another
// tenant opens nothing there. No tenant's name has a zero byte in it.
func (p Password) hashed(tenant string) []byte { return []byte(tenant + "\x00" + p.text) }

// String hides the password.
func (Password) String() string { return "[app password]" }

// GoString hides it from %#v as well.
func (Password) GoString() string { return "[app password]" }
