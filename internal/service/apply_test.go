package service

import (
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/store"
	"signpost/oidc/keys/keystest"
)

func parsed(t *testing.T, declaration string) []directory.Tenant {
	t.Helper()
	tenants, err := directory.Parse("tenants.yaml", []byte(declaration), func(string) (string, bool) { return "", false }, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	return tenants
}

// queried runs a query past the service and returns the first column as text.
func queried(t *testing.T, c Config, query string) (values []string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+databaseFile(c))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var value string
		if err := rows.Scan(&value); err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}

// TestApplyRecordsWhatChanged: in the order of the changes, at the time of the
// injected clock, and nothing of tenants that stayed as they were.
func TestApplyRecordsWhatChanged(t *testing.T) {
	t.Parallel()
	c := Config{BaseURL: "https://id.example.test", DataDir: t.TempDir()}
	at := time.UnixMilli(1_000)
	o := ApplyOptions{Prune: true, Now: func() time.Time { at = at.Add(time.Second); return at }}
	third := strings.NewReplacer("other", "third", "Other", "Third").Replace(other)
	for _, declaration := range []string{kept + other + third, kept + third, whole + third, whole + third} {
		if _, err := Apply(t.Context(), c, parsed(t, declaration), o); err != nil {
			t.Fatal(err)
		}
	}
	got := queried(t, c, `SELECT at || ' ' || tenant || ' ' || rule FROM audit_events WHERE kind = 'applied' ORDER BY id`)
	want := []string{"2000 example declared", "3000 other declared", "4000 third declared", "5000 other removed", "6000 example declared"}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// older makes a database in which the newest migration is missing.
func older(t *testing.T) Config {
	t.Helper()
	c := Config{BaseURL: "https://id.example.test", DataDir: t.TempDir()}
	if _, err := Apply(t.Context(), c, parsed(t, kept), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	queried(t, c, `DROP TABLE app_passwords`)
	queried(t, c, `ALTER TABLE accounts DROP COLUMN ended_before`)
	queried(t, c, `DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`)
	return c
}

// TestOnlyMigrateAndServeMigrate: whoever applies with a new program beside an old
// server does not change the schema under it.
func TestOnlyMigrateAndServeMigrate(t *testing.T) {
	t.Parallel()
	c := older(t)
	before := queried(t, c, `SELECT max(version_id) FROM goose_db_version`)
	for _, dry := range []bool{true, false} {
		_, err := Apply(t.Context(), c, parsed(t, whole), ApplyOptions{DryRun: dry})
		if !errors.Is(err, store.ErrOlder) || !strings.Contains(err.Error(), `run "signpost migrate"`) {
			t.Errorf("apply to an older database, dry %v: %v, want ErrOlder and the command to run", dry, err)
		}
	}
	if err := Check(t.Context(), c, nil); err != nil {
		t.Errorf("Check of an older database, which serve would migrate: %v", err)
	}
	if after := queried(t, c, `SELECT max(version_id) FROM goose_db_version`); !slices.Equal(before, after) {
		t.Errorf("the schema went from %v to %v", before, after)
	}
	if err := Migrate(t.Context(), c); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	if _, err := Apply(t.Context(), c, parsed(t, whole), ApplyOptions{}); err != nil {
		t.Errorf("apply after migrate: %v", err)
	}
	c = older(t)
	s, err := Open(t.Context(), c, slog.New(slog.DiscardHandler), Parts{Generate: keystest.Generator()})
	if err != nil {
		t.Fatalf("open an older database: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := queried(t, c, `SELECT base_url FROM installation`); !slices.Equal(got, []string{c.BaseURL}) {
		t.Errorf("base URL after the first start %q, want %s", got, c.BaseURL)
	}
}

// TestApplyFitsWhatIsServed: the default of the base URL gives way to the one that
// is served; one that was given does not.
func TestApplyFitsWhatIsServed(t *testing.T) {
	t.Parallel()
	c := Config{BaseURL: "https://id.example.test", DataDir: filepath.Join(t.TempDir(), "data")}
	s, err := Open(t.Context(), c, slog.New(slog.DiscardHandler), Parts{Generate: keystest.Generator()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	own := strings.Replace(other, "issuer: path", "issuer: https://id.example.test", 1)
	elsewhere := Config{BaseURL: "http://127.0.0.1:8480", DataDir: c.DataDir}
	for name, test := range map[string]struct {
		assumed     bool
		declaration string
		want        string
	}{
		"default":          {true, kept, ""},
		"default, misfit":  {true, kept + own, "does not fit the base URL https://id.example.test: tenant other"},
		"another, given":   {false, kept, "this installation is served at https://id.example.test, and the base URL given here is http://127.0.0.1:8480"},
		"another, given 2": {false, kept + own, "this installation is served at"},
	} {
		config := elsewhere
		config.baseURLAssumed = test.assumed
		_, err := Apply(t.Context(), config, parsed(t, test.declaration), ApplyOptions{DryRun: true})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
