package web_test

import (
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"signpost/web"
)

// allPages writes every page with s in every text field and url in every link.
func allPages(p *web.Pages, s, url string) map[string]func(io.Writer, string) error {
	organisation := web.Organisation{Title: s, Help: url, Domains: []string{s, s, s, s, s}, Host: s}
	permissions := []web.Permission{{Title: s, Text: s}}
	named := web.Asker{Kind: web.AskerNamed, Name: s, Redirect: s}
	return map[string]func(io.Writer, string) error{
		"sign-in": func(w io.Writer, lang string) error {
			return p.SignIn(w, lang, web.SignIn{Asker: named, Organisation: organisation, Permissions: permissions,
				Choices: []web.Choice{{Title: s, Host: s, URL: url}}, Cancel: url})
		},
		"consent": func(w io.Writer, lang string) error {
			return p.Consent(w, lang, web.Consent{Asker: named, Organisation: organisation, Provider: s, Person: s, Address: s,
				Permissions: permissions, Action: url, Ticket: s})
		},
		"problem": func(w io.Writer, lang string) error {
			return p.Problem(w, lang, web.Problem{Title: s, RequestID: s, Help: url})
		},
		"home": func(w io.Writer, lang string) error {
			return p.Home(w, lang, web.Home{Organisation: organisation, Declared: true, Issuer: url, Address: s})
		},
		"home, nothing declared": func(w io.Writer, lang string) error {
			return p.Home(w, lang, web.Home{Issuer: s})
		},
	}
}

// skeleton is a page without its text and without the values of attributes.
func skeleton(tree *html.Node) []string {
	var found []string
	for _, n := range elements(tree, "") {
		line := n.Data
		for _, a := range n.Attr {
			line += " " + a.Key
		}
		found = append(found, line)
	}
	return found
}

func TestHostileValuesAreText(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	harmless := allPages(p, "example.test", "https://example.test/")
	for _, hostile := range []string{
		`<script>alert(1)</script>`,
		`"><img src=x onerror=alert(1)>`,
		`' onmouseover='alert(1)`,
		`</title></head><body onload=alert(1)>`,
		`</code></pre><style>*{display:none}</style>`,
		`<!-- {{.}} {organisation} --> &lt;b&gt;`,
		"javascript:alert(1)",
		"alice\u202egro.elpmaxe@\u2066\u200f\x00\x1b\x7f",
	} {
		for name, write := range allPages(p, hostile, "https://example.test/") {
			for _, lang := range testLanguages {
				tree := render(t, write, lang)
				got, want := skeleton(tree), skeleton(render(t, harmless[name], lang))
				if !slices.Equal(got, want) {
					t.Errorf("%s with %q changes the page:\n got %q\nwant %q", name, hostile, got, want)
				}
				checkShownAsText(t, name, hostile, tree)
			}
		}
	}
}

// checkShownAsText fails if the value is missing from the page's text or brought
// its control characters along.
func checkShownAsText(t *testing.T, name, hostile string, tree *html.Node) {
	t.Helper()
	shown := strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if strings.ContainsRune("\u202e\u2066\u200f\x00\x1b\x7f", r) {
			return -1
		}
		return r
	}, hostile)), " ")
	got := text(elements(tree, "body")[0])
	if !strings.Contains(got, shown) {
		t.Errorf("%s does not show %q: %s", name, shown, got)
	}
	for n := range tree.Descendants() {
		if n.Type == html.TextNode && strings.ContainsAny(n.Data, "\u202e\u2066\u200f\x00\x1b\x7f\ufffd") {
			t.Errorf("%s shows a control character of %q: %q", name, hostile, n.Data)
		}
	}
}

func TestHostileLinksAreNotLinks(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	for _, hostile := range []string{
		"javascript:alert(1)",
		" javascript:alert(1)",
		"JaVaScRiPt:alert(1)",
		"java\nscript:alert(1)",
		"data:text/html,<script>alert(1)</script>",
		"vbscript:x",
		"file:///etc/passwd",
		"oc://android.example.test",
		"//evil.example/",
		`/\evil.example/`,
		"https:evil.example",
		"https:///path",
		"relative",
		"",
		"%zz",
	} {
		for name, write := range allPages(p, "x", hostile) {
			tree := render(t, write, "en")
			for _, a := range elements(tree, "a") {
				href, _ := attribute(a, "href")
				t.Errorf("%s with %q has a link to %q", name, hostile, href)
			}
			for _, form := range elements(tree, "form") {
				if action, _ := attribute(form, "action"); action != "" {
					t.Errorf("the form with %q posts to %q, want the page's own address", hostile, action)
				}
			}
		}
	}
}

func TestGoodLinksAreLinks(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	for _, good := range []string{
		"https://help.example.test/a?b=c&d=e#f", "http://127.0.0.1:8080/", "/authorize/continue?idp=staff", "mailto:help@example.test",
	} {
		tree := render(t, allPages(p, "x", good)["sign-in"], "en")
		links := elements(tree, "a")
		if len(links) != 3 {
			t.Fatalf("%d links with %q, want 3: provider, cancel, help", len(links), good)
		}
		for _, a := range links {
			if href, _ := attribute(a, "href"); href != good {
				t.Errorf("link %q leads to %q, want %q", text(a), href, good)
			}
		}
	}
}
