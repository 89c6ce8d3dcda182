package web

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// keysInTemplates returns the keys that the templates and words.go say, and
// the three sentences of every problem.
func keysInTemplates(t *testing.T) []string {
	t.Helper()
	call := regexp.MustCompile(`say "([a-z_.]+)"`)
	paths, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{"answer.more"}
	for _, file := range paths {
		src, err := fs.ReadFile(templateFiles, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range call.FindAllStringSubmatch(string(src), -1) {
			keys = append(keys, match[1])
		}
	}
	for _, key := range []string{
		ProblemExpired, ProblemWrongBrowser, ProblemBadClient, ProblemBadRedirect, ProblemBadRequest, ProblemNotServed,
		ProblemAddressTaken, ProblemNoAddress, ProblemProviderUnavailable, ProblemProviderRefused, ProblemNoProvider, ProblemTooMany,
		ProblemNotFound, ProblemMethodNotAllowed, ProblemInternal, ProblemUnavailable,
	} {
		keys = append(keys, "problem."+key+".title", "problem."+key+".what", "problem."+key+".next")
	}
	for _, result := range []string{DeviceAllowed, DeviceDenied, DeviceFailed} {
		keys = append(keys, "device."+result+".title", "device."+result+".what", "device."+result+".next")
	}
	for _, kind := range []string{AskerOpen, AskerNamed, AskerUnproved, AskerRegistered, AskerGone} {
		keys = append(keys, "account.program."+kind)
	}
	for _, why := range []string{NotMadeChoose, NotMadeLogins, NotMadeAgain, NotMadeRefused, NotMadeRepeated} {
		keys = append(keys, "account.not_made."+why)
	}
	for month := range 12 {
		keys = append(keys, fmt.Sprintf("date.%d", month+1))
	}
	return append(keys, "device.ago.moment", "device.ago.minute", "device.ago.minutes")
}

func TestEveryLanguageHasEveryWordAndNoOther(t *testing.T) {
	t.Parallel()
	all, err := loadWords(localeFiles)
	if err != nil {
		t.Fatalf("loadWords: %v", err)
	}
	used := keysInTemplates(t)
	for _, lang := range []string{"en", "de"} {
		if len(all[lang]) == 0 {
			t.Errorf("no words for %q", lang)
		}
	}
	for lang, w := range all {
		for _, key := range used {
			if w[key] == "" {
				t.Errorf("%s: no word for %q, which a page says", lang, key)
			}
		}
		for key := range w {
			if !slices.Contains(used, key) {
				t.Errorf("%s: no page says %q", lang, key)
			}
		}
	}
}

func TestLoadWordsRefusesIncompleteLanguages(t *testing.T) {
	t.Parallel()
	en := `{"a": "one", "b": "two {x} {y}"}`
	cases := map[string]struct {
		files map[string]string
		want  string // part of the error; "" for none
	}{
		"complete":              {map[string]string{"en": en, "pt-BR": `{"b": "{y} dois {x}", "a": "um"}`}, ""},
		"a word too few":        {map[string]string{"en": en, "fr": `{"a": "un"}`}, `no word for "b"`},
		"an empty word":         {map[string]string{"en": en, "fr": `{"a": "", "b": "{x} {y}"}`}, `no word for "a"`},
		"a word too many":       {map[string]string{"en": en, "fr": `{"a": "un", "b": "{x} {y}", "c": "trois"}`}, `no page has the word "c"`},
		"a placeholder too few": {map[string]string{"en": en, "fr": `{"a": "un", "b": "deux {x}"}`}, "placeholders"},
		"another placeholder":   {map[string]string{"en": en, "fr": `{"a": "un", "b": "deux {x} {z}"}`}, "placeholders"},
		"not JSON":              {map[string]string{"en": en, "fr": `{"a": `}, `read language "fr"`},
		"not a language":        {map[string]string{"en": en, "this-is-no-tag": en}, `language "this-is-no-tag"`},
		"no English":            {map[string]string{"fr": `{}`}, `no words for the language "en"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := fstest.MapFS{}
			for lang, src := range c.files {
				files["locales/"+lang+".json"] = &fstest.MapFile{Data: []byte(src)}
			}
			_, err := loadWords(files)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("loadWords = %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestSay(t *testing.T) {
	t.Parallel()
	w := words{"two": "{a} and {b}", "none": "nothing"}
	good := map[string][]string{
		"x and y":      {"two", "a", "x", "b", "y"},
		"{b} and {a}":  {"two", "a", "{b}", "b", "{a}"},
		"x and zy":     {"two", "a", "x\u202e", "b", "z\ny"},
		"nothing":      {"none"},
		"<b> and &":    {"two", "a", "<b>", "b", "&"},
		"مرحبا and 東京": {"two", "a", "مرحبا", "b", "東京"},
	}
	for want, args := range good {
		if got, err := w.say(args[0], args[1:]...); got != want || err != nil {
			t.Errorf("say(%q) = %q, %v, want %q", args, got, err, want)
		}
	}
	for _, args := range [][]string{{"three"}, {"two", "a"}, {""}} {
		if got, err := w.say(args[0], args[1:]...); err == nil {
			t.Errorf("say(%q) = %q, want an error", args, got)
		}
	}
}

// RFC 9110, section 12.5.4.
func TestLanguage(t *testing.T) {
	t.Parallel()
	p, err := New()
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	for header, want := range map[string]string{
		"":                                "en",
		"*":                               "en",
		"de":                              "de",
		"de-AT":                           "de",
		"de-CH-1996, fr;q=0.5":            "de",
		"fr, de;q=0.5, en;q=0.3":          "de",
		"fr":                              "en",
		"en-GB,en;q=0.9,de;q=0.8":         "en",
		"de;q=0, en":                      "en",
		"DE":                              "de",
		"not a header \x00":               "en",
		"de" + strings.Repeat("-x", 5000): "en",
		"'; DROP TABLE, de;q=1.0, <b>":    "en",
		"ja,zh-Hant;q=0.9,gsw;q=0.8":      "de", // people who read Swiss German read German
		strings.Repeat("fr,", 200) + "de": "de",
		"tlh, de;q=0.1":                   "de",
	} {
		if got := p.Language(header); got != want {
			t.Errorf("Language(%.60q) = %q, want %q", header, got, want)
		}
	}
}

// TestOpenIDCoreUILocales: the first language that there is counts before the browser's
// (https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest).
func TestOpenIDCoreUILocales(t *testing.T) {
	t.Parallel()
	p, err := New()
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	for locales, want := range map[string]string{
		"":                              "de",
		"en":                            "en",
		"en-GB":                         "en",
		"fr en de":                      "en",
		"fr":                            "de",
		"fr-CA ja":                      "de",
		"not_a_tag! en":                 "en",
		strings.Repeat("fr ", 100):      "de",
		strings.Repeat("x-", 200) + "y": "de",
	} {
		if got := p.Wished(locales, "de-AT, fr;q=0.5"); got != want {
			t.Errorf("Wished(%.60q, German) = %q, want %q", locales, got, want)
		}
	}
	if got := p.Wished("de", "en"); got != "de" {
		t.Errorf("Wished(German, English) = %q, want de", got)
	}
}

func TestDomainsAreNotAllNamed(t *testing.T) {
	t.Parallel()
	all, err := loadWords(localeFiles)
	if err != nil {
		t.Fatal(err)
	}
	for want, names := range map[string][]string{
		"":                     nil,
		"a.example":            {"a.example"},
		"a, b, c, d":           {"a", "b", "c", "d"},
		"a, b, c and 2 more":   {"a", "b", "c", "d", "e"},
		"a, b, c and 997 more": append([]string{"a", "b", "c"}, make([]string, 997)...),
	} {
		if got, err := all["en"].domains(names); got != want || err != nil {
			t.Errorf("domains of %d names = %q, %v, want %q", len(names), got, err, want)
		}
	}
}
