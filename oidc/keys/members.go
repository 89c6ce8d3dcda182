package keys

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
	"strings"
)

// Names of members that mean something in what is signed here. Elsewhere they are spelt so and
// stand once, or it is not ours.
var (
	headerMembers       = [...]string{"typ", "alg", "kid", "crit"}
	confirmationMembers = [...]string{"jkt"}
	claimMembers        = [...]string{
		"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "scope", "client_id", "azp", "grant", "preferred_username", "cnf",
		"nonce", "at_hash", "auth_time", "acr", "amr", "token_introspection", "events",
	}
)

// maxMembers is more than anything of ours has.
const maxMembers = 64

// read reads a JSON object as json.Unmarshal does, which takes a member by any case and the last of
// several: names are compared as they are (RFC 7515, section 4; RFC 7519, section 7.3), and a
// name that stands twice, or is one of ours in another case, makes the whole invalid.
func read(object []byte, ours []string, into any) error {
	if err := json.Unmarshal(object, into); err != nil {
		return err
	}
	if object = bytes.TrimLeft(object, space); object[0] != '{' {
		return ErrInvalid // null, which changes nothing
	}
	var room [maxMembers]string
	seen := room[:0]
	for name := range names(object) {
		if len(seen) == maxMembers || slices.Contains(seen, name) || !slices.Contains(ours, name) && meant(ours, name) {
			return ErrInvalid
		}
		seen = append(seen, name)
	}
	return nil
}

// space is what may stand between the parts of JSON (RFC 8259, section 2).
const space = " \t\r\n"

// names are those of an object's own members, of JSON that is well-formed. A text is a name if a
// colon follows.
func names(object []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		depth := 0
		for i := 0; i < len(object); i++ {
			switch object[i] {
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			case '"':
				text := object[i : i+textLength(object[i:])]
				i += len(text) - 1
				behind := bytes.TrimLeft(object[i+1:], space)
				if depth != 1 || behind[0] != ':' {
					continue
				}
				if !yield(unquoted(text)) {
					return
				}
			}
		}
	}
}

// textLength is how long the text is that b begins with, with its quotation marks.
func textLength(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// unquoted is a text as it is meant.
func unquoted(text []byte) string {
	if !bytes.ContainsRune(text, '\\') {
		return string(text[1 : len(text)-1])
	}
	var s string
	_ = json.Unmarshal(text, &s) // it is well-formed
	return s
}

// meant reports whether a name is one of ours but for its case.
func meant(ours []string, name string) bool {
	return slices.ContainsFunc(ours, func(own string) bool { return strings.EqualFold(own, name) })
}

// UnmarshalJSON reads it as read does.
func (c *confirmation) UnmarshalJSON(b []byte) error {
	type plain confirmation
	return read(b, confirmationMembers[:], (*plain)(c))
}
