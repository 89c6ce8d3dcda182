package web_test

import (
	"strings"
	"testing"
)

// TestR28LogoutSaysWhatEnds and what does not, before and after.
func TestR28LogoutSaysWhatEnds(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	for page, form := range map[string]bool{"logout": true, "logout, done": false} {
		for lang, sentences := range map[string][]string{
			"en": {"Programs that you allowed stay signed in.", "identity provider"},
			"de": {"bleiben angemeldet", "Anmeldedienst"},
		} {
			tree := render(t, pages[page], lang)
			body := text(elements(tree, "main")[0])
			for _, want := range sentences {
				if !strings.Contains(body, want) {
					t.Errorf("%s in %s lacks %q: %s", page, lang, want, body)
				}
			}
			if got := len(elements(tree, "form")) == 1; got != form {
				t.Errorf("%s in %s: form %v, want %v", page, lang, got, form)
			}
			for _, button := range elements(tree, "button") {
				name, _ := attribute(button, "name")
				if value, _ := attribute(button, "value"); name != "decision" || value != "end" {
					t.Errorf("%s in %s: the button sends %s=%s, want decision=end", page, lang, name, value)
				}
			}
		}
	}
}
