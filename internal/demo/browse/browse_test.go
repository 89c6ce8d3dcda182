package browse

import (
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func TestTheBrowserFindsLinksAndForms(t *testing.T) {
	t.Parallel()
	page, err := html.Parse(strings.NewReader(`<p><a class="quiet" href="/no">no</a><a class="big choice" href="/go">go</a></p>
		<form action="/search" method="get"><input name="q"></form>
		<form action="https://idp.test/in" method="post"><input type="hidden" name="ticket" value="a&amp;b">
		<input name="password"><button name="decision" value="deny"></button><button name="decision" value="allow"></button></form>`))
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	b := &Browser{page: page}
	if b.URL, err = url.Parse("http://127.0.0.1/page"); err != nil {
		t.Fatalf("parse: %v", err)
	}
	link := find(page, func(n *html.Node) bool { return n.Data == "a" && hasClass(n, "choice") })
	if link == nil || attribute(link, "href") != "/go" {
		t.Errorf("link = %v, want /go", link)
	}
	f, err := b.FormWith("password")
	if err != nil || f.Action.String() != "https://idp.test/in" || f.Values.Get("ticket") != "a&b" || f.Values.Has("decision") {
		t.Errorf("form = %+v, %v", f, err)
	}
	if !b.HasButton("decision", "allow") || b.HasButton("decision", "other") {
		t.Error("buttons are not told apart")
	}
	for _, name := range []string{"q", "missing"} {
		if f, err := b.FormWith(name); err == nil {
			t.Errorf("formWith(%q) = %+v, want an error", name, f)
		}
	}
}
