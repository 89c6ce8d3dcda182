// Package metrics counts and times what the service does, for Prometheus, which is
// known here and nowhere else. What is measured does not know that it is: decorators
// stand around the audit log, the cache, the store and the transport to identity
// providers, and everything else reports through small methods with plain types.
//
// No label holds what a stranger chose, a path, a tenant or a person: labels are
// route templates and words of our own, so that their number has a bound.
package metrics

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapes is how many may be answered at once; one Prometheus needs one.
const scrapes = 3

// buckets of every duration, in seconds: discovery answers within the first, a
// sign-in waits for an identity provider until the last.
func buckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
}

// Metrics is everything that one process measures. Its methods are safe for use by
// many goroutines.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	inFlight prometheus.Gauge
	calls    *prometheus.HistogramVec
	lookups  *prometheus.CounterVec
	events   *prometheus.CounterVec
}

// New makes the metrics of a process that runs this version of Signpost. Their
// registry is their own: two of them do not meet.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "signpost_http_request_duration_seconds",
			Help:    "How long requests took, by route template, method and class of status.",
			Buckets: buckets(),
		}, []string{"route", "method", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "signpost_http_requests_in_flight",
			Help: "Requests that are being answered now.",
		}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "signpost_dependency_duration_seconds",
			Help:    "How long calls of the database, the cache and identity providers took, by operation and outcome.",
			Buckets: buckets(),
		}, []string{"dependency", "operation", "outcome"}),
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_cache_lookups_total",
			Help: "Look-ups in caches, by cache and result.",
		}, []string{"cache", "result"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_audit_events_total",
			Help: "Events that the audit log took, by kind, rule and outcome. The rule of a token begins with the way in which it was asked for.",
		}, []string{"kind", "rule", "outcome"}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "signpost_build_info",
		Help: "Always 1; the labels say what runs.",
	}, []string{"version", "go_version"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(
		m.requests, m.inFlight, m.calls, m.lookups, m.events, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler answers a scrape. What cannot be collected costs its own lines, not the others.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapes,
	})
}

// RequestBegan counts a request that is being answered. RequestEnded must follow.
func (m *Metrics) RequestBegan() { m.inFlight.Inc() }

// RequestEnded times a request that was answered. route is the template that
// matched, "" if none did.
func (m *Metrics) RequestEnded(route, method string, status int, took time.Duration) {
	m.inFlight.Dec()
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, known(method), class(status)).Observe(took.Seconds())
}

// known is the method if it is one of those that a route may have: a client may
// send any word as a method.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

func class(status int) string {
	switch status / 100 {
	case 1:
		return "1xx"
	case 2:
		return "2xx"
	case 3:
		return "3xx"
	case 4:
		return "4xx"
	}
	return "5xx"
}
