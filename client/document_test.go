package client_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"signpost/client"
)

func TestDocument(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	d := p.discover(t)
	p.set(configurationPage, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		reply("application/json", configuration())(w, r)
	})
	document, etag, notModified, err := p.client.Document(t.Context(), d, "secret-broad", "")
	if err != nil || notModified || etag != `"v1"` || len(document.Incoming) != 1 || document.Incoming[0].ID != "mail" {
		t.Fatalf("Document = %+v, %q, %v, %v", document, etag, notModified, err)
	}
	if got := p.requests(configurationPage)[0].Header.Get("Authorization"); got != "Bearer secret-broad" {
		t.Errorf("Authorization %q, want the token", got)
	}
	document, etag, notModified, err = p.client.Document(t.Context(), d, "secret-broad", etag)
	if err != nil || !notModified || etag != `"v1"` || document.Issuer != "" {
		t.Errorf("asked again: Document = %+v, %q, %v, %v, want not modified", document, etag, notModified, err)
	}
}

func TestDocumentBadAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		page http.HandlerFunc
		want error
		code string
	}{
		{"401", replyStatus(401, "text/plain", ""), nil, "invalid_token"},
		{"403", replyStatus(403, "text/plain", ""), nil, "insufficient_scope"},
		{"401 in words", replyStatus(401, "application/json", `{"error":"invalid_request"}`), nil, "invalid_request"},
		{"404", http.NotFound, client.ErrMalformed, ""},
		{"304 that nobody asked for", replyStatus(304, "", ""), client.ErrMalformed, ""},
		{"503", replyStatus(503, "", ""), client.ErrUnreachable, ""},
		{"HTML", reply("text/html", configuration()), client.ErrMalformed, ""},
		{"not a document", reply("application/json", "{}"), client.ErrMalformed, ""},
		{"service of the wrong type", reply("application/json", configuration("incoming", []any{7})), client.ErrMalformed, ""},
		{"too long", reply("application/json", configuration("x", strings.Repeat("x", 1<<20))), client.ErrMalformed, ""},
		{"of another issuer", reply("application/json", configuration("issuer", issuer+"/t/other")), client.ErrIssuerMismatch, ""},
	} {
		p := newProvider(t)
		d := p.discover(t)
		p.set(configurationPage, c.page)
		document, _, _, err := p.client.Document(t.Context(), d, "secret-broad", "")
		if document.Issuer != "" {
			t.Errorf("%s: a document beside an error", c.name)
		}
		if c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: Document = %v, want %v", c.name, err, c.want)
		}
		if e, ok := errors.AsType[*client.Error](err); c.code != "" && (!ok || e.Code != c.code) {
			t.Errorf("%s: Document = %v, want %s", c.name, err, c.code)
		}
	}
}

// TestR29TokenStaysAtTheIssuer: a changed Discovery does not make the client send
// the token to a host that the issuer did not name.
func TestR29TokenStaysAtTheIssuer(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	d := p.discover(t)
	for link, want := range map[string]error{
		"":                                       client.ErrUnsupported,
		"https://evil.example.com/configuration": client.ErrForeignHost,
		"https://id.example.com.evil.example.com/":    client.ErrForeignHost,
		"https://id.example.com:444/configuration":    client.ErrForeignHost,
		"https://id.example.com@evil.example.com/":    client.ErrMalformed,
		"http://id.example.com/configuration":         client.ErrInsecure,
		"http://127.0.0.1/configuration":              client.ErrInsecure,
		"/configuration":                              client.ErrMalformed,
		"https://ID.example.com/configuration":        nil,
		"https://tokens.example.com/my/configuration": nil,
	} {
		d.ConfigurationURL = link
		d.Metadata.TokenEndpoint = "https://tokens.example.com/token"
		p.set("ID.example.com/configuration", reply("application/json", configuration()))
		p.set("tokens.example.com/my/configuration", reply("application/json", configuration()))
		if _, _, _, err := p.client.Document(t.Context(), d, "secret-broad", ""); !errors.Is(err, want) {
			t.Errorf("Document at %q = %v, want %v", link, err, want)
		}
	}
	for _, r := range p.requests("evil.example.com/configuration") {
		t.Errorf("%s was asked with %v", r.Host, r.Header)
	}
}
