package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"
)

// A language is a file named by its tag (RFC 5646, section 2.1): to add one, add a file with
// the keys of en.json.
//
//go:embed locales/*.json
var localeFiles embed.FS

// fallback is the language that every key is written in first.
const fallback = "en"

// maxDomains is how many domains of an organisation are named; a hoster's
// customers would fill the page.
const maxDomains = 3

// words are the sentences of one language by key. A sentence may hold
// placeholders: "Sign in at {organisation}".
type words map[string]string

// loadWords reads every language and refuses one whose keys or placeholders
// are not those of the fallback.
func loadWords(files fs.FS) (map[string]words, error) {
	paths, err := fs.Glob(files, "locales/*.json")
	if err != nil {
		return nil, fmt.Errorf("web: list languages: %w", err)
	}
	all := map[string]words{}
	for _, file := range paths {
		lang := strings.TrimSuffix(path.Base(file), ".json")
		if _, err := language.Parse(lang); err != nil {
			return nil, fmt.Errorf("web: language %q: %w", lang, err)
		}
		src, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, fmt.Errorf("web: read language %q: %w", lang, err)
		}
		var w words
		if err := json.Unmarshal(src, &w); err != nil {
			return nil, fmt.Errorf("web: read language %q: %w", lang, err)
		}
		all[lang] = w
	}
	for lang, w := range all {
		if err := w.matches(all[fallback]); err != nil {
			return nil, fmt.Errorf("web: language %q: %w", lang, err)
		}
	}
	if len(all[fallback]) == 0 {
		return nil, fmt.Errorf("web: no words for the language %q", fallback)
	}
	return all, nil
}

func (w words) matches(model words) error {
	for key, sentence := range model {
		if w[key] == "" {
			return fmt.Errorf("no word for %q", key)
		}
		if got, want := placeholders(w[key]), placeholders(sentence); !slices.Equal(got, want) {
			return fmt.Errorf("word %q has the placeholders %q, want %q", key, got, want)
		}
	}
	for key := range w {
		if _, ok := model[key]; !ok {
			return fmt.Errorf("no page has the word %q", key)
		}
	}
	return nil
}

// placeholders returns the names in braces, sorted and each once.
func placeholders(sentence string) []string {
	var found []string
	for _, part := range strings.Split(sentence, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		found = append(found, name)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// say returns the sentence of key with its placeholders filled from pairs of
// name and value. Values are replaced in one pass: what looks like a
// placeholder inside a value stays as it is.
func (w words) say(key string, pairs ...string) (string, error) {
	sentence, ok := w[key]
	if !ok {
		return "", fmt.Errorf("no word for %q", key)
	}
	if len(pairs)%2 != 0 {
		return "", fmt.Errorf("word %q: a placeholder without a value", key)
	}
	var fill []string
	for i, text := range pairs {
		if i%2 == 0 {
			fill = append(fill, "{"+text+"}")
		} else {
			fill = append(fill, plain(text))
		}
	}
	return strings.NewReplacer(fill...).Replace(sentence), nil
}

// domains lists an organisation's domains, the first few by name.
func (w words) domains(names []string) (string, error) {
	if len(names) <= maxDomains+1 {
		return plain(strings.Join(names, ", ")), nil
	}
	return w.say("answer.more",
		"domains", strings.Join(names[:maxDomains], ", "),
		"count", strconv.Itoa(len(names)-maxDomains))
}

// languages returns the tags of all, the fallback first, and a matcher over
// them in that order: its default is the first.
func languages(all map[string]words) ([]string, language.Matcher) {
	names := slices.Sorted(maps.Keys(all))
	names = append([]string{fallback}, slices.DeleteFunc(names, func(n string) bool { return n == fallback })...)
	tags := make([]language.Tag, len(names))
	for i, name := range names {
		tags[i] = language.Make(name)
	}
	return names, language.NewMatcher(tags)
}

// Language returns the language of ours that fits an Accept-Language header
// best (RFC 9110, section 12.5.4); English if none fits or the header is unreadable.
func (p *Pages) Language(acceptLanguage string) string {
	wanted, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil {
		return fallback
	}
	_, index, _ := p.matcher.Match(wanted...)
	return p.languages[index]
}

// Wished returns the first of ui_locales, language tags with spaces between them, for
// which there are words
// (https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest), or what Language returns.
func (p *Pages) Wished(locales, acceptLanguage string) string {
	for _, locale := range strings.Fields(locales) {
		tag, err := language.Parse(locale)
		if err != nil {
			continue
		}
		if _, index, confidence := p.matcher.Match(tag); confidence >= language.High {
			return p.languages[index]
		}
	}
	return p.Language(acceptLanguage)
}
