package scopes_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"signpost/scopes"
)

// The embedded catalogue is data: a fault in it would panic here first.
func TestDefault(t *testing.T) {
	t.Parallel()
	opens := map[string]string{
		"openid": "", "profile": "", "email": "", "offline_access": "",
		"urn:ietf:params:oauth:scope:mail":      "imap pop3 submission jmap",
		"urn:ietf:params:oauth:scope:contacts":  "carddav jmap",
		"urn:ietf:params:oauth:scope:calendars": "caldav jmap",
		"urn:signpost:scope:files":              "webdav",
		"urn:signpost:scope:sieve":              "managesieve",
		"urn:signpost:scope:chat":               "xmpp matrix",
		"urn:signpost:scope:app-password":       "", // never broad (R21)
	}
	c := scopes.Default()
	if got, want := len(c.Scopes()), len(opens); got != want {
		t.Errorf("the catalogue has %d scopes, want %d", got, want)
	}
	for name, want := range opens {
		s, found := c.Scope(name)
		if got := strings.Join(s.Opens, " "); !found || got != want {
			t.Errorf("scope %q: found %v, opens %q; want %q", name, found, got, want)
		}
		if s.Broad != (want != "" || name == "openid" || name == "offline_access") {
			t.Errorf("scope %q: broad is %v", name, s.Broad)
		}
		for _, lang := range []string{"en", "de"} {
			if s.Title[lang] == "" || s.Text[lang] == "" {
				t.Errorf("scope %q has no title or text in %q", name, lang)
			}
			if text := s.TextIn(lang); strings.HasSuffix(text, ".") {
				t.Errorf(`scope %q: %q completes "… may" and has no full stop`, name, text)
			}
		}
	}
	if _, found := c.Scope("urn:signpost:scope:none"); found {
		t.Error("a scope that does not exist was found")
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	s := scopes.Scope{
		Title: map[string]string{"en": "Mail", "de": "E-Mail", "de-AT": "Post"},
		Text:  map[string]string{"en": "read your mail", "fr": ""},
	}
	for _, c := range []struct{ what, got, want string }{
		{"the language", s.TitleIn("de"), "E-Mail"},
		{"the language of the region", s.TitleIn("de-AT"), "Post"},
		{"the language of another region", s.TitleIn("de-CH"), "E-Mail"},
		{"a language that is not there", s.TitleIn("fr"), "Mail"},
		{"no language", s.TitleIn(""), "Mail"},
		{"an empty text", s.TextIn("fr"), "read your mail"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
}

// scope makes a scope that is good but for what a case is about.
func scope(name string, includes ...string) scopes.Scope {
	return scopes.Scope{
		Name: name, Includes: includes,
		Title: map[string]string{"en": name}, Text: map[string]string{"en": "do " + name},
	}
}

func TestWith(t *testing.T) {
	t.Parallel()
	c, err := scopes.Default().With([]scopes.Scope{scope("urn:example:one"), scope("email", "profile")})
	if err != nil {
		t.Fatalf("With: %v", err)
	}
	if s, _ := c.Scope("email"); s.TextIn("en") != "do email" {
		t.Errorf("the replaced scope reads %q", s.TextIn("en"))
	}
	all := c.Scopes()
	if len(all) != 12 || all[2].Name != "email" || all[11].Name != "urn:example:one" {
		t.Errorf("the catalogue is %v; want email in its place and the new scope last", all)
	}
	if s, _ := scopes.Default().Scope("email"); s.TextIn("en") == "do email" {
		t.Error("With changed the catalogue that it was called on")
	}
	all[0].Name = "changed"
	if _, found := c.Scope("openid"); !found || c.Scopes()[0].Name != "openid" {
		t.Error("changing the returned scopes changed the catalogue")
	}
	if same, err := scopes.Default().With(nil); err != nil || same != scopes.Default() {
		t.Errorf("With(nil) = %p, %v; want the catalogue itself", same, err)
	}
}

func TestWithRefuses(t *testing.T) {
	t.Parallel()
	untitled, silent := scope("a"), scope("a")
	untitled.Title = map[string]string{"de": "A"}
	silent.Text = nil
	for what, c := range map[string]struct {
		overrides []scopes.Scope
		because   string
	}{
		"no name":             {[]scopes.Scope{scope("")}, "not a scope word"},
		"a name with a space": {[]scopes.Scope{scope("a b")}, "not a scope word"},
		"no English title":    {[]scopes.Scope{untitled}, "no English title"},
		"no English text":     {[]scopes.Scope{silent}, "no English text"},
		"twice":               {[]scopes.Scope{scope("a"), scope("a")}, "twice"},
		"unknown include":     {[]scopes.Scope{scope("a", "b")}, `"b", which does not exist`},
		"includes itself":     {[]scopes.Scope{scope("a", "a")}, "a, a"},
		"a circle":            {[]scopes.Scope{scope("a", "b"), scope("b", "c"), scope("c", "a")}, "a, b, c, a"},
	} {
		if got, err := scopes.Default().With(c.overrides); !errors.Is(err, scopes.ErrCatalogue) || !strings.Contains(err.Error(), c.because) || got != nil {
			t.Errorf("%s: With = %v, %v; want ErrCatalogue with %q", what, got, err, c.because)
		}
	}
}

func TestCoverAndNarrow(t *testing.T) {
	t.Parallel()
	c, err := scopes.Default().With([]scopes.Scope{
		scope("all", "mail", "files"), scope("mail", "mail.read"), scope("mail.read"), scope("files"),
	})
	if err != nil {
		t.Fatalf("With: %v", err)
	}
	for _, k := range []struct {
		granted, wanted, narrow string
	}{
		{"", "", ""},
		{"mail", "", ""},
		{"", "mail", ""},
		{"mail", "mail", "mail"},
		{"mail", "mail.read", "mail.read"},
		{"all", "mail.read files", "mail.read files"}, // inclusion is transitive
		{"mail.read", "mail", ""},                     // never wider
		{"mail", "files mail.read mail", "mail.read mail"},
		{"unknown", "unknown", "unknown"}, // a word nobody knows covers itself
		{"unknown", "mail", ""},
		{"MAIL", "mail", ""}, // case-sensitive
	} {
		granted, wanted := set(t, k.granted), set(t, k.wanted)
		if got := c.Narrow(granted, wanted).String(); got != k.narrow {
			t.Errorf("Narrow(%q, %q) = %q, want %q", k.granted, k.wanted, got, k.narrow)
		}
		if got, want := c.Cover(granted, wanted), k.narrow == k.wanted; got != want {
			t.Errorf("Cover(%q, %q) = %v, want %v", k.granted, k.wanted, got, want)
		}
	}
}

// What a service has a use for is never more than was granted.
func TestOpening(t *testing.T) {
	t.Parallel()
	c, err := scopes.Default().With([]scopes.Scope{
		scope("all", "mail", "files"), scope("mail", "mail.read"), scope("mail.read"), scope("files"), scope("contacts"),
	})
	if err != nil {
		t.Fatalf("With: %v", err)
	}
	for _, k := range []struct{ granted, service, want string }{
		{"", "mail", ""},
		{"mail", "", ""},
		{"files", "mail", ""},
		{"mail", "mail", "mail"},
		{"mail files openid", "mail", "mail"},
		{"mail", "mail contacts", "mail"}, // one of several opens it
		{"all", "mail", "mail"},           // a wider one opens it, and gives only what it needs
		{"mail.read", "mail", "mail.read"},
		{"mail.read mail", "mail", "mail mail.read"},
	} {
		granted := set(t, k.granted)
		got := c.Opening(granted, set(t, k.service))
		if got.String() != k.want {
			t.Errorf("Opening(%q, %q) = %q, want %q", k.granted, k.service, got, k.want)
		}
		if !c.Cover(granted, got) {
			t.Errorf("Opening(%q, %q) = %q, more than was granted", k.granted, k.service, got)
		}
	}
}

func set(t *testing.T, s string) scopes.Set {
	t.Helper()
	parsed, err := scopes.Parse(s)
	if err != nil {
		t.Fatalf("Parse(%q): %v", s, err)
	}
	return parsed
}

// oracle walks the includes from one granted word, slowly.
func oracle(list []scopes.Scope, granted, wanted string) bool {
	if granted == wanted {
		return true
	}
	for _, s := range list {
		if s.Name == granted && slices.ContainsFunc(s.Includes, func(i string) bool { return oracle(list, i, wanted) }) {
			return true
		}
	}
	return false
}

func TestCoverAndNarrowAgreeWithAnOracle(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d", "e", "f"}
	words := rapid.SliceOfN(rapid.SampledFrom(append(names, "unknown", "other")), 0, 6)
	rapid.Check(t, func(t *rapid.T) {
		// A scope includes later ones only, so that there is no circle.
		var list []scopes.Scope
		for i, name := range names {
			later := append([]string{}, names[i+1:]...)
			var includes []string
			if len(later) > 0 {
				includes = rapid.SliceOfDistinct(rapid.SampledFrom(later), rapid.ID).Draw(t, "includes of "+name)
			}
			list = append(list, scope(name, includes...))
		}
		c, err := scopes.Default().With(list)
		if err != nil {
			t.Fatalf("With(%v): %v", list, err)
		}
		g, w := scopes.Of(words.Draw(t, "granted")...), scopes.Of(words.Draw(t, "wanted")...)
		narrow := c.Narrow(g, w)

		for _, word := range w.Words() {
			want := slices.ContainsFunc(g.Words(), func(granted string) bool { return oracle(list, granted, word) })
			if got := narrow.Has(word); got != want {
				t.Errorf("Narrow(%q, %q) has %q: %v, the oracle says %v", g, w, word, got, want)
			}
		}
		for _, word := range narrow.Words() {
			if !w.Has(word) {
				t.Errorf("Narrow(%q, %q) = %q, wider than what was wanted", g, w, narrow)
			}
		}
		if c.Cover(g, w) != narrow.Equal(w) {
			t.Errorf("Cover(%q, %q) = %v, Narrow is %q", g, w, c.Cover(g, w), narrow)
		}
		if !c.Cover(g, narrow) {
			t.Errorf("%q does not cover what it was narrowed to: %q", g, narrow)
		}
		if again := c.Narrow(g, narrow); again.String() != narrow.String() {
			t.Errorf("Narrow(%q, %q) = %q, then %q", g, w, narrow, again)
		}
		more := g.Union(scopes.Of(words.Draw(t, "more")...))
		if wider := c.Narrow(more, w); !c.Cover(wider, narrow) {
			t.Errorf("%q gives %q, but more, %q, gives %q", g, narrow, more, wider)
		}
	})
}
