package web_test

import (
	"io"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"signpost/web"
)

func TestSignInSaysWhoAsksWhoAnswersAndWhere(t *testing.T) {
	t.Parallel()
	tree := render(t, testPages(newPages(t))["sign-in, open client"], "en")
	body := text(elements(tree, "body")[0])
	for _, want := range []string{
		"A program on this device", "It did not identify itself", "127.0.0.1:5000",
		"Example Organisation", "example.test, example.org", "id.example.test",
		"Mail", "read, send and delete your mail",
		"Signpost never asks for your password. Type it only while your browser’s address bar shows login.example.test.",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("page lacks %q: %s", want, body)
		}
	}
	links := map[string]string{}
	for _, a := range elements(tree, "a") {
		links[text(a)], _ = attribute(a, "href")
	}
	want := map[string]string{
		"Continue to Example staff login.example.test": "https://login.example.test/authorize?state=x",
		"Cancel":                         "/authorize/cancel?ticket=x",
		"Help from Example Organisation": "https://help.example.test/",
	}
	for label, href := range want {
		if links[label] != href {
			t.Errorf("link %q leads to %q, want %q", label, links[label], href)
		}
	}
}

func TestSignInNamesEveryProvider(t *testing.T) {
	t.Parallel()
	tree := render(t, testPages(newPages(t))["sign-in, two providers"], "de")
	body := text(elements(tree, "main")[0])
	for _, want := range []string{
		"Weiter zu Example staff login.example.test", "Weiter zu Example students sso.example.org",
		"auf der gewählten Schaltfläche", "a.example, b.example, c.example und 2 weiteren",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("page lacks %q: %s", want, body)
		}
	}
}

// A client is named only by the operator's or the built-in data, and even such
// a name is not proved by a redirect on the device (RFC 8252, section 8.6).
func TestR15NamesAreNotShownAsProved(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		asker   web.Asker
		has     string
		lacks   string
		website bool
	}{
		"open client with a name": {web.Asker{Kind: web.AskerOpen, Name: "Thunderbird", Redirect: "127.0.0.1"}, "It did not identify itself", "Thunderbird", false},
		"unknown kind":            {web.Asker{Kind: "verified", Name: "Thunderbird", Redirect: "[::1]:80"}, "It did not identify itself", "Thunderbird", false},
		"no kind":                 {web.Asker{Name: "Thunderbird"}, "It did not identify itself", "Thunderbird", false},
		"named without a name":    {web.Asker{Kind: web.AskerNamed, Redirect: "127.0.0.1"}, "It did not identify itself", "It says", false},
		"name of controls alone":  {web.Asker{Kind: web.AskerNamed, Name: "\u202e", Redirect: "127.0.0.1"}, "It did not identify itself", "It says", false},
		"named, loopback":         {web.Asker{Kind: web.AskerNamed, Name: "Thunderbird", Redirect: "127.0.0.1"}, "It says that it is Thunderbird, but nobody can check that.", "A website", false},
		"named, IPv6 loopback":    {web.Asker{Kind: web.AskerNamed, Name: "Thunderbird", Redirect: "[::1]"}, "nobody can check that.", "A website", false},
		"named, localhost":        {web.Asker{Kind: web.AskerNamed, Name: "Thunderbird", Redirect: "LOCALHOST:12"}, "nobody can check that.", "A website", false},
		"named, private scheme":   {web.Asker{Kind: web.AskerNamed, Name: "OpenCloud", Redirect: "oc:"}, "nobody can check that.", "A website", false},
		"named, website":          {web.Asker{Kind: web.AskerNamed, Name: "Example Cloud", Redirect: "cloud.example.test"}, "The answer goes to cloud.example.test and nowhere else.", "program on this device", true},
		"registered":              {web.Asker{Kind: web.AskerRegistered, Name: "My\u202e Mailer", Redirect: "test.example.mailer:"}, "A program on this device It calls itself “My Mailer”. This cannot be checked. The answer goes to a program on this device (test.example.mailer:).", "A website", false},
		"registered, no name":     {web.Asker{Kind: web.AskerRegistered, Name: "\u202e\x00", Redirect: "127.0.0.1"}, "It did not identify itself", "calls itself", false},
		"host, proved":            {web.Asker{Kind: web.AskerProved, Name: "mailer.example.test", Redirect: "mailer.example.test"}, "mailer.example.test A website. The answer goes to mailer.example.test and nowhere else.", "program on this device", true},
		"host, proved by a key":   {web.Asker{Kind: web.AskerProved, Name: "mailer.example.test", Redirect: "127.0.0.1:8"}, "A program on this device It has shown that it speaks for mailer.example.test. The answer goes to a program on this device (127.0.0.1:8).", "A website", false},
		"host, unproved":          {web.Asker{Kind: web.AskerUnproved, Name: "mailer.example.test", Redirect: "127.0.0.1:8"}, "A program on this device It says that it is mailer.example.test, but nobody can check that.", "speaks for", false},
		"host, unproved, web":     {web.Asker{Kind: web.AskerUnproved, Name: "mailer.example.test", Redirect: "evil.test"}, "A program that is not known here It says that it is mailer.example.test, but nobody can check that. The answer goes to evil.test.", "A website", false},
		"host, unproved, device":  {web.Asker{Kind: web.AskerUnproved, Name: "mailer.example.test", Device: true}, "A program on another device It says that it is mailer.example.test, but nobody can check that.", "A website", false},
		"open, web":               {web.Asker{Kind: web.AskerOpen, Name: "Bank", Redirect: "evil.test"}, "A program that is not known here It did not identify itself", "Bank", false},
		"named, host like a name": {web.Asker{Kind: web.AskerNamed, Name: "Example Cloud", Redirect: "127.0.0.1.example.test"}, "The answer goes to 127.0.0.1.example.test and nowhere else.", "program on this device", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPages(t)
			for page, write := range map[string]func(io.Writer, string) error{
				"sign-in": func(w io.Writer, lang string) error { return p.SignIn(w, lang, web.SignIn{Asker: c.asker}) },
				"consent": func(w io.Writer, lang string) error { return p.Consent(w, lang, web.Consent{Asker: c.asker}) },
			} {
				got := text(elements(render(t, write, "en"), "main")[0])
				if !strings.Contains(got, c.has) || strings.Contains(got, c.lacks) {
					t.Errorf("%s for %+v = %q, want it with %q and without %q", page, c.asker, got, c.has, c.lacks)
				}
			}
		})
	}
}

// R12: any local program could ask, so the page says when not to allow.
func TestR12ConsentWarnsAndAsks(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	for name, warning := range map[string]string{
		"consent, open client":   "Allow this only if you have just started it yourself, in a program on this device.",
		"consent, named program": "Allow this only if you have just started it yourself, in a program on this device.",
		"consent, website":       "Allow this only if you have just started it yourself, at cloud.example.test.",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := render(t, pages[name], "en")
			forms := elements(tree, "form")
			if len(forms) != 1 {
				t.Fatalf("%d forms, want 1", len(forms))
			}
			form := forms[0]
			if got := text(form); !strings.Contains(got, warning) {
				t.Errorf("form = %q, want the warning %q in it", got, warning)
			}
			if got, _ := attribute(form, "method"); got != "post" {
				t.Errorf("method = %q, want post", got)
			}
			if got, _ := attribute(form, "action"); got != "/consent" {
				t.Errorf("action = %q, want /consent", got)
			}
			checkConsentFields(t, form)
		})
	}
}

func checkConsentFields(t *testing.T, form *html.Node) {
	t.Helper()
	inputs := elements(form, "input")
	if len(inputs) != 1 {
		t.Fatalf("%d inputs, want the ticket alone", len(inputs))
	}
	name, _ := attribute(inputs[0], "name")
	if value, _ := attribute(inputs[0], "value"); name != "ticket" || value != "ticket-1" {
		t.Errorf("input %q = %q, want ticket = ticket-1", name, value)
	}
	buttons := elements(form, "button")
	if len(buttons) != 2 {
		t.Fatalf("%d buttons, want 2", len(buttons))
	}
	for i, want := range []string{web.DecisionAllow, "deny"} {
		kind, _ := attribute(buttons[i], "type")
		name, _ := attribute(buttons[i], "name")
		if value, _ := attribute(buttons[i], "value"); kind != "submit" || name != "decision" || value != want {
			t.Errorf("button %d is %s %s=%s, want submit decision=%s", i, kind, name, value, want)
		}
	}
}

func TestConsentSaysWhoAndHowLong(t *testing.T) {
	t.Parallel()
	pages := testPages(newPages(t))
	cases := map[string][]string{
		"consent, open client":   {"Alice Example", "alice@example.test", "Example Organisation, signed in with Example staff", "As long as the program keeps its access", "Not you?", "read, send and delete your mail"},
		"consent, named program": {"alice@example.test", "For a short time."},
		"consent, website":       {"Alice Example", "It learns that it is you who signed in, and nothing else."},
	}
	for name, wants := range cases {
		got := text(elements(render(t, pages[name], "en"), "main")[0])
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q: %s", name, want, got)
			}
		}
	}
}
