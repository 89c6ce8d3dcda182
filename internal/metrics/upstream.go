package metrics

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// ObservedTransport times requests to identity providers until the head of the
// answer. nil stands for http.DefaultTransport.
func (m *Metrics) ObservedTransport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return observedTransport{next, m}
}

type observedTransport struct {
	next http.RoundTripper
	m    *Metrics
}

// RoundTrip counts an answer of 500 or more as a failure; with less the identity
// provider said what it wanted to say.
func (t observedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	response, err := t.next.RoundTrip(r)
	fault := err
	if err == nil && response.StatusCode >= http.StatusInternalServerError {
		fault = fmt.Errorf("answered %d", response.StatusCode)
	}
	t.m.Call(r.Context(), Upstream, endpoint(r), start, fault)
	return response, err
}

// endpoint tells what is asked by how it is asked: identity providers choose their
// own paths, except that of discovery.
func endpoint(r *http.Request) string {
	switch {
	case r.Method == http.MethodPost:
		return "token"
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		return "discovery"
	case r.Header.Get("Authorization") != "":
		return "userinfo"
	}
	return "keys"
}
