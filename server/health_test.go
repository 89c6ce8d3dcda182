package server_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/cache"
	"signpost/oidc/issuer"
	"signpost/oidc/upstream"
	"signpost/server"
)

// told is a health that does not change.
type told []server.Cause

func (h told) Causes() []server.Cause { return h }

var metricsStub = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("signpost_stub 1\n")) })

func recorded(t testing.TB, h http.Handler, method, path string) page {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	h.ServeHTTP(w, r)
	return page{w.Code, w.Result().Header, w.Body.String(), r.URL}
}

// TestReadiness: only what this process alone lacks takes it out of service. What all
// share is listed and takes out nobody, or public discovery would end with it.
func TestReadiness(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	well := server.Cause{Part: server.PartFacts, State: server.OK, Since: since, Text: "revision 3 is served"}
	away := server.Cause{Part: server.PartDatabase, State: server.Degraded, Since: since, Text: "it does not answer"}
	for name, c := range map[string]struct {
		health told
		status int
	}{
		"all is well":        {told{well}, http.StatusOK},
		"the database away":  {told{well, away}, http.StatusOK},
		"all shared is away": {told{well, away, {Part: server.PartCache, State: server.Degraded, Text: "x"}, {Part: server.PartRevocations, State: server.Degraded, Text: "x"}}, http.StatusOK},
		"nothing loaded":     {told{{Part: server.PartFacts, State: server.Failed, Since: since, Text: "not loaded yet"}}, http.StatusServiceUnavailable},
		"stopping":           {told{{Part: server.PartProcess, State: server.Failed, Since: since, Text: "it stops"}, well}, http.StatusServiceUnavailable},
		"nothing known":      {told{}, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := recorded(t, server.Operations(c.health, metricsStub), http.MethodGet, "/readyz")
			if p.status != c.status || p.header.Get("Content-Type") != "application/json" || p.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %v, want %d and JSON that nobody keeps", p.status, p.header, c.status)
			}
			var got struct {
				Ready  bool `json:"ready"`
				Causes told `json:"causes"`
			}
			p.json(t, &got)
			if got.Ready != (c.status == http.StatusOK) || !reflect.DeepEqual(got.Causes, c.health) {
				t.Errorf("got %+v, want the causes %+v", got, c.health)
			}
		})
	}
}

// TestReadinessInJSON: the members are read by "signpost ready" and by people's scripts.
func TestReadinessInJSON(t *testing.T) {
	t.Parallel()
	h := told{
		{Part: server.PartFacts, State: server.OK, Text: "served"},
		{Part: server.PartDatabase, State: server.Degraded, Since: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Text: "away"},
	}
	const want = `{"ready":true,"causes":[{"part":"facts","state":"ok","text":"served"},` +
		`{"part":"database","state":"degraded","since":"2026-03-01T12:00:00Z","text":"away"}]}`
	if got := strings.TrimSpace(recorded(t, server.Operations(h, metricsStub), http.MethodGet, "/readyz").body); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestOperations(t *testing.T) {
	t.Parallel()
	// Alive, whatever the health: a new start brings no database back.
	h := server.Operations(told{{Part: server.PartFacts, State: server.Failed, Text: "x"}}, metricsStub)
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{http.MethodGet, "/livez", http.StatusOK, "ok\n"},
		{http.MethodHead, "/livez", http.StatusOK, "ok\n"}, // net/http drops the body, the recorder does not
		{http.MethodGet, "/metrics", http.StatusOK, "signpost_stub 1\n"},
		{http.MethodPost, "/livez", http.StatusMethodNotAllowed, ""},
		{http.MethodDelete, "/metrics", http.StatusMethodNotAllowed, ""},
		{http.MethodPost, "/readyz", http.StatusMethodNotAllowed, ""},
		{http.MethodGet, "/", http.StatusNotFound, ""},
		{http.MethodGet, "/readyz/", http.StatusNotFound, ""},
		{http.MethodGet, "/authorize", http.StatusNotFound, ""}, // the service itself is not here
	} {
		p := recorded(t, h, c.method, c.path)
		if p.status != c.status || c.body != "" && p.body != c.body {
			t.Errorf("%s %s: got %d %q, want %d %q", c.method, c.path, p.status, p.body, c.status, c.body)
		}
		if p.header.Get("X-Content-Type-Options") != "nosniff" || p.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: headers %v, want nosniff and no-store", c.method, c.path, p.header)
		}
	}
}

// TestOperationsAreElsewhere: the public listener has none of them.
func TestOperationsAreElsewhere(t *testing.T) {
	t.Parallel()
	a := newAlone(t, https, declared, nil)
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		if p := a.ask(http.MethodGet, https+path); p.status != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", path, p.status)
		}
	}
}

func TestEveryListenerHasBounds(t *testing.T) {
	t.Parallel()
	for name, srv := range map[string]*http.Server{
		"public":     server.Timeouts(http.NotFoundHandler()),
		"operations": server.OperationsTimeouts(http.NotFoundHandler()),
	} {
		if srv.ReadHeaderTimeout <= 0 || srv.ReadTimeout <= 0 || srv.WriteTimeout <= 0 || srv.IdleTimeout <= 0 || srv.MaxHeaderBytes <= 0 {
			t.Errorf("%s: a bound is missing: %+v", name, srv)
		}
	}
}

// request is how one was counted.
type request struct {
	route, method string
	status        int
}

// counted remembers what the server says of its requests.
type counted struct {
	mu    sync.Mutex
	began int
	ended []request
}

func (c *counted) RequestBegan() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began++
}

func (c *counted) RequestEnded(route, method string, status int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if took <= 0 {
		status = 0 // seen by the test: no duration
	}
	c.ended = append(c.ended, request{route, method, status})
}

// TestRequestsAreCounted: by template, never by path, and also those that fail early,
// late or with a panic.
func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	requests := &counted{}
	a := newAlone(t, https, declared, func(d *server.Deps) { d.Requests, d.Limiter = requests, panics{} })
	for _, c := range []struct {
		method, path string
		want         request
	}{
		{http.MethodGet, "/.well-known/webfinger?resource=acct:alice@example.test", request{"/.well-known/webfinger", http.MethodGet, 200}},
		{http.MethodGet, "/.well-known/webfinger", request{"/.well-known/webfinger", http.MethodGet, 400}},
		{http.MethodHead, "/t/nobody/jwks", request{"/t/:tenant/jwks", http.MethodHead, 404}},
		{http.MethodGet, "/alice@example.test", request{"", http.MethodGet, 404}},
		{http.MethodPut, "/token", request{"", http.MethodPut, 405}},
		{http.MethodGet, "/authorize?x=" + strings.Repeat("y", 10_000), request{"/authorize", http.MethodGet, 414}},
		{http.MethodPost, "/token", request{"/token", http.MethodPost, 500}}, // the limiter panics
	} {
		p := a.ask(c.method, https+c.path)
		if got := requests.ended[len(requests.ended)-1]; got != c.want || p.status != c.want.status {
			t.Errorf("%s %.60s: answered %d, counted %+v, want %+v", c.method, c.path, p.status, got, c.want)
		}
		if requests.began != len(requests.ended) {
			t.Errorf("%s %.60s: %d began, %d ended", c.method, c.path, requests.began, len(requests.ended))
		}
	}
}

// noCache keeps nothing.
type noCache struct{ issuer.Cache }

func (noCache) Set(context.Context, string, []byte, time.Duration) error { return cache.ErrUnavailable }

// noProvider cannot be reached.
type noProvider struct{ alwaysAlice }

func (noProvider) AuthCodeURL(context.Context, upstream.Provider, upstream.Request) (string, error) {
	return "", upstream.ErrUnavailable
}

// TestServerFaultsAreVisible: whatever ends with 500 or more has a line that an
// operator sees who logs no more than warnings, under the id that the caller got.
func TestServerFaultsAreVisible(t *testing.T) {
	t.Parallel()
	const nobody = "tenants:\n  - {name: example, issuer: base, title: Example, domains: [example.test]}\n"
	for name, c := range map[string]struct {
		declared string
		change   func(*server.Deps)
		ask      func(*alone) page
		status   int
	}{
		"panic": {
			declared, func(d *server.Deps) { d.Limiter = panics{} },
			func(a *alone) page { return a.ask(http.MethodPost, https+"/token") }, http.StatusInternalServerError,
		},
		"no identity provider": {
			nobody, nil,
			func(a *alone) page { return a.ask(http.MethodGet, authorizeURL(https, nil)) }, http.StatusServiceUnavailable,
		},
		"cache away": {
			declared, func(d *server.Deps) { d.Issuer.Begun = noCache{} },
			func(a *alone) page { return a.ask(http.MethodGet, authorizeURL(https, nil)) }, http.StatusServiceUnavailable,
		},
		"database away": {
			declared, func(d *server.Deps) { d.Issuer.Store = &askedStore{} },
			func(a *alone) page { return a.ask(http.MethodPost, https+"/token", formBody(refreshForm("spr_x"))) }, http.StatusServiceUnavailable,
		},
		"identity provider away": {
			declared, func(d *server.Deps) { d.Upstream = noProvider{} },
			func(a *alone) page {
				return a.ask(http.MethodGet, upstreamLink(t, a.ask(http.MethodGet, authorizeURL(https, nil))))
			}, http.StatusBadGateway,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			a := newAlone(t, https, c.declared, func(d *server.Deps) {
				d.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
				if c.change != nil {
					c.change(d)
				}
			})
			p := c.ask(a)
			if p.status != c.status {
				t.Fatalf("answered %d, want %d: %s", p.status, c.status, p.body)
			}
			var line object
			if err := json.Unmarshal([]byte(strings.SplitN(log.String(), "\n", 2)[0]), &line); err != nil {
				t.Fatalf("no line: %v, %q", err, log.String())
			}
			if id := p.header.Get("X-Request-Id"); id == "" || line["request_id"] != id {
				t.Errorf("the line %v is not about request %q", line, id)
			}
		})
	}
}
