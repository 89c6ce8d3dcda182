package server_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"signpost/internal/servertest"
)

// BenchmarkR32UniformAnswers compares how long it takes to answer for a person who exists
// and for one who does not: 2 x 20,000 interleaved requests, and the ratio of
// the medians, which rule R32 wants within 2 % of one. It is not a test, because
// machines are noisy: go test -run '^$' -bench R32 -benchtime 1x ./server
func BenchmarkR32UniformAnswers(b *testing.B) {
	s := servertest.Start(b)
	signedIn(b, s.URL, nil) // now alice has an account
	handler := s.Service.Handler
	ask := func(resource string) time.Duration {
		r := httptest.NewRequest(http.MethodGet, "/.well-known/webfinger?resource="+resource, nil)
		w := httptest.NewRecorder()
		start := time.Now()
		handler.ServeHTTP(w, r)
		took := time.Since(start)
		if w.Code != http.StatusOK {
			b.Fatalf("%s: %d", resource, w.Code)
		}
		return took
	}
	const pairs = 20_000
	for b.Loop() {
		var known, unknown, control []time.Duration
		for range pairs {
			known = append(known, ask("acct:alice@example.test"))
			unknown = append(unknown, ask("acct:nobod@example.test")) // as long as alice
			control = append(control, ask("acct:alice@example.test"))
		}
		b.ReportMetric(ratio(unknown, known), "unknown/known")
		b.ReportMetric(ratio(control, known), "known/known")
	}
}

func ratio(a, b []time.Duration) float64 { return float64(median(a)) / float64(median(b)) }

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
