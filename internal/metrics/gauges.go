package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The functions that are given here are called at every scrape, by any goroutine:
// they return what is known and ask nothing. Each method is called once; a second
// call is a programming fault and panics.

// AuditQueue shows how many events wait to be written.
func (m *Metrics) AuditQueue(length func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "signpost_audit_queue_length",
		Help: "Audit events that wait to be written.",
	}, func() float64 { return float64(length()) }))
}

// RevocationAge shows for how long nothing has confirmed that every ended grant is
// known; before the first time, since the start.
func (m *Metrics) RevocationAge(age func() time.Duration) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "signpost_revocations_age_seconds",
		Help: "Seconds since it was last confirmed that this process knows every ended grant.",
	}, func() float64 { return age().Seconds() }))
}

// Pool is the state of a pool of database connections, as in database/sql.DBStats.
type Pool struct {
	Max    int // 0 means no limit
	InUse  int
	Idle   int
	Waits  int64         // how often somebody waited for a connection, ever
	Waited time.Duration // for how long, all together
}

// DatabasePool shows a pool of database connections. name tells it from others; each
// name is given once.
func (m *Metrics) DatabasePool(name string, stats func() Pool) {
	is := prometheus.Labels{"pool": name}
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("signpost_database_pool_"+name, help, labels, is)
	}
	m.registry.MustRegister(pool{
		stats:       stats,
		connections: describe("connections", "Connections to the database, by state: in_use or idle.", "state"),
		limit:       describe("max_connections", "Most connections that the pool opens; 0 means no limit."),
		waits:       describe("waits_total", "How often somebody had to wait for a connection."),
		waited:      describe("wait_seconds_total", "For how long somebody waited for a connection, all waits together."),
	})
}

// pool asks once for all of its values, so that they are of one moment.
type pool struct {
	stats                             func() Pool
	connections, limit, waits, waited *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (p pool) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.connections, p.limit, p.waits, p.waited} {
		descriptions <- d
	}
}

// Collect implements prometheus.Collector.
func (p pool) Collect(metrics chan<- prometheus.Metric) {
	s := p.stats()
	metrics <- prometheus.MustNewConstMetric(p.connections, prometheus.GaugeValue, float64(s.InUse), "in_use")
	metrics <- prometheus.MustNewConstMetric(p.connections, prometheus.GaugeValue, float64(s.Idle), "idle")
	metrics <- prometheus.MustNewConstMetric(p.limit, prometheus.GaugeValue, float64(s.Max))
	metrics <- prometheus.MustNewConstMetric(p.waits, prometheus.CounterValue, float64(s.Waits))
	metrics <- prometheus.MustNewConstMetric(p.waited, prometheus.CounterValue, s.Waited.Seconds())
}
