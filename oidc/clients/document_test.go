package clients_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/clients"
)

const (
	urlHost = "example.com" // the name in httptest's certificate
	urlID   = "https://example.com/client.json"
)

// host is a web server that clients' documents are on, and how often it was asked.
type host struct {
	mu     sync.Mutex
	asked  []string
	dialed []string
	answer http.HandlerFunc
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.asked = append(h.asked, "https://"+r.Host+r.URL.String())
	answer := h.answer
	h.mu.Unlock()
	answer(w, r)
}

func (h *host) set(answer http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

func (h *host) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.asked)
}

// hosted is a rig whose network is one web server under every name.
func hosted(t testing.TB) (*rig, *host) {
	t.Helper()
	h := &host{}
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c := newRig(t)
	c.Fetch = clients.NewFetch(func(ctx context.Context, network, address string) (net.Conn, error) {
		h.mu.Lock()
		h.dialed = append(h.dialed, address)
		h.mu.Unlock()
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}, roots)
	return c, h
}

// described is a good document; edit changes it.
func described(edit func(d map[string]any)) http.HandlerFunc {
	d := map[string]any{
		"client_id": urlID, "client_name": "Example Mail", "software_id": "mail",
		"redirect_uris": []string{"https://example.com/cb", "http://127.0.0.1/cb", "com.example.mail:/cb"}, "token_endpoint_auth_method": "none",
	}
	if edit != nil {
		edit(d)
	}
	body, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return document(body)
}

func document(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(body)
	}
}

func unavailable(t testing.TB, c *clients.Clients, r *directory.Realm, id string) {
	t.Helper()
	if found, err := c.Find(t.Context(), r, id); !errors.Is(err, clients.ErrUnavailable) {
		t.Errorf("Find(%s) = %+v, %v; want ErrUnavailable", id, found, err)
	}
}

func TestR15Find(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := realm(t, "example", nil)
	h.set(described(nil))
	got := find(t, c.Clients, r, urlID)
	if got.Kind != clients.URL || got.ID != urlID || got.Host != urlHost || got.Name != "Example Mail" || got.SoftwareID != "mail" || got.Authentication != oidc.AuthNone ||
		got.IDTokenAlgorithm != "RS256" || len(got.RedirectURIs) != 3 || got.Registration != nil {
		t.Errorf("found %+v", got)
	}
	if !slices.Equal(h.dialed, []string{"example.com:443"}) || !slices.Equal(h.asked, []string{urlID}) {
		t.Errorf("dialled %v for %v", h.dialed, h.asked)
	}
	// Kept, for every tenant, and as it was.
	again := find(t, c.Clients, realm(t, "other", nil), urlID)
	if fmt.Sprint(again) != fmt.Sprint(got) || h.count() != 1 {
		t.Errorf("again %+v after %d requests, want the same after one", again, h.count())
	}
}

func TestR15URLsOfIDs(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := realm(t, "example", nil)
	for _, id := range []string{
		"http://example.com/client.json", "HTTPS://example.com/client.json", "https://example.com", "https:///client.json", "https:/example.com/x", "https://",
		"https://example.com:443/client.json", "https://example.com:8443/client.json", "https://example.com:/client.json", "https://u@example.com/client.json", "https://u:p@example.com/x", "https://@example.com/x",
		"https://example.com/client.json#x", "https://example.com/client.json#", "https://example.com/client.json?x=1", "https://example.com/client.json?", "https://example.com?/x",
		"https://example.com/a/../client.json", "https://example.com/./client.json", "https://example.com/..", "https://example.com/%2e%2e/x", "https://example.com/a%2fb",
		"https://127.0.0.1/x", "https://10.0.0.1/x", "https://[::1]/x", "https://[::ffff:127.0.0.1]/x", "https://2130706433/x", "https://0x7f.1/x", "https://127.1/x", "https://1.2.3.0x4/x", "https://a.0x7f/x",
		"https://localhost/x", "https://example/x", "https://Example.com/client.json", "https://example.com./client.json", "https://.example.com/x", "https://exa_mple.com/x", "https://exämple.com/x", "https://-a.example.com/x",
		`https://example.com\client.json`, `https://example.com/\x`, "https://example.com/ x", "https://example.com/x\n", "https://example.com /x", "https://example.com/\x00", "https://exa\tmple.com/x",
		"https://" + strings.Repeat("a", 64) + ".com/x", "https://example.com/" + strings.Repeat("a", 400),
	} {
		unknown(t, c.Clients, r, id)
	}
	if h.count() != 0 || len(h.dialed) != 0 {
		t.Errorf("the network was asked for %v", h.dialed)
	}
}

func TestR15Documents(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := realm(t, "example", nil)
	set := func(name string, value any) http.HandlerFunc {
		return described(func(d map[string]any) { d[name] = value })
	}
	header := func(name, value string, next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			next(noting{w, func(h http.Header) { h.Set(name, value) }}, r)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://example.com/elsewhere.json")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
		}
	}
	keyless := set("token_endpoint_auth_method", "private_key_jwt")
	withKeys := func(member string, value any) http.HandlerFunc {
		return described(func(d map[string]any) {
			d["token_endpoint_auth_method"] = "private_key_jwt"
			d[member] = value
		})
	}
	for name, answer := range map[string]http.HandlerFunc{
		"redirect": status(302), "permanent redirect": status(308), "not there": status(404), "forbidden": status(403), "created": status(201), "no content": status(204),
		"HTML": header("Content-Type", "text/html", described(nil)), "no type": header("Content-Type", "", described(nil)), "JSON of another kind": header("Content-Type", "application/jose+json", described(nil)),
		"another client_id": set("client_id", "https://example.com/other.json"), "client_id with a slash": set("client_id", urlID+"/"), "no client_id": set("client_id", ""), "client_id is a list": set("client_id", []string{urlID}),
		"client_secret": set("client_secret", "x"), "client_secret null": set("client_secret", nil), "client_secret_expires_at": set("client_secret_expires_at", 0),
		"client_secret_basic": set("token_endpoint_auth_method", "client_secret_basic"), "client_secret_post": set("token_endpoint_auth_method", "client_secret_post"),
		"client_secret_jwt": set("token_endpoint_auth_method", "client_secret_jwt"), "tls_client_auth": set("token_endpoint_auth_method", "tls_client_auth"),
		"no redirect URIs": set("redirect_uris", []string{}), "redirects elsewhere": set("redirect_uris", []string{"https://example.org/cb", "http://example.com/cb", "https://example.com:444/cb", "https://example.com.evil.test/", "https://x.example.com/cb", "http://localhost/"}),
		"symmetric ID tokens": set("id_token_signed_response_alg", "HS256"), "unsigned ID tokens": set("id_token_signed_response_alg", "none"),
		"no keys": keyless, "empty keys": withKeys("jwks", map[string]any{"keys": []any{}}), "keys are a text": withKeys("jwks", "x"),
		"a secret as key": withKeys("jwks", json.RawMessage(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)), "a private key": withKeys("jwks", json.RawMessage(privateJWKS(t))),
		"keys elsewhere": withKeys("jwks_uri", "https://keys.example.com/jwks.json"), "keys in the clear": withKeys("jwks_uri", "http://example.com/jwks.json"), "keys at a port": withKeys("jwks_uri", "https://example.com:8443/jwks.json"),
		"keys by query": withKeys("jwks_uri", "https://example.com/jwks.json?x"),
		"a list":        document([]byte(`[]`)), "nothing": document(nil), "null": document([]byte(`null`)), "a member twice": document([]byte(`{"client_id":"` + urlID + `","client_id":"` + urlID + `","redirect_uris":["com.example:/"]}`)),
		"no UTF-8":  document([]byte("{\"client_id\":\"" + urlID + "\",\"client_name\":\"\xff\",\"redirect_uris\":[\"com.example:/\"]}")),
		"too large": document(append([]byte(`{"client_id":"`+urlID+`","redirect_uris":["com.example:/"],"x":"`), append(bytes.Repeat([]byte("a"), 5<<10), `"}`...)...)),
		"gzip":      header("Content-Encoding", "gzip", document(bomb(t))),
	} {
		h.set(answer)
		before := h.count()
		fresh(c)
		unknown(t, c.Clients, r, urlID)
		if got := h.count() - before; got != 1 {
			t.Errorf("%s: %d requests, want one", name, got)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	for _, code := range []int{429, 500, 502, 503} {
		h.set(status(code))
		fresh(c)
		unavailable(t, c.Clients, r, urlID)
	}
	// Nothing of this was kept.
	h.set(described(nil))
	fresh(c)
	find(t, c.Clients, r, urlID)
}

// fresh takes a cache without counters, so that a long table is not too many requests.
func fresh(c *rig) { c.Documents = uncounted{c.cache} }

type uncounted struct{ *cacheWatch }

func (uncounted) Allow(context.Context, string, int, time.Duration) (bool, time.Duration, error) {
	return true, 0, nil
}

// noting changes the header just before it is written.
type noting struct {
	http.ResponseWriter
	change func(http.Header)
}

func (n noting) Write(b []byte) (int, error) {
	n.change(n.Header())
	return n.ResponseWriter.Write(b)
}

// bomb is a small document that would be a large one.
func bomb(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = fmt.Fprintf(w, `{"client_id":%q,"redirect_uris":["com.example:/"],"x":"%s"}`, urlID, strings.Repeat("a", 1<<20))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 5<<10 {
		t.Fatalf("the bomb has %d bytes", b.Len())
	}
	return b.Bytes()
}

// TestR15AsksForNoCompression: the transport does not unpack behind our back.
func TestR15AsksForNoCompression(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	var header http.Header
	good := described(nil)
	h.set(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		good(w, r)
	})
	find(t, c.Clients, realm(t, "example", nil), urlID)
	if got := slices.Sorted(maps.Keys(header)); !slices.Equal(got, []string{"Accept", "Connection", "User-Agent"}) || header.Get("Accept") != "application/json" {
		t.Errorf("headers %v", header)
	}
}

func TestR15NoProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	transport, ok := clients.NewFetch(nil, nil).Transport.(*http.Transport)
	if !ok || transport.Proxy != nil {
		t.Errorf("transport %+v, want one without a proxy", transport)
	}
}

func TestR15RedirectURIsOfADocument(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	h.set(described(func(d map[string]any) {
		d["redirect_uris"] = []string{"https://example.com/cb", "https://evil.test/cb", "http://localhost/cb", "http://127.0.0.1:7/cb", "javascript:x", "com.example.mail:/cb", "https://example.com/a/../b"}
		d["post_logout_redirect_uris"] = []string{"https://example.com/bye", "https://evil.test/bye"}
	}))
	got := find(t, c.Clients, realm(t, "example", nil), urlID)
	if want := []string{"https://example.com/cb", "http://127.0.0.1:7/cb", "com.example.mail:/cb"}; !slices.Equal(got.RedirectURIs, want) {
		t.Errorf("redirect URIs %v, want %v", got.RedirectURIs, want)
	}
	if want := []string{"https://example.com/bye"}; !slices.Equal(got.PostLogoutRedirectURIs, want) {
		t.Errorf("post-logout redirect URIs %v, want %v", got.PostLogoutRedirectURIs, want)
	}
}

func TestR15KeysByURI(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := realm(t, "example", nil)
	set := publicJWKS(t)
	good := described(func(d map[string]any) {
		d["token_endpoint_auth_method"], d["jwks_uri"] = "private_key_jwt", "https://example.com/jwks.json"
	})
	keys := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/jwks.json" {
				answer(w, r)
				return
			}
			good(w, r)
		}
	}
	for _, answer := range []http.HandlerFunc{document([]byte(`{}`)), document(privateJWKS(t)), document(bytes.Repeat([]byte(" "), 6<<10)), http.RedirectHandler("/x", http.StatusFound).ServeHTTP} {
		h.set(keys(answer))
		unknown(t, c.Clients, r, urlID)
	}
	h.set(keys(document(set)))
	got := find(t, c.Clients, r, urlID)
	if got.JWKS != string(set) || !got.Confidential() || !slices.Equal(h.asked[len(h.asked)-2:], []string{urlID, "https://example.com/jwks.json"}) {
		t.Errorf("found %+v by %v", got, h.asked)
	}
}

// TestR15DeniedWithoutAsking: no document is read of an id or a host that is switched off.
func TestR15DeniedWithoutAsking(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	h.set(described(nil))
	for _, p := range []directory.ClientPolicy{
		{Deny: []directory.ClientMatch{{Host: urlHost}}}, {Deny: []directory.ClientMatch{{ID: urlID}}}, {URLsOff: true},
	} {
		unknown(t, c.Clients, policy(t, p), urlID)
	}
	if h.count() != 0 {
		t.Errorf("asked for %v", h.asked)
	}
	find(t, c.Clients, policy(t, directory.ClientPolicy{}), urlID)
	for _, p := range []directory.ClientPolicy{
		{Deny: []directory.ClientMatch{{SoftwareID: "mail"}}}, {Deny: []directory.ClientMatch{{Redirect: "com.example.mail"}}}, {URLsOff: true},
		{Allow: []directory.ClientMatch{{Host: "example.org"}}}, {Deny: []directory.ClientMatch{{Host: urlHost}}},
	} {
		unknown(t, c.Clients, policy(t, p), urlID)
	}
	find(t, c.Clients, policy(t, directory.ClientPolicy{Allow: []directory.ClientMatch{{Host: urlHost}}}), urlID)
}

func TestR15FailuresAreNotKept(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := realm(t, "example", nil)
	h.set(http.NotFound)
	unknown(t, c.Clients, r, urlID)
	h.set(described(nil))
	find(t, c.Clients, r, urlID)
}

func TestR15LimitPerHost(t *testing.T) {
	t.Parallel()
	c, h := hosted(t)
	r := realm(t, "example", nil)
	h.set(http.NotFound)
	for i := range 10 {
		unknown(t, c.Clients, r, fmt.Sprintf("https://example.com/%d", i))
	}
	unavailable(t, c.Clients, r, "https://example.com/11")
	unavailable(t, c.Clients, realm(t, "other", nil), urlID)
	if h.count() != 10 {
		t.Errorf("asked %d times, want 10", h.count())
	}
	unavailable(t, c.Clients, r, "https://other.example.org/1") // another host: asked, and its certificate is not good
	if len(h.dialed) != 11 {
		t.Errorf("dialled %d times, want 11", len(h.dialed))
	}
}

// TestR15HowLongADocumentIsKept: what the host says counts between five minutes and a day.
func TestR15HowLongADocumentIsKept(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]time.Duration{
		"": 5 * time.Minute, "max-age=3600": time.Hour, "public, max-age=7200": 2 * time.Hour, "Max-Age=\"3600\"": time.Hour, "max-age=1": 5 * time.Minute, "max-age=-1": 5 * time.Minute, "max-age=x": 5 * time.Minute,
		"max-age=99999999": 24 * time.Hour, "max-age=99999999999999999999": 5 * time.Minute, "no-store": 5 * time.Minute, "no-cache, max-age=3600": 5 * time.Minute, "max-age=3600, no-store": 5 * time.Minute,
	} {
		c, h := hosted(t)
		kept := &lifetimes{cacheWatch: c.cache}
		c.Documents = kept
		good := described(nil)
		h.set(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", said)
			good(w, r)
		})
		find(t, c.Clients, realm(t, "example", nil), urlID)
		if len(kept.ttl) != 1 || (kept.ttl[0]-want-24*time.Hour).Abs() > time.Minute { // and a day as the last good one
			t.Errorf("Cache-Control %q: kept for %v, want a day and %v", said, kept.ttl, want)
		}
	}
}

type lifetimes struct {
	*cacheWatch
	ttl []time.Duration
}

func (l *lifetimes) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	l.ttl = append(l.ttl, ttl)
	return l.cacheWatch.Set(ctx, key, value, ttl)
}
