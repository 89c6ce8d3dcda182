package web_test

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"signpost/web"
)

// TestR12AccountNamesPrograms as the consent page does: never only by a name that a
// program chose itself.
func TestR12AccountNamesPrograms(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	for lang, want := range map[string][]string{
		"en": {
			"A program that did not identify itself", "A program that says it is Thunderbird", "A program that calls itself “My Mailer”",
			"Example Cloud", "A program that says it comes from mailer.example.test", "A program that is not known any more",
		},
		"de": {
			"Ein Programm, das sich nicht ausgewiesen hat", "Ein Programm, das sagt, es sei Thunderbird", "Ein Programm, das sich „My Mailer“ nennt",
			"Example Cloud", "Ein Programm, das sagt, es komme von mailer.example.test", "Ein Programm, das nicht mehr bekannt ist",
		},
	} {
		tree := render(t, pages["account"], lang)
		var got []string
		for _, heading := range elements(tree, "h3") {
			got = append(got, text(heading))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", lang, got, want)
		}
		if body := text(elements(tree, "main")[0]); strings.Contains(body, "Example Old") {
			t.Errorf("%s: the page names a program that is gone: %s", lang, body)
		}
	}
}

// TestR12AccountShowsNoHostileName: a name without letters names nothing, and one that looks
// like words or markup stays a name.
func TestR12AccountShowsNoHostileName(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	for name, want := range map[string]string{
		"\u202e\x00": "A program that did not identify itself", "{name}": "A program that calls itself “{name}”",
		"<b>Bank</b>": "A program that calls itself “<b>Bank</b>”",
	} {
		tree := render(t, func(w io.Writer, lang string) error {
			return p.Account(w, lang, web.Account{Programs: []web.Program{{Asker: web.Asker{Kind: web.AskerRegistered, Name: name}, Since: time.Now(), LastUsed: time.Now()}}})
		}, "en")
		if got := text(elements(tree, "h3")[0]); got != want {
			t.Errorf("name %q: got %q, want %q", name, got, want)
		}
	}
}

// TestAccountSaysWhoAndWhat: the person, each program's permissions and days, and what ending means (R27).
func TestAccountSaysWhoAndWhat(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	for page, wants := range map[string][]string{
		"account": {
			"Alice Example alice@example.test", "Example Organisation, signed in with Example staff", "read, send and delete your mail",
			"Allowed on 6 March 2026, last used on 7 March 2026", "For a short time.", "It learns that it is you who signed in, and nothing else.",
			"after up to an hour", "has to ask you again",
		},
		"account, one":     {"Access has ended: A program that says it is Thunderbird."},
		"account, none":    {"No program has access to your account.", "The access of all programs has ended."},
		"account, nothing": {"There was nothing to end."},
	} {
		body := text(elements(render(t, pages[page], "en"), "main")[0])
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q: %s", page, want, body)
			}
		}
	}
	if body := text(elements(render(t, pages["account"], "de"), "main")[0]); !strings.Contains(body, "Erlaubt am 6. März 2026, zuletzt benutzt am 7. März 2026") {
		t.Errorf("German dates: %s", body)
	}
}

// TestAccountForms: every form brings the session's token, every button says one thing.
func TestAccountForms(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	for page, want := range map[string][]string{
		"account": {
			"grant=grant-open", "grant=grant-once", "grant=grant-registered", "grant=grant-proved", "grant=grant-unproved", "grant=grant-gone",
			"decision=end-all", "decision=sign-out",
		},
		"account, one":  {"grant=grant-open", "decision=sign-out"},
		"account, none": {"decision=sign-out"},
	} {
		tree := render(t, pages[page], "en")
		var got []string
		for _, form := range elements(tree, "form") {
			method, _ := attribute(form, "method")
			action, _ := attribute(form, "action")
			inputs := elements(form, "input")
			if method != "post" || action != "/account" || len(inputs) != 1 {
				t.Fatalf("%s: form %s %s with %d inputs, want post /account with the token alone", page, method, action, len(inputs))
			}
			name, _ := attribute(inputs[0], "name")
			if value, _ := attribute(inputs[0], "value"); name != "token" || value != "token-1" {
				t.Errorf("%s: input %s=%s, want token=token-1", page, name, value)
			}
			for _, button := range elements(form, "button") {
				name, _ := attribute(button, "name")
				value, _ := attribute(button, "value")
				got = append(got, name+"="+value)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: buttons %q, want %q", page, got, want)
		}
	}
}

// TestSignInToTheAccountPage names Signpost itself, and no program and no permissions.
func TestSignInToTheAccountPage(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	body := text(elements(render(t, pages["sign-in, account"], "en"), "main")[0])
	for _, want := range []string{"The Signpost of Example Organisation itself", "Continue to Example staff", "Continue to Example students"} {
		if !strings.Contains(body, want) {
			t.Errorf("page lacks %q: %s", want, body)
		}
	}
	for _, no := range []string{"What it would be able to do", "would like to use your account", "Cancel", "did not identify itself", "You were not signed in."} {
		if strings.Contains(body, no) {
			t.Errorf("page says %q: %s", no, body)
		}
	}
	if body := text(elements(render(t, pages["sign-in, failed"], "en"), "main")[0]); !strings.Contains(body, "You were not signed in.") {
		t.Errorf("page after a broken-off sign-in: %s", body)
	}
}

func TestPagesLeadToTheAccountPage(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	for _, page := range []string{"home", "logout", "logout, done"} {
		found := slices.ContainsFunc(elements(render(t, pages[page], "en"), "a"), hrefIs("/account"))
		if !found {
			t.Errorf("%s has no link to the account page", page)
		}
	}
}

func hrefIs(want string) func(*html.Node) bool {
	return func(n *html.Node) bool {
		href, _ := attribute(n, "href")
		return href == want
	}
}
