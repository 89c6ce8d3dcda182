package scopes_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"signpost/scopes"
)

func TestParse(t *testing.T) {
	t.Parallel()
	good := func(s string, want ...string) {
		t.Helper()
		set, err := scopes.Parse(s)
		if err != nil || !slices.Equal(set.Words(), want) || set.Len() != len(want) {
			t.Errorf("Parse(%q) = %q, %v; want %q", s, set.Words(), err, want)
		}
	}
	bad := func(s string) {
		t.Helper()
		if set, err := scopes.Parse(s); !errors.Is(err, scopes.ErrSyntax) || set.Len() != 0 {
			t.Errorf("Parse(%q) = %q, %v; want ErrSyntax", s, set.Words(), err)
		}
	}

	good("")
	good("openid", "openid")
	good("openid mail", "openid", "mail")
	good("mail openid", "mail", "openid") // the order of the request stays
	good("a A", "a", "A")                 // case-sensitive
	good("a b a", "a", "b")               // a repeated word counts once
	good("urn:ietf:params:oauth:scope:mail", "urn:ietf:params:oauth:scope:mail")
	good("!#$%&'()*+,-./:;<=>?@[]^_`{|}~", "!#$%&'()*+,-./:;<=>?@[]^_`{|}~")

	bad(" ")
	bad(" a")
	bad("a ")
	bad("a  b")
	bad("a\tb")
	bad("a\nb")
	bad(`a"b`)
	bad(`a\b`)
	bad("ä")
	bad("a\x7f")
	bad("a\x00")
}

// Whoever is not signed in may send a scope parameter of any length.
func TestParseIsBounded(t *testing.T) {
	t.Parallel()
	distinct := func(n int) string {
		words := make([]string, n)
		for i := range words {
			words[i] = fmt.Sprint("w", i)
		}
		return strings.Join(words, " ")
	}
	repeated := func(n int) string { return strings.TrimSuffix(strings.Repeat("a ", n), " ") }
	for what, c := range map[string]struct {
		scope string
		words int // of the set; 0 if it is refused
	}{
		"128 words":             {distinct(128), 128},
		"129 words":             {distinct(129), 0},
		"one word 128 times":    {repeated(128), 1},
		"one word 129 times":    {repeated(129), 0},
		"4096 bytes":            {strings.Repeat("a", 4096), 1},
		"4097 bytes":            {strings.Repeat("a", 4097), 0},
		"two words, 4097 bytes": {"b " + strings.Repeat("a", 4095), 0},
		"60,000 bytes of words": {repeated(30_000), 0},
	} {
		set, err := scopes.Parse(c.scope)
		if refused := c.words == 0; set.Len() != c.words || errors.Is(err, scopes.ErrSyntax) != refused || (err != nil) != refused {
			t.Errorf("%s: got %d words, %v; want %d, and ErrSyntax if none", what, set.Len(), err, c.words)
		}
	}
}

// Work that grows with the square of the words would make this test take minutes.
func TestOfManyWords(t *testing.T) {
	t.Parallel()
	const n = 500_000
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("w%06d", i)
	}
	if got := scopes.Of(slices.Concat(words, words)...); !slices.Equal(got.Words(), words) {
		t.Errorf("Of(%d words, each twice): got %d words, want each once and in order", n, got.Len())
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	ab, bc := scopes.Of("a", "b"), scopes.Of("b", "c")
	for _, c := range []struct {
		what      string
		got, want string
	}{
		{"union", ab.Union(bc).String(), "a b c"},
		{"union with the empty set", ab.Union(scopes.Set{}).String(), "a b"},
		{"without", ab.Without("a", "x").String(), "b"},
		{"without anything", ab.Without().String(), "a b"},
		{"of repeated words", scopes.Of("a", "a").String(), "a"},
		{"the zero set", scopes.Set{}.String(), ""},
		{"a after the operations", ab.String(), "a b"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
	if !ab.Has("a") || ab.Has("c") || ab.Has("A") || ab.Has("") {
		t.Errorf("Has of %q: want a, not c, A or nothing", ab)
	}
	if !ab.Equal(scopes.Of("b", "a")) || ab.Equal(bc) || ab.Equal(scopes.Of("a")) {
		t.Errorf("Equal of %q: want it equal to its reverse only", ab)
	}
	words := ab.Words()
	words[0] = "changed"
	if ab.String() != "a b" {
		t.Errorf("changing the words changed the set to %q", ab)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "openid", "openid  mail", " a", "a b a", "urn:ietf:params:oauth:scope:mail offline_access", "a\"", "ä"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		set, err := scopes.Parse(s)
		if err != nil {
			if !errors.Is(err, scopes.ErrSyntax) {
				t.Fatalf("Parse(%q): %v is not ErrSyntax", s, err)
			}
			return
		}
		again, err := scopes.Parse(set.String())
		if err != nil || again.String() != set.String() {
			t.Errorf("%q parses to %q, which parses to %q, %v", s, set, again, err)
		}
		// RFC 6749, section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), one space between two.
		for _, c := range []byte(s) {
			if c != ' ' && (c < '!' || c > '~' || c == '"' || c == '\\') {
				t.Errorf("%q was accepted with the byte %#x", s, c)
			}
		}
		if strings.HasPrefix(s, " ") || strings.HasSuffix(s, " ") || strings.Contains(s, "  ") {
			t.Errorf("%q was accepted with a space that separates nothing", s)
		}
	})
}
