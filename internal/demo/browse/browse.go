// Package browse is as much of a browser as a sign-in needs: cookies, redirects,
// links and forms. The demo's walk and tests of foreign programs go through a
// person's pages with it.
package browse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// Browser shows one page at a time. Like a browser it keeps cookies by host and not
// by port.
type Browser struct {
	URL *url.URL // of the page

	http *http.Client
	page *html.Node
}

const (
	maxPage = 1 << 20
	maxHops = 10
)

// New makes a browser without cookies on a transport. One request takes patience at most.
func New(transport http.RoundTripper, patience time.Duration) (*Browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("make cookie jar: %w", err)
	}
	return &Browser{http: &http.Client{
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

// Open goes to a URL.
func (b *Browser) Open(ctx context.Context, target string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	return b.send(req)
}

func (b *Browser) send(req *http.Request) error {
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
	b.URL = resp.Request.URL
	if b.page, err = html.Parse(strings.NewReader(string(text))); err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	return nil
}

// Follow clicks the first link of a class.
func (b *Browser) Follow(ctx context.Context, class string) error {
	link := find(b.page, func(n *html.Node) bool { return n.Data == "a" && hasClass(n, class) })
	if link == nil {
		return fmt.Errorf("the page of %s has no link %q", b.URL.Path, class)
	}
	target, err := b.URL.Parse(attribute(link, "href"))
	if err != nil {
		return fmt.Errorf("link %q: %w", class, err)
	}
	return b.Open(ctx, target.String())
}

// Form is a form of the page, with the values that it came with.
type Form struct {
	Action *url.URL
	Values url.Values
}

// FormWith returns the form that has an input or a button of a name.
func (b *Browser) FormWith(name string) (Form, error) {
	node := find(b.page, func(n *html.Node) bool {
		return n.Data == "form" && find(n, func(n *html.Node) bool { return attribute(n, "name") == name }) != nil
	})
	if node == nil {
		return Form{}, fmt.Errorf("the page of %s has no form with %q", b.URL.Path, name)
	}
	action, err := b.URL.Parse(attribute(node, "action"))
	if err != nil || !strings.EqualFold(attribute(node, "method"), http.MethodPost) {
		return Form{}, fmt.Errorf("the form of %s cannot be sent", b.URL.Path)
	}
	f := Form{Action: action, Values: url.Values{}}
	walkHTML(node, func(n *html.Node) {
		if n.Data == "input" && attribute(n, "name") != "" {
			f.Values.Set(attribute(n, "name"), attribute(n, "value"))
		}
	})
	return f, nil
}

// HasButton reports whether the page has a button of that name and value.
func (b *Browser) HasButton(name, value string) bool {
	return find(b.page, func(n *html.Node) bool {
		return n.Data == "button" && attribute(n, "name") == name && attribute(n, "value") == value
	}) != nil
}

// Submit sends a form as a browser does, with the headers by which a server
// knows that the form was its own.
func (b *Browser) Submit(ctx context.Context, f Form) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.Action.String(), strings.NewReader(f.Values.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", b.URL.Scheme+"://"+b.URL.Host)
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
