package service

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"signpost/internal/store"
	"signpost/oidc/keys/keystest"
	"signpost/server"
)

// states names the parts that are not well, with their state.
func states(causes []server.Cause) string {
	var list []string
	for _, c := range causes {
		if c.State != server.OK {
			list = append(list, string(c.Part)+" "+string(c.State))
		}
		if c.Text == "" {
			list = append(list, string(c.Part)+" says nothing")
		}
	}
	return strings.Join(list, ", ")
}

// TestReadinessNamesWhatIsAway: what all replicas share makes none of them unready,
// because a load balancer would take out all, and public discovery with them.
func TestReadinessNamesWhatIsAway(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := Config{BaseURL: "https://id.example.test", DataDir: t.TempDir(), RevocationMaxStale: 5 * time.Minute, RequestsPerMinute: 1}
	if _, err := Apply(t.Context(), c, parsed(t, kept), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), c, slog.New(slog.DiscardHandler), Parts{Generate: keystest.Generator(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, step := range []struct {
		name  string
		do    func()
		want  string
		ready int
	}{
		{"at the start", func() {}, "", http.StatusOK},
		{"the database is away", func() { s.looks.badly(now) }, "database degraded", http.StatusOK},
		{"it is away for long", func() { now = now.Add(6 * time.Minute) }, "database degraded, revocations degraded", http.StatusOK},
		{"it is back", func() {
			s.looks.well()
			if err := s.known.Looked(context.WithoutCancel(t.Context()), now, 1); err != nil {
				t.Fatal(err)
			}
		}, "", http.StatusOK},
		{"Redis is away", func() { s.pings.badly(now) }, "cache degraded", http.StatusOK},
		{"a declaration cannot be loaded", func() { s.pings.well(); s.loads.badly(now) }, "facts degraded", http.StatusOK},
		{"it stops", func() { s.loads.well(); s.stopping.Store(true) }, "process failed", http.StatusServiceUnavailable},
	} {
		step.do()
		if got := states(s.Causes()); got != step.want {
			t.Errorf("%s: %q is not well, want %q", step.name, got, step.want)
		}
		answer := httptest.NewRecorder()
		s.Operations.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		if answer.Code != step.ready {
			t.Errorf("%s: /readyz answers %d, want %d", step.name, answer.Code, step.ready)
		}
	}
}

// TestMetricsShowDependencies: one scrape names pool, queue, feed and requests.
func TestMetricsShowDependencies(t *testing.T) {
	t.Parallel()
	c := Config{BaseURL: "https://id.example.test", DataDir: t.TempDir(), RequestsPerMinute: 1}
	s, err := Open(t.Context(), c, slog.New(slog.DiscardHandler), Parts{Generate: keystest.Generator(), Version: "v1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/.well-known/webfinger?resource=acct:a@b.test", nil))
	answer := httptest.NewRecorder()
	s.Operations.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`signpost_build_info{go_version=`, `version="v1.2.3"`, `route="/.well-known/webfinger"`, `signpost_audit_queue_length 0`,
		`signpost_revocations_age_seconds`, `signpost_database_pool_connections{pool="read",state="idle"}`, `go_goroutines`,
	} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
}

// TestBackupWithPostgreSQLNamesTheTool: without asking a server that may be away.
func TestBackupWithPostgreSQLNamesTheTool(t *testing.T) {
	t.Parallel()
	c := Config{DatabaseURL: "postgres://db.example.test/signpost", SecretKey: goodKey}
	if err := Backup(t.Context(), c, "copy"); !errors.Is(err, store.ErrNoBackup) {
		t.Errorf("Backup with PostgreSQL: %v, want ErrNoBackup", err)
	}
}
