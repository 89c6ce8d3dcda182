package clients_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"signpost/directory"
	"signpost/oidc/clients"
)

// aged is a rig that has read the document at urlID, whose time to be fresh is over. later
// moves the clock to that long after the reading.
func aged(t *testing.T, answer http.HandlerFunc) (c *rig, h *host, r *directory.Realm, later func(time.Duration)) {
	t.Helper()
	c, h = hosted(t)
	r = realm(t, "example", nil)
	start := time.Now()
	later = func(d time.Duration) { c.Now = func() time.Time { return start.Add(d) } }
	later(0)
	h.set(answer)
	find(t, c.Clients, r, urlID)
	later(6 * time.Minute)
	return c, h, r, later
}

// TestR15TheLastGoodDocument: while its host gives no document, the one that was read before
// counts, for a day after its own time.
func TestR15TheLastGoodDocument(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"not there": http.NotFound, "gone": status(410), "moved": http.RedirectHandler("/x", http.StatusFound).ServeHTTP, "busy": status(429), "broken": status(500), "away": status(503),
		"HTML":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"too large": document(bytes.Repeat([]byte(" "), 6<<10)),
		"hangs up":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		c, h, r, later := aged(t, described(nil))
		h.set(answer)
		if got := find(t, c.Clients, r, urlID); got.Name != "Example Mail" || h.count() < 2 {
			t.Errorf("%s: found %+v after %d requests", name, got, h.count())
		}
		later(24*time.Hour + 4*time.Minute)
		find(t, c.Clients, r, urlID)
		later(24*time.Hour + 6*time.Minute)
		fresh(c)
		if got, err := c.Find(t.Context(), r, urlID); err == nil {
			t.Errorf("%s: a day later found %+v", name, got)
		}
	}
	c, _, r, _ := aged(t, described(nil))
	c.Fetch = clients.NewFetch(func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }, nil)
	find(t, c.Clients, r, urlID)
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// TestR15OnlyADocumentReplacesADocument: what the host says in one counts at once, and what it said
// before counts no more, not even when the host falls silent again.
func TestR15OnlyADocumentReplacesADocument(t *testing.T) {
	t.Parallel()
	other := func(name string, value any) http.HandlerFunc {
		return described(func(d map[string]any) { d[name] = value })
	}
	for name, answer := range map[string]http.HandlerFunc{
		"no redirect URIs": other("redirect_uris", []string{}), "another id": other("client_id", "https://example.com/moved"), "a secret": other("client_secret", "x"),
		"not JSON": document([]byte("{")), "empty": document([]byte("{}")),
	} {
		c, h, r, _ := aged(t, described(nil))
		h.set(answer)
		unknown(t, c.Clients, r, urlID)
		h.set(status(503))
		unavailable(t, c.Clients, r, urlID)
		if _, err := c.Recall(t.Context(), r, urlID); !errors.Is(err, clients.ErrUnavailable) {
			t.Errorf("%s: recalled, %v", name, err)
		}
	}
	c, h, r, _ := aged(t, described(nil))
	h.set(other("client_name", "New Mail"))
	if got := find(t, c.Clients, r, urlID); got.Name != "New Mail" {
		t.Errorf("found %+v, want the new document", got)
	}
	again := h.count()
	find(t, c.Clients, r, urlID)
	if h.count() != again {
		t.Error("the new document was not kept")
	}
}

// TestR15KeysThatCannotBeRead: the last good keys count as long as the document is the
// same, and no longer.
func TestR15KeysThatCannotBeRead(t *testing.T) {
	t.Parallel()
	var keys http.HandlerFunc
	with := func(edit func(d map[string]any)) http.HandlerFunc {
		good := described(func(d map[string]any) {
			d["token_endpoint_auth_method"], d["jwks_uri"] = "private_key_jwt", "https://example.com/jwks.json"
			edit(d)
		})
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == urlID[len("https://example.com"):] {
				good(w, r)
				return
			}
			keys(w, r)
		}
	}
	same := func(map[string]any) {}
	for name, test := range map[string]struct {
		edit func(map[string]any)
		keys http.HandlerFunc
		want error
	}{
		"the same document":    {same, status(503), nil},
		"other redirect URIs":  {func(d map[string]any) { d["redirect_uris"] = []string{"https://example.com/cb"} }, status(503), clients.ErrUnavailable},
		"keys elsewhere":       {func(d map[string]any) { d["jwks_uri"] = "https://example.com/new.json" }, http.NotFound, clients.ErrUnknown},
		"the keys are no keys": {same, document([]byte(`{"keys":[]}`)), clients.ErrUnknown},
	} {
		keys = document(publicJWKS(t))
		c, h, r, _ := aged(t, with(same))
		keys = test.keys
		h.set(with(test.edit))
		if _, err := c.Find(t.Context(), r, urlID); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if _, err := c.Recall(t.Context(), r, urlID); (err == nil) != (test.want == nil) {
			t.Errorf("%s: recalled: %v", name, err)
		}
	}
}

// TestR15PolicyBeforeTheLastGoodDocument: who is denied is unknown, whatever was good.
func TestR15PolicyBeforeTheLastGoodDocument(t *testing.T) {
	t.Parallel()
	c, h, _, _ := aged(t, described(nil))
	h.set(status(503))
	for _, m := range []directory.ClientMatch{{ID: urlID}, {Host: urlHost}, {SoftwareID: "mail"}, {Redirect: "http://[::1]/cb"}} {
		unknown(t, c.Clients, policy(t, directory.ClientPolicy{Deny: []directory.ClientMatch{m}}), urlID)
	}
}

// TestR15StrangersDoNotLockOut: who uses up what a host may be asked keeps new ids out,
// and not one whose document was good; that one is read again too.
func TestR15StrangersDoNotLockOut(t *testing.T) {
	t.Parallel()
	c, h, r, later := aged(t, described(nil))
	for i := range 20 {
		_, _ = c.Find(t.Context(), r, fmt.Sprintf("https://example.com/%d", i))
	}
	unavailable(t, c.Clients, r, "https://example.com/new")
	before := h.count()
	h.set(described(func(d map[string]any) { d["client_name"] = "New Mail" }))
	if got := find(t, c.Clients, r, urlID); got.Name != "New Mail" || h.count() != before+1 {
		t.Errorf("found %+v after %d requests, want the document of now after one", got, h.count()-before)
	}
	// A host that is away is asked for a known id once a minute, not by everybody who comes.
	h.set(status(503))
	later(20 * time.Minute)
	c.Documents = c.cache
	before = h.count()
	for range 5 {
		find(t, c.Clients, r, urlID)
	}
	if h.count() > before+1 {
		t.Errorf("%d requests for a known id, want one at most", h.count()-before)
	}
}
