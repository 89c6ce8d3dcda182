package recorder

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// ways are the ways to write a secret into a request.
func ways(t *rapid.T) map[string]func(string) string {
	before := rapid.StringN(0, 20, 60).Draw(t, "before")
	after := rapid.StringN(0, 20, 60).Draw(t, "after")
	inText := before + "%s" + after
	in := func(s string) string { return strings.Replace(inText, "%s", s, 1) }
	return map[string]func(string) string{
		"raw":                  func(s string) string { return s },
		"query":                url.QueryEscape,
		"path":                 url.PathEscape,
		"every byte percent":   everyByte,
		"hex":                  func(s string) string { return hex.EncodeToString([]byte(s)) },
		"HEX":                  func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		"HTML":                 html.EscapeString,
		"JSON":                 jsonString,
		"JSON, all escaped":    jsonEscaped,
		"base64":               func(s string) string { return base64.StdEncoding.EncodeToString([]byte(in(s))) },
		"base64url":            func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(in(s))) },
		"base64 in a query":    func(s string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(in(s)))) },
		"base64url of percent": func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	}
}

func TestEveryWayToSendASecretIsFound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringN(8, 40, 120).Draw(t, "secret")
		noise := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "noise")
		more := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "more")
		for name, write := range ways(t) {
			body := append(append(append(bytes.Clone(noise), '\n'), write(secret)...), more...)
			r := New(secret)
			r.search(httptest.NewRequest(http.MethodPost, "/", nil), body)
			if r.Seen() != 1 {
				t.Fatalf("%s of %q in a body of %d bytes: seen %d times, want 1", name, secret, len(body), r.Seen())
			}
		}
	})
}

func TestNothingIsFoundWhereNothingWasSent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[a-z0-9]{16}`).Draw(t, "secret")
		body := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "body")
		r := New(secret)
		r.search(httptest.NewRequest(http.MethodPost, "/", nil), body)
		if r.Seen() != 0 {
			t.Fatalf("%q seen %d times in %q, want 0", secret, r.Seen(), body)
		}
	})
}

func TestEveryPartOfARequestIsSearched(t *testing.T) {
	t.Parallel()
	const secret = `p&ss "wörd"<1>`
	requests := map[string]*http.Request{
		"path":        httptest.NewRequest(http.MethodGet, "/"+url.PathEscape(secret), nil),
		"query value": httptest.NewRequest(http.MethodGet, "/?"+url.Values{"p": {secret}}.Encode(), nil),
		"query name":  httptest.NewRequest(http.MethodGet, "/?"+url.Values{secret: {"p"}}.Encode(), nil),
		"form":        httptest.NewRequest(http.MethodPost, "/", strings.NewReader(url.Values{"password": {secret}}.Encode())),
		"JSON":        httptest.NewRequest(http.MethodPost, "/", strings.NewReader(jsonString(secret))),
		"header":      httptest.NewRequest(http.MethodGet, "/", nil),
		"cookie":      httptest.NewRequest(http.MethodGet, "/", nil),
	}
	requests["header"].Header.Set("X-Password", secret)
	requests["cookie"].Header.Set("Cookie", "p="+url.QueryEscape(secret))
	for user := range 3 {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth(strings.Repeat("u", user), secret)
		requests[fmt.Sprintf("Basic with a user of %d", user)] = r
	}
	for name, req := range requests {
		recorder := New(secret, "another secret")
		recorder.Wrap(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), req)
		if recorder.Seen() != 1 || recorder.Requests() != 1 {
			t.Errorf("%s: seen %d in %d requests, want 1 in 1", name, recorder.Seen(), recorder.Requests())
		}
	}
}

func TestTheBodyReachesTheHandler(t *testing.T) {
	t.Parallel()
	got := ""
	handler := New("long secret").Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read body: %v", err)
		}
		got = string(b)
	}))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader("a=b&c=d")))
	if got != "a=b&c=d" {
		t.Errorf("body = %q, want a=b&c=d", got)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(make([]byte, maxBody+1))))
	if answer.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("body of %d bytes: status %d, want 413", maxBody+1, answer.Code)
	}
}

func everyByte(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

func jsonString(s string) string {
	out, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func jsonEscaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < 0x10000 {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		r -= 0x10000
		fmt.Fprintf(&b, `\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
	}
	return b.String()
}
