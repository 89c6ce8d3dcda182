package store_test

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"signpost/directory"
	"signpost/internal/store"
	"signpost/test/backends"
)

var update = flag.Bool("update", false, "write the schema to testdata instead of comparing it")

// database is a new and empty database.
type database struct {
	open func(t *testing.T) *store.Store
	past *sql.DB // the database past the store
	blob string  // how bytes are written, with %x for them
}

// bytes returns a text as bytes in a statement.
func (d database) bytes(text string) string { return fmt.Sprintf(d.blob, text) }

func (d database) exec(t *testing.T, statement string) {
	t.Helper()
	if _, err := d.past.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// onEach runs a test on each engine.
func onEach(t *testing.T, run func(t *testing.T, d database)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "signpost.db")
		run(t, database{open: func(t *testing.T) *store.Store { return openSQLite(t, path) }, past: plain(t, path), blob: "x'%x'"})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		url := backends.Postgres(t)
		run(t, database{open: func(t *testing.T) *store.Store { return openPostgres(t, url) }, past: plainPostgres(t, url), blob: `'\x%x'::bytea`})
	})
}

func TestMigrateTwice(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s := d.open(t)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatalf("Migrate: %v", err)
		}
		if _, err := s.SaveTenants(t.Context(), 0, []directory.Tenant{{Name: "example", Placement: directory.PlacementBase}}, nil); err != nil {
			t.Fatalf("SaveTenants: %v", err)
		}
		for _, again := range []*store.Store{s, d.open(t)} {
			if err := again.Migrate(t.Context()); err != nil {
				t.Errorf("Migrate again: %v", err)
			}
			if err := again.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
		}
		if tenants, revision, err := s.Tenants(t.Context()); err != nil || len(tenants) != 1 || revision != 1 {
			t.Errorf("Tenants = %d tenants at %d, %v, want one at 1", len(tenants), revision, err)
		}
	})
}

func TestCheckOlder(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s := d.open(t)
		if empty, err := s.Empty(t.Context()); !empty || err != nil {
			t.Errorf("Empty before the first migration = %v, %v, want true", empty, err)
		}
		err := s.Check(t.Context())
		if !errors.Is(err, store.ErrOlder) || !strings.Contains(err.Error(), `run "signpost migrate"`) {
			t.Errorf("Check of an empty database = %v, want ErrOlder and the command to run", err)
		}
		if empty, err := s.Empty(t.Context()); !empty || err != nil {
			t.Errorf("Empty after Check = %v, %v, want true", empty, err)
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatalf("Migrate: %v", err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("Check after Migrate = %v, want nil", err)
		}
		if empty, err := s.Empty(t.Context()); empty || err != nil {
			t.Errorf("Empty after Migrate = %v, %v, want false", empty, err)
		}
	})
}

func TestCheckNewer(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s := d.open(t)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatalf("Migrate: %v", err)
		}
		d.exec(t, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)
		for name, check := range map[string]error{"Check": s.Check(t.Context()), "Migrate": s.Migrate(t.Context())} {
			if !errors.Is(check, store.ErrNewer) || !strings.Contains(check.Error(), `run "signpost migrate"`) {
				t.Errorf("%s of a newer database = %v, want ErrNewer and the command to run", name, check)
			}
		}
	})
}

// TestMigrateReportsAFailure has a table in the way of a migration.
func TestMigrateReportsAFailure(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s := d.open(t)
		d.exec(t, `CREATE TABLE accounts (name TEXT)`)
		if err := s.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "accounts") {
			t.Errorf("Migrate over a foreign table = %v, want an error that names it", err)
		}
		if err := s.Check(t.Context()); !errors.Is(err, store.ErrOlder) {
			t.Errorf("Check after a failed migration = %v, want ErrOlder", err)
		}
		d.exec(t, `DROP TABLE accounts`)
		if err := s.Migrate(t.Context()); err != nil {
			t.Errorf("Migrate after the cause was removed: %v", err)
		}
	})
}

// TestManyProcessesStartAtOnce opens and migrates one database eight times at once.
func TestManyProcessesStartAtOnce(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(t *testing.T, d database){
		"nothing yet": func(*testing.T, database) {},
		// With the table of versions there already, they meet in the migrations.
		"no schema yet": func(t *testing.T, d database) {
			if err := d.open(t).Check(t.Context()); !errors.Is(err, store.ErrOlder) {
				t.Fatalf("Check = %v, want ErrOlder", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, d database) {
				before(t, d)
				var all sync.WaitGroup
				for range 8 {
					all.Go(func() {
						if err := d.open(t).Migrate(t.Context()); err != nil {
							t.Errorf("Migrate: %v", err)
						}
					})
				}
				all.Wait()
				if err := d.open(t).Check(t.Context()); err != nil {
					t.Errorf("Check = %v, want nil", err)
				}
			})
		})
	}
}

// schema is everything that the migrations made, as SQL.
func schema(t *testing.T, path string) string {
	t.Helper()
	statements := rows(t, path, `SELECT sql FROM sqlite_schema
		WHERE sql IS NOT NULL AND tbl_name NOT LIKE 'goose%' AND tbl_name NOT LIKE 'sqlite%' ORDER BY tbl_name, name`)
	return strings.Join(statements, ";\n\n") + ";\n"
}

func TestSchemaIsTheExpectedOne(t *testing.T) {
	t.Parallel()
	_, path := migrated(t)
	got := schema(t, path)
	const file = "testdata/schema.sqlite.sql"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatalf("write %s: %v", file, err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
	if got != string(want) {
		t.Errorf("the migrations make\n%s\nwant what is in %s; if the change is meant, run go test ./internal/store -update", got, file)
	}
}

func TestSchemaNamesEveryConstraint(t *testing.T) {
	t.Parallel()
	_, path := migrated(t)
	kinds := regexp.MustCompile(`\b(PRIMARY KEY|UNIQUE|CHECK|FOREIGN KEY|REFERENCES)\b`)
	named := regexp.MustCompile(`^\s*CONSTRAINT [a-z_]+_(pkey|key|check|fkey) `)
	for line := range strings.Lines(schema(t, path)) {
		code, _, _ := strings.Cut(line, "--")
		if kinds.MatchString(code) && !named.MatchString(code) && !strings.HasPrefix(code, "CREATE UNIQUE INDEX ") {
			t.Errorf("a constraint has no name: %q", line)
		}
	}
	for _, name := range rows(t, path, `SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`) {
		if !strings.HasSuffix(name, "_idx") && !strings.HasSuffix(name, "_key") {
			t.Errorf("the index %q does not end in _idx or _key", name)
		}
	}
}

func TestSchemaIsStrict(t *testing.T) {
	t.Parallel()
	_, path := migrated(t)
	loose := rows(t, path, `SELECT name FROM pragma_table_list
		WHERE schema = 'main' AND type = 'table' AND strict = 0 AND name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%'`)
	if len(loose) != 0 {
		t.Errorf("these tables take values of any type: %q, want STRICT", loose)
	}
}

// TestSchemaIndexesForeignKeys keeps the removal of a tenant or an account from
// reading whole tables.
func TestSchemaIndexesForeignKeys(t *testing.T) {
	t.Parallel()
	_, path := migrated(t)
	slow := rows(t, path, `
		SELECT tables.name, keys.id FROM sqlite_schema AS tables, pragma_foreign_key_list(tables.name) AS keys
		WHERE tables.type = 'table' AND keys.seq = 0 AND NOT EXISTS (
			SELECT 1 FROM pragma_index_list(tables.name) AS indexes
			WHERE NOT EXISTS (
				SELECT 1 FROM pragma_foreign_key_list(tables.name) AS parts
				WHERE parts.id = keys.id AND parts."from" NOT IN (
					SELECT columns.name FROM pragma_index_info(indexes.name) AS columns
					WHERE columns.seqno < (SELECT count(*) FROM pragma_foreign_key_list(tables.name) AS all_parts WHERE all_parts.id = keys.id))))`)
	if len(slow) != 0 {
		t.Errorf("no index starts with the columns of these foreign keys: %q", slow)
	}
	if broken := rows(t, path, `PRAGMA foreign_key_check`); len(broken) != 0 {
		t.Errorf("foreign keys are broken: %q", broken)
	}
}
