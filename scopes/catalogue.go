package scopes

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Scope is a word of the catalogue. It is data: the built-in ones are embedded
// JSON, a tenant may replace or add to them.
type Scope struct {
	Name     string            `json:"name"`               // the word itself
	Opens    []string          `json:"opens,omitempty"`    // protocols it opens: "imap", "caldav"
	Includes []string          `json:"includes,omitempty"` // narrower scopes that it covers
	Broad    bool              `json:"broad,omitempty"`    // member of the set that opens everything
	Title    map[string]string `json:"title"`              // by language tag, "en" always: a few words
	Text     map[string]string `json:"text"`               // by language tag, "en" always: completes "… may": "read your mail"
}

// The scopes of draft-ietf-mailmaint-oauth-public, and those for
// which that draft has no word.
const (
	Mail      = "urn:ietf:params:oauth:scope:mail"
	Contacts  = "urn:ietf:params:oauth:scope:contacts"
	Calendars = "urn:ietf:params:oauth:scope:calendars"
	Files     = "urn:signpost:scope:files"
	Sieve     = "urn:signpost:scope:sieve"
	Chat      = "urn:signpost:scope:chat"
)

// ErrCatalogue means that scopes do not make a catalogue: a name that is no scope
// word or comes twice, a missing English title or text, an included scope that
// does not exist or that includes its includer. The wrapping error names the scope.
var ErrCatalogue = errors.New("scopes: not a catalogue")

// Catalogue is a list of scopes that hang together. It never changes and may be
// used by several goroutines.
type Catalogue struct {
	scopes []Scope
	index  map[string]int      // of a name in scopes
	covers map[string][]string // what a scope includes, directly or not
}

//go:embed catalogue.json
var builtIn []byte

var defaultCatalogue = sync.OnceValue(func() *Catalogue { return mustDecode(builtIn) })

// Default returns the built-in catalogue.
func Default() *Catalogue { return defaultCatalogue() }

// mustDecode reads the catalogue that is part of the program: a fault in it is
// a fault of the program.
func mustDecode(data []byte) *Catalogue {
	c, err := decode(data)
	if err != nil {
		panic(fmt.Sprintf("embedded catalogue: %v", err))
	}
	return c
}

func decode(data []byte) (*Catalogue, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var list []Scope
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCatalogue, err)
	}
	return build(list)
}

// With returns the catalogue with the given scopes in it: one that has the name
// of another takes its place, the rest follow at the end. Errors wrap ErrCatalogue.
func (c *Catalogue) With(overrides []Scope) (*Catalogue, error) {
	if len(overrides) == 0 {
		return c, nil
	}
	list := slices.Clone(c.scopes)
	seen := make(map[string]bool, len(overrides))
	for _, s := range overrides {
		if seen[s.Name] {
			return nil, fmt.Errorf("%w: scope %q comes twice", ErrCatalogue, s.Name)
		}
		seen[s.Name] = true
		if i, found := c.index[s.Name]; found {
			list[i] = s
		} else {
			list = append(list, s)
		}
	}
	return build(list)
}

func build(list []Scope) (*Catalogue, error) {
	c := &Catalogue{scopes: list, index: make(map[string]int, len(list)), covers: make(map[string][]string, len(list))}
	for i, s := range list {
		if err := check(s); err != nil {
			return nil, err
		}
		if _, found := c.index[s.Name]; found {
			return nil, fmt.Errorf("%w: scope %q comes twice", ErrCatalogue, s.Name)
		}
		c.index[s.Name] = i
	}
	for _, s := range list {
		covered, err := c.reach(s.Name, nil)
		if err != nil {
			return nil, err
		}
		c.covers[s.Name] = covered
	}
	return c, nil
}

func check(s Scope) error {
	switch {
	case !ValidWord(s.Name):
		return fmt.Errorf("%w: %q is not a scope word", ErrCatalogue, s.Name)
	case s.Title["en"] == "":
		return fmt.Errorf("%w: scope %q has no English title", ErrCatalogue, s.Name)
	case s.Text["en"] == "":
		return fmt.Errorf("%w: scope %q has no English text", ErrCatalogue, s.Name)
	}
	return nil
}

// reach returns every scope that name includes, directly or not. The way that
// led to name is kept to see circles.
func (c *Catalogue) reach(name string, way []string) ([]string, error) {
	if slices.Contains(way, name) {
		return nil, fmt.Errorf("%w: scopes include each other: %s", ErrCatalogue, strings.Join(append(way, name), ", "))
	}
	way = append(slices.Clone(way), name)
	var covered []string
	for _, included := range c.scopes[c.index[name]].Includes {
		if _, found := c.index[included]; !found {
			return nil, fmt.Errorf("%w: scope %q includes %q, which does not exist", ErrCatalogue, name, included)
		}
		deeper, err := c.reach(included, way)
		if err != nil {
			return nil, err
		}
		covered = append(append(covered, included), deeper...)
	}
	return Of(covered...).words, nil
}

// Scope returns the scope with that name.
func (c *Catalogue) Scope(name string) (Scope, bool) {
	i, found := c.index[name]
	if !found {
		return Scope{}, false
	}
	return c.scopes[i], true
}

// Scopes returns all scopes in the catalogue's order. The caller may change the slice.
func (c *Catalogue) Scopes() []Scope { return slices.Clone(c.scopes) }

// Cover reports whether the granted scopes open everything that the wanted ones
// ask for. A scope covers itself and what it includes; a word that the catalogue
// does not know covers only itself. Nothing wanted is always covered.
func (c *Catalogue) Cover(granted, wanted Set) bool {
	for _, w := range wanted.words {
		if !c.coverWord(granted, w) {
			return false
		}
	}
	return true
}

// Narrow returns the words of wanted that granted covers, in the order of
// wanted. It never returns a word that was not wanted.
func (c *Catalogue) Narrow(granted, wanted Set) Set {
	var out Set
	for _, w := range wanted.words {
		if c.coverWord(granted, w) {
			out.words = append(out.words, w)
		}
	}
	return out
}

// Opening returns what of the granted scopes a service has a use for: the words
// that open it as far as they are granted, then granted words that are narrower
// than those. It is empty if what is granted does not open the service at all.
func (c *Catalogue) Opening(granted, service Set) Set {
	return c.Narrow(granted, service).Union(c.Narrow(service, granted))
}

func (c *Catalogue) coverWord(granted Set, word string) bool {
	for _, g := range granted.words {
		if g == word || slices.Contains(c.covers[g], word) {
			return true
		}
	}
	return false
}

// TitleIn returns the title in a language, given as a tag such as "de" or
// "de-AT", and in English if there is none.
func (s Scope) TitleIn(lang string) string { return in(s.Title, lang) }

// TextIn returns the text in a language, as TitleIn does.
func (s Scope) TextIn(lang string) string { return in(s.Text, lang) }

func in(texts map[string]string, lang string) string {
	if text := texts[lang]; text != "" {
		return text
	}
	primary, _, _ := strings.Cut(lang, "-")
	if text := texts[primary]; text != "" {
		return text
	}
	return texts["en"]
}
