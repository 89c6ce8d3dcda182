package metrics_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/metrics"
)

var update = flag.Bool("update", false, "write the table of docs/guides/monitoring.md anew")

const (
	tableHead = "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n"
	tableEnd  = "\n<!-- End of the table. -->"
)

// described is one metric as a scrape describes it.
type described struct {
	name, kind, help string
	labels           []string
}

var (
	helpLine = regexp.MustCompile(`(?m)^# HELP (signpost_\w+) (.*)\n# TYPE \w+ (\w+)$`)
	label    = regexp.MustCompile(`(\w+)="`)
)

// all returns every metric of our own, in the order of their names.
func all(t testing.TB) (list []described) {
	t.Helper()
	text := exposition(t, measured(t.Context()))
	for _, m := range helpLine.FindAllStringSubmatch(text, -1) {
		d := described{name: m[1], help: m[2], kind: m[3]}
		sample := regexp.MustCompile(`(?m)^` + d.name + `(?:_count)?(?:\{(.*)\})? `).FindStringSubmatch(text)
		if sample == nil {
			t.Fatalf("%s has no sample:\n%s", d.name, text)
		}
		for _, l := range label.FindAllStringSubmatch(sample[1], -1) {
			d.labels = append(d.labels, "`"+l[1]+"`")
		}
		list = append(list, d)
	}
	return list
}

// measured has a sample of everything.
func measured(ctx context.Context) *metrics.Metrics {
	m := metrics.New("")
	m.RequestBegan()
	m.RequestEnded("", http.MethodGet, http.StatusOK, 0)
	m.Call(ctx, metrics.Cache, "get", time.Now(), nil)
	m.Lookup("codes", metrics.Hit)
	_ = m.ObservedLog(log{}).Record(ctx, tokenEvent)
	m.AuditQueue(func() int { return 0 })
	m.RevocationAge(func() time.Duration { return 0 })
	m.DatabasePool("read", func() metrics.Pool { return metrics.Pool{} })
	return m
}

// TestGuideDescribesEveryMetric: the table of the guide is made from the metrics.
func TestGuideDescribesEveryMetric(t *testing.T) {
	t.Parallel()
	name := filepath.Join("..", "..", "docs", "guides", "monitoring.md")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableHead)
	got, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s has no table of metrics", name)
	}
	want := table(all(t))
	if *update {
		if err := os.WriteFile(name, []byte(before+tableHead+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		got = want
	}
	if got != want {
		t.Errorf("%s has not the table of the metrics; run: go test ./internal/metrics -update\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

func table(list []described) string {
	var b strings.Builder
	for _, d := range list {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.name, d.kind, strings.Join(d.labels, ", "), d.help)
	}
	return b.String()
}

// TestGuideNamesNoOther: queries and alerts of the guide ask for metrics and labels
// that exist.
func TestGuideNamesNoOther(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "guides", "monitoring.md"))
	if err != nil {
		t.Fatal(err)
	}
	if unknown := strangeNames(string(text), all(t)); len(unknown) != 0 {
		t.Errorf("the guide asks for %v, which is not measured", unknown)
	}
	for _, planted := range []string{
		"signpost_http_requests_total", `signpost_audit_queue_length{kind="token"}`, "signpost_audit_queue_length_bucket",
		`signpost_http_request_duration_seconds_count{code="5xx"}`,
	} {
		if len(strangeNames("rate("+planted+"[5m])", all(t))) == 0 {
			t.Errorf("nobody notices that there is no %s", planted)
		}
	}
}

var query = regexp.MustCompile(`(signpost_\w+)(?:\{([^}]*)\})?`)

// strangeNames returns the metrics that a text names and that do not exist, or not with
// its labels.
func strangeNames(text string, list []described) (unknown []string) {
	for _, q := range query.FindAllStringSubmatch(text, -1) {
		i := slices.IndexFunc(list, func(d described) bool { return slices.Contains(d.samples(), q[1]) })
		if i < 0 {
			unknown = append(unknown, q[0])
			continue
		}
		for _, l := range label.FindAllStringSubmatch(q[2], -1) {
			if !slices.Contains(list[i].labels, "`"+l[1]+"`") {
				unknown = append(unknown, q[0])
			}
		}
	}
	return unknown
}

// samples are the names under which a query finds the metric.
func (d described) samples() []string {
	if d.kind == "histogram" {
		return []string{d.name, d.name + "_bucket", d.name + "_count", d.name + "_sum"}
	}
	return []string{d.name}
}

// TestNamesFollowTheConventions: a unit or what is counted at the end, and _total only
// on counters (https://prometheus.io/docs/practices/naming/).
func TestNamesFollowTheConventions(t *testing.T) {
	t.Parallel()
	for _, d := range all(t) {
		if strings.HasSuffix(d.name, "_total") != (d.kind == "counter") {
			t.Errorf("%s is a %s", d.name, d.kind)
		}
		if d.kind == "histogram" && !strings.HasSuffix(d.name, "_seconds") {
			t.Errorf("%s does not name its unit", d.name)
		}
		if !strings.HasSuffix(d.help, ".") {
			t.Errorf("%s: %q is not a sentence", d.name, d.help)
		}
	}
}
