package metrics_test

import (
	"bufio"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/metrics"
)

var errAway = errors.New("away")

// scrape returns the samples, as "name{labels}" and value.
func scrape(t testing.TB, m *metrics.Metrics) map[string]string {
	t.Helper()
	samples := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(exposition(t, m)))
	for lines.Scan() {
		if at := strings.LastIndexByte(lines.Text(), ' '); at > 0 && !strings.HasPrefix(lines.Text(), "#") {
			samples[lines.Text()[:at]] = lines.Text()[at+1:]
		}
	}
	return samples
}

func exposition(t testing.TB, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// expect compares samples; one that is absent is "".
func expect(t testing.TB, m *metrics.Metrics, want map[string]string) {
	t.Helper()
	got := scrape(t, m)
	for _, sample := range slices.Sorted(maps.Keys(want)) {
		if got[sample] != want[sample] {
			t.Errorf("%s: got %q, want %q", sample, got[sample], want[sample])
		}
	}
}

// series counts the samples whose name begins so.
func series(t testing.TB, m *metrics.Metrics, prefix string) (n int) {
	t.Helper()
	for sample := range scrape(t, m) {
		if strings.HasPrefix(sample, prefix) {
			n++
		}
	}
	return n
}

func TestRequests(t *testing.T) {
	t.Parallel()
	m := metrics.New("1.2.3")
	for range 3 {
		m.RequestBegan()
	}
	m.RequestEnded("/t/:tenant/token", http.MethodPost, 401, 30*time.Millisecond)
	m.RequestEnded("", http.MethodGet, 404, time.Second)
	expect(t, m, map[string]string{
		"signpost_http_requests_in_flight": "1",
		`signpost_http_request_duration_seconds_count{method="POST",route="/t/:tenant/token",status="4xx"}`:             "1",
		`signpost_http_request_duration_seconds_bucket{method="POST",route="/t/:tenant/token",status="4xx",le="0.025"}`: "0",
		`signpost_http_request_duration_seconds_bucket{method="POST",route="/t/:tenant/token",status="4xx",le="0.05"}`:  "1",
		`signpost_http_request_duration_seconds_count{method="GET",route="none",status="4xx"}`:                          "1",
		`signpost_http_request_duration_seconds_sum{method="GET",route="none",status="4xx"}`:                            "1",
	})
}

// TestStrangersMakeNoSeries: whatever a client sends, the number of series has a bound.
func TestStrangersMakeNoSeries(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	for _, method := range []string{"BREW", "get", "alice@example.test", "", "X1", "X2"} {
		for status := range 1000 {
			m.RequestBegan()
			m.RequestEnded("", method, status, time.Millisecond)
		}
	}
	if got := series(t, m, "signpost_http_request_duration_seconds_count"); got != 5 {
		t.Errorf("%d series, want one for each class of status", got)
	}
	if text := exposition(t, m); strings.Contains(text, "alice") || strings.Contains(text, "BREW") {
		t.Error("a word of a stranger is in the metrics")
	}
}

// TestCountingARequestAllocatesNothing: discovery is answered from bytes that are
// ready, and counting it shall cost no more.
//
//nolint:paralleltest // allocations of tests that run at the same time would be counted
func TestCountingARequestAllocatesNothing(t *testing.T) {
	m := metrics.New("")
	if n := testing.AllocsPerRun(100, func() {
		m.RequestBegan()
		m.RequestEnded("/.well-known/webfinger", http.MethodGet, 200, time.Microsecond)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestBuildInfo(t *testing.T) {
	t.Parallel()
	m := metrics.New("1.2.3")
	if series(t, m, `signpost_build_info{go_version="go1.`) != 1 || !strings.Contains(exposition(t, m), `version="1.2.3"} 1`) {
		t.Errorf("no build info:\n%s", exposition(t, m))
	}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if series(t, m, name) == 0 {
			t.Errorf("no %s", name)
		}
	}
}

// TestRegistriesAreApart: two services in one process do not add up.
func TestRegistriesAreApart(t *testing.T) {
	t.Parallel()
	a, b := metrics.New(""), metrics.New("")
	a.RequestBegan()
	expect(t, a, map[string]string{"signpost_http_requests_in_flight": "1"})
	expect(t, b, map[string]string{"signpost_http_requests_in_flight": "0"})
}

func TestGauges(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	waiting, age := 7, 3*time.Second
	m.AuditQueue(func() int { return waiting })
	m.RevocationAge(func() time.Duration { return age })
	m.DatabasePool("read", func() metrics.Pool {
		return metrics.Pool{Max: 10, InUse: 3, Idle: 2, Waits: 5, Waited: 1500 * time.Millisecond}
	})
	m.DatabasePool("write", func() metrics.Pool { return metrics.Pool{Max: 1} })
	expect(t, m, map[string]string{
		"signpost_audit_queue_length":                                    "7",
		"signpost_revocations_age_seconds":                               "3",
		`signpost_database_pool_connections{pool="read",state="in_use"}`: "3",
		`signpost_database_pool_connections{pool="read",state="idle"}`:   "2",
		`signpost_database_pool_max_connections{pool="read"}`:            "10",
		`signpost_database_pool_max_connections{pool="write"}`:           "1",
		`signpost_database_pool_waits_total{pool="read"}`:                "5",
		`signpost_database_pool_wait_seconds_total{pool="read"}`:         "1.5",
	})
	waiting, age = 0, time.Minute
	expect(t, m, map[string]string{"signpost_audit_queue_length": "0", "signpost_revocations_age_seconds": "60"})
}

// TestAPoolThatFailsCostsOnlyItself: the rest of the scrape is still answered.
func TestAPoolThatFailsCostsOnlyItself(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	m.DatabasePool("read", func() metrics.Pool { panic("fault") })
	expect(t, m, map[string]string{
		`signpost_database_pool_max_connections{pool="read"}`: "",
		"signpost_http_requests_in_flight":                    "0",
	})
}
