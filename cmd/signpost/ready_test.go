package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestReadyPrintsCauses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		code   int
		want   string
	}{
		"ready": {200, `{"ready":true,"causes":[{"part":"cache","state":"ok","text":"answers"}]}`, 0, "ready\n"},
		"ready with less": {200, `{"ready":true,"causes":[{"part":"cache","state":"degraded","since":"2026-03-01T10:00:00+01:00","text":"does not answer"}]}`, 0,
			"cache: degraded since 2026-03-01T09:00:00Z: does not answer\nready\n"},
		"not ready": {503, `{"ready":false,"causes":[{"part":"database","state":"degraded","since":"2026-03-01T09:00:00Z","text":"does not answer"},{"part":"process","state":"failed","text":"was told to stop"}]}`, 1,
			"database: degraded since 2026-03-01T09:00:00Z: does not answer\nprocess: failed: was told to stop\nnot ready\n"},
		"ready in words alone": {503, `{"ready":true,"causes":[]}`, 1, "not ready\n"},
		"a page":               {200, `<p>welcome</p>`, 1, ""},
		"another service":      {404, `{"ready":true}`, 1, ""},
		"an endless answer":    {200, `{"causes":"` + string(make([]byte, 2*maxReadiness)), 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body) // who asks may stop reading
			}))
			defer server.Close()
			var out, errs bytes.Buffer
			code := run(t.Context(), []string{"ready", "--url", server.URL}, nil, nil, &out, &errs)
			if code != c.code || out.String() != c.want {
				t.Errorf("signpost ready, answered %d %.60s: exit code %d and %q, want %d and %q\n%s", c.status, c.body, code, &out, c.code, c.want, &errs)
			}
		})
	}
}

func TestReadyURL(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"":                "http://127.0.0.1:9480/readyz",
		":9000":           "http://127.0.0.1:9000/readyz",
		"0.0.0.0:9000":    "http://127.0.0.1:9000/readyz",
		"[::]:9000":       "http://[::1]:9000/readyz",
		"10.0.0.7:9480":   "http://10.0.0.7:9480/readyz",
		"[2001:db8::1]:9": "http://[2001:db8::1]:9/readyz",
	} {
		if got := readyURL(listen); got != want {
			t.Errorf("readyURL(%q) = %q, want %q", listen, got, want)
		}
	}
}
