package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/servertest"
)

// edit changes a request before it is sent.
type edit func(*http.Request)

func header(name, value string) edit {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func host(name string) edit {
	return func(r *http.Request) { r.Host = name }
}

func body(mediaType, text string) edit {
	return func(r *http.Request) {
		r.Header.Set("Content-Type", mediaType)
		r.Body = io.NopCloser(strings.NewReader(text))
		r.ContentLength = int64(len(text))
	}
}

func formBody(form url.Values) edit {
	return body("application/x-www-form-urlencoded", form.Encode())
}

// cookies is an edit: it sends what the browser would.
func (b *browser) cookies(r *http.Request) {
	for _, c := range b.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
}

// chosen follows the link on the page before the identity provider and returns
// where it leads.
func (b *browser) chosen(before page) string {
	b.t.Helper()
	p := ask(b.t, http.MethodGet, upstreamLink(b.t, before), b.cookies)
	if p.status != http.StatusSeeOther {
		b.t.Fatalf("choose the identity provider: %d %s", p.status, p.body)
	}
	return p.header.Get("Location")
}

// ask sends one request, follows no redirect and keeps no cookie.
func ask(t testing.TB, method, rawURL string, edits ...edit) page {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, rawURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		e(req)
	}
	res, err := servertest.NoRedirects().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, rawURL, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{res.StatusCode, res.Header, string(text), req.URL}
}

// json reads the page's body.
func (p page) json(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.body), into); err != nil {
		t.Fatalf("answer to %v is not JSON: %v\n%s", p.url, err, p.body)
	}
}

// object is a JSON object.
type object = map[string]any

// jsonAt gets a JSON object that must be there.
func jsonAt(t testing.TB, rawURL string, edits ...edit) object {
	t.Helper()
	p := ask(t, http.MethodGet, rawURL, edits...)
	if p.status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", rawURL, p.status, p.body)
	}
	var o object
	p.json(t, &o)
	return o
}

// isPage checks that an answer is a page for people that leads nowhere by itself.
func (p page) isPage(t testing.TB, status int) {
	t.Helper()
	if p.status != status || p.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("got %d %s, want a page with status %d:\n%s", p.status, p.header.Get("Content-Type"), status, p.body)
	}
	if to := p.header.Get("Location"); to != "" {
		t.Errorf("the page leads to %s", to)
	}
	if status >= 400 && !strings.Contains(p.body, p.header.Get("X-Request-Id")) {
		t.Errorf("the page does not name its request id %s:\n%s", p.header.Get("X-Request-Id"), p.body)
	}
}

// declare applies beside the running server and waits until it is seen.
func declare(t testing.TB, s *servertest.Server, declaration string, seen func(*directory.Snapshot) bool) {
	t.Helper()
	s.Apply(t, declaration)
	eventually(t, "the declaration is seen", func() bool { return seen(s.Service.Answers.Current()) })
}

// eventually asks again and again until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("it never happened that %s", what)
		case <-tick.C:
		}
	}
}
