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

// TestR21AccountShowsAppPasswords: the name that the person gave, services and days, and a new one in
// full, on its page alone.
func TestR21AccountShowsAppPasswords(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	const secret = "0123-4567-89abc-defgh-jkmnp-qrstv-wxyz01"
	for page, wants := range map[string][]string{
		"account, passwords": {
			"Printer in the hall Mail, Outgoing mail Made on 6 March 2026, last used on 7 March 2026",
			"An app password without a name Calendar Made on 6 March 2026, never used",
			"Mail, Outgoing mail as alice@example.test", "Calendar as alice", "End everything",
		},
		"account, made":          {secret, "The login name that belongs to it: alice@example.test", "shown this once"},
		"account, sign in again": {"You have no app passwords.", "No app password was made: you signed in too long ago.", "within the last ten minutes. Sign in again"},
		"account, made before":   {"No second app password was made: this form was sent before. If you did not see the password"},
		"account, ended one":     {"The app password has ended.", "No app password was made: it is not possible"},
		"account":                {"Programs with access"},
	} {
		body := text(elements(render(t, pages[page], "en"), "main")[0])
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q: %s", page, want, body)
			}
		}
		if page != "account, made" && strings.Contains(body, secret) {
			t.Errorf("%s shows the secret", page)
		}
	}
	if body := text(elements(render(t, pages["account"], "en"), "main")[0]); strings.Contains(strings.ToLower(body), "app password") {
		t.Errorf("where no service takes app passwords the page speaks of them: %s", body)
	}
}

// TestR21AccountShowsLabelsAsText: a label is text, not markup, and turns nothing around.
func TestR21AccountShowsLabelsAsText(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	for label, want := range map[string]string{
		"<b>Bank</b>": "<b>Bank</b>", "{since}": "{since}", "\u202e\x00": "An app password without a name", "a\u202eb": "ab",
	} {
		tree := render(t, func(w io.Writer, lang string) error {
			return p.Account(w, lang, web.Account{AppPasswords: []web.AppPassword{{ID: "x", Label: label, Services: []string{"<i>Mail</i>"}, Since: time.Now()}}})
		}, "en")
		if got := text(elements(tree, "h3")[0]); got != want {
			t.Errorf("label %q: got %q, want %q", label, got, want)
		}
		if len(elements(tree, "i")) != 0 {
			t.Error("the title of a service is markup")
		}
	}
}

// TestR21AccountFormForAppPasswords: every field has a label, every service is chosen by itself, and nothing is
// sent before the person has signed in lately.
func TestR21AccountFormForAppPasswords(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	tree := render(t, pages["account, passwords"], "en")
	var fields, buttons []string
	for _, input := range elements(tree, "input") {
		name, _ := attribute(input, "name")
		value, _ := attribute(input, "value")
		fields = append(fields, name+"="+value)
		if _, checked := attribute(input, "checked"); checked {
			t.Errorf("%s is chosen already", name)
		}
	}
	for _, button := range elements(tree, "button") {
		name, _ := attribute(button, "name")
		value, _ := attribute(button, "value")
		buttons = append(buttons, name+"="+value)
	}
	wantFields := []string{"token=token-1", "token=token-1", "token=token-1", "once=once-1", "label=", "service=imap.example.test", "service=https://dav.example.test/", "token=token-1"}
	wantButtons := []string{"grant=grant-open", "app_password=password-1", "app_password=password-2", "decision=end-all", "decision=make", "decision=sign-out"}
	if !slices.Equal(fields, wantFields) || !slices.Equal(buttons, wantButtons) {
		t.Errorf("fields %q, buttons %q\nwant %q, %q", fields, buttons, wantFields, wantButtons)
	}
	again := render(t, pages["account, sign in again"], "en")
	if len(elements(again, "fieldset")) != 0 || !slices.ContainsFunc(elements(again, "a"), hrefIs("/account?again=1")) {
		t.Error("who signed in too long ago sees the form, or no way to sign in again")
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
