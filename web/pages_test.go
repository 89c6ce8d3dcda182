package web_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"signpost/web"
)

var testLanguages = []string{"en", "de"}

// testPages are pages with every branch of the templates taken, by name.
func testPages(p *web.Pages) map[string]func(io.Writer, string) error {
	organisation := web.Organisation{
		Title: "Example Organisation", Help: "https://help.example.test/",
		Domains: []string{"example.test", "example.org"}, Host: "id.example.test",
	}
	many := organisation
	many.Domains = []string{"a.example", "b.example", "c.example", "d.example", "e.example"}
	staff := web.Choice{Title: "Example staff", Host: "login.example.test", URL: "https://login.example.test/authorize?state=x"}
	students := web.Choice{Title: "Example students", Host: "sso.example.org", URL: "/authorize/continue?idp=students"}
	permissions := []web.Permission{{Title: "Mail", Text: "read, send and delete your mail"}, {Title: "Files", Text: "see your files"}}
	open := web.Asker{Kind: web.AskerOpen, Redirect: "127.0.0.1:5000"}
	program := web.Asker{Kind: web.AskerNamed, Name: "Thunderbird", Redirect: "localhost"}
	device := web.Asker{Kind: web.AskerOpen, Device: true}
	site := web.Asker{Kind: web.AskerNamed, Name: "Example Cloud", Redirect: "cloud.example.test"}

	signIn := func(v web.SignIn) func(io.Writer, string) error {
		return func(w io.Writer, lang string) error { return p.SignIn(w, lang, v) }
	}
	consent := func(v web.Consent) func(io.Writer, string) error {
		return func(w io.Writer, lang string) error { return p.Consent(w, lang, v) }
	}
	problem := func(v web.Problem) func(io.Writer, string) error {
		return func(w io.Writer, lang string) error { return p.Problem(w, lang, v) }
	}
	home := func(v web.Home) func(io.Writer, string) error {
		return func(w io.Writer, lang string) error { return p.Home(w, lang, v) }
	}
	logout := func(v web.Logout) func(io.Writer, string) error {
		return func(w io.Writer, lang string) error { return p.Logout(w, lang, v) }
	}
	code := func(v web.DeviceCode) func(io.Writer, string) error {
		return func(w io.Writer, lang string) error { return p.DeviceCode(w, lang, v) }
	}
	confirm := func(v web.DeviceConfirm) func(io.Writer, string) error {
		return func(w io.Writer, lang string) error { return p.DeviceConfirm(w, lang, v) }
	}
	done := func(v web.DeviceDone) func(io.Writer, string) error {
		return func(w io.Writer, lang string) error { return p.DeviceDone(w, lang, v) }
	}
	account := func(v web.Account) func(io.Writer, string) error {
		return func(w io.Writer, lang string) error { return p.Account(w, lang, v) }
	}
	march := time.Date(2026, time.March, 6, 23, 30, 0, 0, time.UTC)
	held := func(id string, a web.Asker) web.Program {
		return web.Program{Grant: id, Asker: a, Permissions: permissions, Offline: true, Since: march, LastUsed: march.Add(time.Hour)}
	}
	once := held("grant-once", program)
	once.Permissions, once.Offline = nil, false
	all := []web.Program{
		held("grant-open", open), once, held("grant-registered", web.Asker{Kind: web.AskerRegistered, Name: "My Mailer"}),
		held("grant-proved", web.Asker{Kind: web.AskerProved, Name: "Example Cloud"}), held("grant-unproved", web.Asker{Kind: web.AskerUnproved, Name: "mailer.example.test"}),
		held("grant-gone", web.Asker{Kind: web.AskerGone, Name: "Example Old"}),
	}
	passwords := []web.AppPassword{
		{ID: "password-1", Label: "Printer in the hall", Services: []string{"Mail", "Outgoing mail"}, Since: march, LastUsed: march.Add(time.Hour)},
		{ID: "password-2", Services: []string{"Calendar"}, Since: march},
	}
	offers := []web.Offer{
		{Value: "imap.example.test", Services: []string{"Mail", "Outgoing mail"}, Username: "alice@example.test"},
		{Value: "https://dav.example.test/", Services: []string{"Calendar"}, Username: "alice"},
	}
	mine := func(v web.Account) func(io.Writer, string) error {
		v.Organisation, v.Provider, v.Action, v.Token = organisation, "Example staff", "/account", "token-1"
		return account(v)
	}
	return map[string]func(io.Writer, string) error{
		"account":                mine(web.Account{Person: "Alice Example", Address: "alice@example.test", Programs: all}),
		"account, one":           mine(web.Account{Address: "alice@example.test", Programs: all[:1], Ended: web.EndedOne, EndedProgram: program}),
		"account, none":          mine(web.Account{Address: "alice@example.test", Ended: web.EndedAll}),
		"account, nothing":       mine(web.Account{Address: "alice@example.test", Ended: web.EndedNothing}),
		"account, passwords":     mine(web.Account{Address: "alice@example.test", Programs: all[:1], AppPasswords: passwords, Offers: offers, Once: "once-1"}),
		"account, made":          mine(web.Account{Address: "alice@example.test", AppPasswords: passwords, Offers: offers, Made: &web.MadePassword{Password: "0123-4567-89abc-defgh-jkmnp-qrstv-wxyz01", Username: "alice@example.test"}}),
		"account, sign in again": mine(web.Account{Address: "alice@example.test", Offers: offers, SignInAgain: "/account?again=1", NotMade: web.NotMadeAgain}),
		"account, made before":   mine(web.Account{Address: "alice@example.test", AppPasswords: passwords, Offers: offers, Once: "once-2", NotMade: web.NotMadeRepeated}),
		"account, ended one":     mine(web.Account{Address: "alice@example.test", AppPasswords: passwords[:1], Ended: web.EndedAppPassword, NotMade: "else"}),
		"sign-in, account":       signIn(web.SignIn{Account: true, Organisation: organisation, Choices: []web.Choice{staff, students}}),
		"sign-in, failed":        signIn(web.SignIn{Account: true, Failed: true, Organisation: organisation, Choices: []web.Choice{staff}}),
		"logout":                 logout(web.Logout{Organisation: organisation, Account: "/account", Action: "/logout"}),
		"logout, done":           logout(web.Logout{Organisation: organisation, Account: "/account", Done: true}),
		"sign-in, open client":   signIn(web.SignIn{Asker: open, Organisation: organisation, Choices: []web.Choice{staff}, Permissions: permissions, Cancel: "/authorize/cancel?ticket=x"}),
		"sign-in, two providers": signIn(web.SignIn{Asker: program, Organisation: many, Choices: []web.Choice{staff, students}, Permissions: permissions, Cancel: "/c"}),
		"sign-in, nothing to do": signIn(web.SignIn{Asker: site, Organisation: organisation}),
		"consent, open client":   consent(web.Consent{Asker: open, Organisation: organisation, Provider: "Example staff", Person: "Alice Example", Address: "alice@example.test", Permissions: permissions, Offline: true, Action: "/consent", Ticket: "ticket-1"}),
		"consent, named program": consent(web.Consent{Asker: program, Organisation: organisation, Provider: "Example staff", Address: "alice@example.test", Permissions: permissions, Action: "/consent", Ticket: "ticket-1"}),
		"consent, website":       consent(web.Consent{Asker: site, Organisation: organisation, Provider: "Example staff", Person: "Alice Example", Action: "/consent", Ticket: "ticket-1"}),
		"consent, device":        consent(web.Consent{Asker: device, Organisation: organisation, Provider: "Example staff", Person: "Alice Example", Address: "alice@example.test", Permissions: permissions, Offline: true, Action: "/consent", Ticket: "ticket-1"}),
		"consent, registered":    consent(web.Consent{Asker: web.Asker{Kind: web.AskerRegistered, Name: "My Mailer", Redirect: "test.example.mailer:"}, Organisation: organisation, Provider: "Example staff", Address: "alice@example.test", Action: "/consent", Ticket: "ticket-1"}),
		"consent, proved":        consent(web.Consent{Asker: web.Asker{Kind: web.AskerProved, Name: "mailer.example.test", Redirect: "127.0.0.1:1"}, Organisation: organisation, Provider: "Example staff", Address: "alice@example.test", Action: "/consent", Ticket: "ticket-1"}),
		"consent, unproved":      consent(web.Consent{Asker: web.Asker{Kind: web.AskerUnproved, Name: "mailer.example.test", Redirect: "cb.example.test"}, Organisation: organisation, Provider: "Example staff", Address: "alice@example.test", Action: "/consent", Ticket: "ticket-1"}),
		"device":                 code(web.DeviceCode{Organisation: organisation, Action: "/device"}),
		"device, filled in":      code(web.DeviceCode{Organisation: organisation, Action: "/device", UserCode: "BCDF-GHJK", Link: "https://id.example.test/device?user_code=BCDF-GHJK"}),
		"device, wrong":          code(web.DeviceCode{Organisation: organisation, Action: "/device", UserCode: "BCDF-GHJ", Wrong: true}),
		"device, confirm":        confirm(web.DeviceConfirm{Asker: device, Organisation: organisation, UserCode: "BCDF-GHJK", Address: "192.0.2.7", Age: 30 * time.Second, Permissions: permissions, Action: "/device"}),
		"device, confirm named":  confirm(web.DeviceConfirm{Asker: web.Asker{Kind: web.AskerNamed, Name: "Example TV", Device: true}, Organisation: many, UserCode: "BCDF-GHJK", Address: "2001:db8::7", Age: 5 * time.Minute, Permissions: permissions, Action: "/device"}),
		"device, allowed":        done(web.DeviceDone{Organisation: organisation, Result: web.DeviceAllowed}),
		"device, denied":         done(web.DeviceDone{Organisation: organisation, Result: web.DeviceDenied}),
		"device, failed":         done(web.DeviceDone{Organisation: organisation, Result: "else"}),
		"problem":                problem(web.Problem{Title: web.ProblemExpired, RequestID: "7f3kq9m2xw", Help: "https://help.example.test/"}),
		"problem, least":         problem(web.Problem{Title: web.ProblemNotFound}),
		"home":                   home(web.Home{Organisation: organisation, Account: "/account", Declared: true, Issuer: "https://id.example.test", Address: "alice@example.test"}),
		"home, without address":  home(web.Home{Organisation: many, Declared: true, Issuer: "https://id.example.test"}),
		"home, nothing declared": home(web.Home{Issuer: "https://id.example.test"}),
	}
}

func newPages(t testing.TB) *web.Pages {
	t.Helper()
	p, err := web.New()
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return p
}

// render writes a page and returns its tree; a template that left a value
// unescaped would show in the tree.
func render(t testing.TB, write func(io.Writer, string) error, lang string) *html.Node {
	t.Helper()
	var page bytes.Buffer
	if err := write(&page, lang); err != nil {
		t.Fatalf("write page: %v", err)
	}
	tree, err := html.Parse(&page)
	if err != nil {
		t.Fatalf("parse page: %v", err)
	}
	return tree
}

// elements returns all elements with the given name in document order; "" means every element.
func elements(tree *html.Node, name string) []*html.Node {
	var found []*html.Node
	for n := range tree.Descendants() {
		if n.Type == html.ElementNode && (name == "" || n.Data == name) {
			found = append(found, n)
		}
	}
	return found
}

func attribute(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

// text returns the text below n with its white space folded.
func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func eachPage(t *testing.T, check func(t *testing.T, lang string, tree *html.Node)) {
	t.Helper()
	p := newPages(t)
	for name, write := range testPages(p) {
		for _, lang := range testLanguages {
			t.Run(name+" in "+lang, func(t *testing.T) {
				t.Parallel()
				check(t, lang, render(t, write, lang))
			})
		}
	}
}

func TestPageStructure(t *testing.T) {
	t.Parallel()
	eachPage(t, func(t *testing.T, lang string, tree *html.Node) {
		for _, name := range []string{"html", "title", "header", "main", "footer", "h1"} {
			if got := len(elements(tree, name)); got != 1 {
				t.Errorf("%d elements <%s>, want 1", got, name)
			}
		}
		if got, _ := attribute(elements(tree, "html")[0], "lang"); got != lang {
			t.Errorf("lang = %q, want %q", got, lang)
		}
		for _, name := range []string{"title", "h1", "h2", "a", "button", "li", "p"} {
			for _, n := range elements(tree, name) {
				if text(n) == "" {
					t.Errorf("<%s> without text", name)
				}
			}
		}
		for _, n := range elements(tree, "svg") {
			role, _ := attribute(n, "role")
			label, _ := attribute(n, "aria-label")
			if got, _ := attribute(n, "aria-hidden"); got != "true" && (role != "img" || label == "") {
				t.Errorf("an icon is not hidden from screen readers")
			}
		}
		for _, n := range elements(tree, "img") {
			if _, ok := attribute(n, "alt"); !ok {
				t.Errorf("<img> without alt")
			}
		}
		checkReferences(t, tree)
		if got := text(elements(tree, "body")[0]); strings.Contains(withoutExample(tree, got), "{") {
			t.Errorf("a placeholder was left unfilled in %q", got)
		}
	})
}

// checkReferences fails for ids that are not unique and references to none.
func checkReferences(t *testing.T, tree *html.Node) {
	t.Helper()
	var ids []string
	for _, n := range elements(tree, "") {
		if id, ok := attribute(n, "id"); ok {
			if slices.Contains(ids, id) {
				t.Errorf("id %q is not unique", id)
			}
			ids = append(ids, id)
		}
	}
	for _, n := range elements(tree, "") {
		if id, ok := attribute(n, "aria-describedby"); ok && !slices.Contains(ids, id) {
			t.Errorf("aria-describedby names %q, which is not on the page", id)
		}
	}
}

// withoutExample drops the example file, the only text that holds braces.
func withoutExample(tree *html.Node, body string) string {
	for _, n := range elements(tree, "pre") {
		body = strings.ReplaceAll(body, text(n), "")
	}
	return body
}

// The pages must work under "default-src 'none'; style-src 'self'; img-src 'self'".
func TestPagesNeedNoInlineCode(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	var served []string
	for _, a := range p.Assets() {
		served = append(served, a.Path)
	}
	allowed := []string{
		"a", "bdi", "body", "button", "circle", "code", "dd", "details", "dl", "dt", "fieldset", "footer", "form", "h1", "h2", "h3", "head", "header", "html",
		"img", "input", "label", "legend", "li", "link", "main", "meta", "ol", "p", "path", "pre", "rect", "section", "span", "strong", "summary", "svg", "title", "ul", "div",
	}
	eachPage(t, func(t *testing.T, _ string, tree *html.Node) {
		for _, n := range elements(tree, "") {
			if !slices.Contains(allowed, n.Data) {
				t.Errorf("element <%s> is not one that the pages use", n.Data)
			}
			for _, a := range n.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("<%s> has the attribute %s", n.Data, a.Key)
				}
				if loads := a.Key == "src" || a.Key == "href" && n.Data == "link"; loads && !slices.Contains(served, a.Val) {
					t.Errorf("<%s> loads %q, which is not among the assets %q", n.Data, a.Val, served)
				}
			}
		}
	})
}

func TestNoPageHasAPasswordField(t *testing.T) {
	t.Parallel()
	eachPage(t, func(t *testing.T, _ string, tree *html.Node) {
		for _, n := range elements(tree, "input") {
			name, _ := attribute(n, "name")
			switch got, _ := attribute(n, "type"); {
			case got == "hidden", got == "text" && (name == "user_code" || name == "label"), got == "checkbox" && name == "service":
			default:
				t.Errorf("<input type=%q name=%q>: the pages ask for nothing but the code of a device, and what an app password is for", got, name)
			}
		}
	})
}

func TestUnknownLanguageIsEnglish(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	tree := render(t, testPages(p)["problem"], "tlh")
	if got, _ := attribute(elements(tree, "html")[0], "lang"); got != "en" {
		t.Errorf("lang = %q, want %q", got, "en")
	}
}

type brokenWriter struct{}

var errBroken = errors.New("connection gone")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestErrorOfTheWriterIsReturned(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	for name, write := range testPages(p) {
		if err := write(brokenWriter{}, "en"); !errors.Is(err, errBroken) {
			t.Errorf("%s: error = %v, want %v", name, err, errBroken)
		}
	}
}
