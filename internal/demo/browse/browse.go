package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// browser is as much of a browser as a sign-in needs: cookies, redirects, links
// and forms. Like a browser it keeps cookies by host and not by port.
type browser struct {
	http *http.Client
	page *html.Node
	url  *url.URL // of the page
}

const (
	maxPage = 1 << 20
	maxHops = 10
)

func newBrowser(transport http.RoundTripper) (*browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("make cookie jar: %w", err)
	}
	return &browser{http: &http.Client{
		Timeout:   patience,
		Transport: transport,
		Jar:       jar,
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) >= maxHops {
				return fmt.Errorf("more than %d redirects", maxHops)
			}
			return nil
		},
	}}, nil
}

// open goes to a URL.
func (b *browser) open(ctx context.Context, target string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	return b.send(req)
}

func (b *browser) send(req *http.Request) error {
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Accept-Language", "en")
	resp, err := b.http.Do(req)
	if err != nil {
		// The URL of the error holds the query, and that holds what is secret.
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err
		}
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s%s answered %d", resp.Request.URL.Host, resp.Request.URL.Path, resp.StatusCode)
	}
	b.url = resp.Request.URL
	if b.page, err = html.Parse(strings.NewReader(string(text))); err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	return nil
}

// follow clicks the first link of a class.
func (b *browser) follow(ctx context.Context, class string) error {
	link := find(b.page, func(n *html.Node) bool { return n.Data == "a" && hasClass(n, class) })
	if link == nil {
		return fmt.Errorf("the page of %s has no link %q", b.url.Path, class)
	}
	target, err := b.url.Parse(attribute(link, "href"))
	if err != nil {
		return fmt.Errorf("link %q: %w", class, err)
	}
	return b.open(ctx, target.String())
}

// form is a form of the page, with the values that it came with.
type form struct {
	action *url.URL
	values url.Values
}

// formWith returns the form that has an input or a button of a name.
func (b *browser) formWith(name string) (form, error) {
	node := find(b.page, func(n *html.Node) bool {
		return n.Data == "form" && find(n, func(n *html.Node) bool { return attribute(n, "name") == name }) != nil
	})
	if node == nil {
		return form{}, fmt.Errorf("the page of %s has no form with %q", b.url.Path, name)
	}
	action, err := b.url.Parse(attribute(node, "action"))
	if err != nil || !strings.EqualFold(attribute(node, "method"), http.MethodPost) {
		return form{}, fmt.Errorf("the form of %s cannot be sent", b.url.Path)
	}
	f := form{action: action, values: url.Values{}}
	walkHTML(node, func(n *html.Node) {
		if n.Data == "input" && attribute(n, "name") != "" {
			f.values.Set(attribute(n, "name"), attribute(n, "value"))
		}
	})
	return f, nil
}

// hasButton reports whether the page has a button of that name and value.
func (b *browser) hasButton(name, value string) bool {
	return find(b.page, func(n *html.Node) bool {
		return n.Data == "button" && attribute(n, "name") == name && attribute(n, "value") == value
	}) != nil
}

// submit sends a form as a browser does, with the headers by which a server
// knows that the form was its own.
func (b *browser) submit(ctx context.Context, f form) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.action.String(), strings.NewReader(f.values.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", b.url.Scheme+"://"+b.url.Host)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.send(req)
}

func find(n *html.Node, matches func(*html.Node) bool) *html.Node {
	if n.Type == html.ElementNode && matches(n) {
		return n
	}
	for child := range n.ChildNodes() {
		if found := find(child, matches); found != nil {
			return found
		}
	}
	return nil
}

func walkHTML(n *html.Node, visit func(*html.Node)) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode {
			visit(d)
		}
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasClass(n *html.Node, class string) bool {
	for _, c := range strings.Fields(attribute(n, "class")) {
		if c == class {
			return true
		}
	}
	return false
}
