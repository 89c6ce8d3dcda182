// Package scopes knows the words with which a client asks for access: their
// syntax, the catalogue that says what each one opens and how to tell people,
// which scope covers which, and the public scope document. The standard names are
// those of draft-ietf-mailmaint-oauth-public; what that draft has no word for is
// under urn:signpost:scope. It does no I/O.
package scopes

import (
	"errors"
	"slices"
	"strings"
)

// Set is a set of scope words. Words are case-sensitive and their order has no
// meaning (RFC 6749, section 3.3); a Set keeps them in the order in which they
// first came, so that an answer repeats the request. The zero Set is empty.
// A Set is a value: its methods return new sets.
type Set struct{ words []string }

// ErrSyntax means that a scope string breaks RFC 6749, section 3.3, or is longer
// than anybody needs. Answer invalid_scope.
var ErrSyntax = errors.New("scopes: not a list of scope words")

// Bounds of a scope string. Whoever asks need not have signed in, so the work
// that one request causes must be small.
const (
	maxWords = 128
	maxBytes = 4096
)

// Parse reads a scope parameter: words of %x21 / %x23-5B / %x5D-7E, one space
// between them (RFC 6749, section 3.3), at most 128 words and 4096 bytes. A
// repeated word counts once in the set. The empty string is the empty set;
// anything else malformed, or longer, is ErrSyntax.
func Parse(s string) (Set, error) {
	if s == "" {
		return Set{}, nil
	}
	if len(s) > maxBytes || strings.Count(s, " ") >= maxWords {
		return Set{}, ErrSyntax
	}
	words := strings.Split(s, " ")
	for _, w := range words {
		if !ValidWord(w) {
			return Set{}, ErrSyntax
		}
	}
	return Of(words...), nil
}

// ValidWord reports whether w is a scope-token of RFC 6749, section 3.3.
func ValidWord(w string) bool {
	if w == "" {
		return false
	}
	for i := range len(w) {
		if c := w[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// fewWords is up to how many words looking through them costs less than a map, which every
// request would make.
const fewWords = 16

// Of makes a set of words that the caller knows to be well formed.
func Of(words ...string) Set {
	if len(words) == 0 {
		return Set{}
	}
	s := Set{make([]string, 0, len(words))}
	if len(words) <= fewWords {
		for _, w := range words {
			if !s.Has(w) {
				s.words = append(s.words, w)
			}
		}
		return s
	}
	seen := make(map[string]bool, len(words))
	for _, w := range words {
		if !seen[w] {
			seen[w] = true
			s.words = append(s.words, w)
		}
	}
	return s
}

// String returns the words with one space between them: the form of the wire.
func (s Set) String() string { return strings.Join(s.words, " ") }

// Words returns the words in order. The caller may keep and change the slice.
func (s Set) Words() []string { return slices.Clone(s.words) }

// Len returns the number of words.
func (s Set) Len() int { return len(s.words) }

// Has reports whether the word itself is in the set; see Catalogue.Cover for
// what a wider word covers.
func (s Set) Has(word string) bool { return slices.Contains(s.words, word) }

// Union returns the words of s, then those of o that s lacks.
func (s Set) Union(o Set) Set { return Of(append(s.Words(), o.words...)...) }

// Without returns s without the given words.
func (s Set) Without(words ...string) Set {
	var out Set
	for _, w := range s.words {
		if !slices.Contains(words, w) {
			out.words = append(out.words, w)
		}
	}
	return out
}

// Equal reports whether both sets hold the same words, in any order.
func (s Set) Equal(o Set) bool { return len(s.words) == len(o.words) && s.contains(o) }

func (s Set) contains(o Set) bool {
	for _, w := range o.words {
		if !s.Has(w) {
			return false
		}
	}
	return true
}
