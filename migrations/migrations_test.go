package migrations_test

import (
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"signpost/migrations"
)

var engines = []string{"postgres", "sqlite"}

// read returns the migrations of an engine by their names.
func read(t *testing.T, engine string) map[string]string {
	t.Helper()
	fsys, err := migrations.FS(engine)
	if err != nil {
		t.Fatalf("FS(%s): %v", engine, err)
	}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		t.Fatalf("read the migrations of %s: %v", engine, err)
	}
	files := make(map[string]string)
	for _, entry := range entries {
		text, err := fs.ReadFile(fsys, entry.Name())
		if err != nil {
			t.Fatalf("read %s: %v", entry.Name(), err)
		}
		files[entry.Name()] = string(text)
	}
	return files
}

func TestFSNumbersFilesWithoutGaps(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		files := read(t, engine)
		if len(files) == 0 {
			t.Errorf("%s has no migrations", engine)
		}
		for i, name := range slices.Sorted(maps.Keys(files)) {
			if want := fmt.Sprintf("%05d_", i+1); !strings.HasPrefix(name, want) {
				t.Errorf("file %d of %s is %q, want a name that starts with %q", i+1, engine, name, want)
			}
			if n := strings.Count(files[name], "-- +goose Up"); n != 1 {
				t.Errorf("%s/%s has %d times %q, want once", engine, name, n, "-- +goose Up")
			}
			if strings.Contains(files[name], "-- +goose Down") {
				t.Errorf("%s/%s has a way down; migrations are forward-only", engine, name)
			}
		}
	}
}

func TestFSRefusesOtherEngines(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"", ".", "mysql", "sqlite/..", "SQLite", "postgresql"} {
		if _, err := migrations.FS(dialect); err == nil {
			t.Errorf("FS(%q) = no error, want one", dialect)
		}
	}
}

// onlyHere is what one engine has and the other does without, each for a reason.
var onlyHere = map[string][]string{
	"postgres": {
		"FUNCTION audit_events_refuse", // a trigger of SQLite has its statement in itself
		"FUNCTION audit_events_refuse_young",
		"FUNCTION audit_retention_refuse",
		"TRIGGER audit_events_no_truncate", // SQLite has no TRUNCATE
	},
	"sqlite": {
		"CONSTRAINT services_in_broad_check", // PostgreSQL has booleans
		"CONSTRAINT services_insecure_check",
		"CONSTRAINT scopes_broad_check",
		"CONSTRAINT fixed_clients_dpop_bound_check",
		"CONSTRAINT signing_keys_compromised_check",
		"CONSTRAINT services_app_passwords_check",
		"CONSTRAINT services_unexpiring_tokens_check",
		"TRIGGER audit_events_no_replace", // PostgreSQL has no REPLACE, and gives out the ids itself
	},
}

var (
	comment = regexp.MustCompile(`--[^\n]*`)
	table   = regexp.MustCompile(`(?s)CREATE TABLE (\w+) \(\n(.*?)\n\)[^\n]*;`)
	column  = regexp.MustCompile(`(?m)^    ([a-z_]+) +(?:TEXT|INTEGER|BIGINT|BLOB|BYTEA|BOOLEAN)\b(.*)$`)
	added   = regexp.MustCompile(`ALTER TABLE (\w+) ADD COLUMN (\w+)`)
	// named is a constraint, an index, a trigger or a function, with its table or columns.
	named = regexp.MustCompile(`(CONSTRAINT|INDEX|TRIGGER|FUNCTION) (\w+)`)
	keys  = regexp.MustCompile(`(?:PRIMARY KEY|UNIQUE|FOREIGN KEY|INDEX \w+ ON)[^\n]*`)
)

// parts says what a migration makes, one line each: columns with whether they may be
// null, keys and indexes word for word, and the names of all else.
func parts(text string) []string {
	text = comment.ReplaceAllString(text, "")
	var found []string
	for _, t := range table.FindAllStringSubmatch(text, -1) {
		found = append(found, "TABLE "+t[1])
		for _, c := range column.FindAllStringSubmatch(t[2], -1) {
			found = append(found, fmt.Sprintf("COLUMN %s.%s, may be null: %v", t[1], c[1],
				!strings.Contains(c[2], "NOT NULL") && !strings.Contains(c[2], "IDENTITY")))
		}
	}
	for _, a := range added.FindAllStringSubmatch(text, -1) {
		found = append(found, "COLUMN "+a[1]+"."+a[2]+" added")
	}
	for _, n := range named.FindAllStringSubmatch(text, -1) {
		found = append(found, n[1]+" "+n[2])
	}
	for _, key := range keys.FindAllString(text, -1) {
		found = append(found, strings.TrimSuffix(key, ","))
	}
	return found
}

// TestEnginesAreTwins: a version means the same on every engine.
func TestEnginesAreTwins(t *testing.T) {
	t.Parallel()
	postgres, sqlite := read(t, "postgres"), read(t, "sqlite")
	names := slices.Sorted(maps.Keys(sqlite))
	if got := slices.Sorted(maps.Keys(postgres)); !slices.Equal(got, names) {
		t.Fatalf("postgres has %q, sqlite has %q, want the same", got, names)
	}
	total := 0
	for _, name := range names {
		made := map[string][]string{"postgres": parts(postgres[name]), "sqlite": parts(sqlite[name])}
		total += len(made["sqlite"])
		for here, there := range map[string]string{"postgres": "sqlite", "sqlite": "postgres"} {
			for _, part := range made[here] {
				if !slices.Contains(made[there], part) && !slices.Contains(onlyHere[here], part) {
					t.Errorf("%s: %s has %q and %s has not", name, here, part, there)
				}
			}
		}
	}
	if total < 150 {
		t.Errorf("only %d parts were compared: are the files read as they are written?", total)
	}
}

func TestPostgresUsesItsOwnTypes(t *testing.T) {
	t.Parallel()
	foreign := regexp.MustCompile(`\b(INTEGER|BLOB|STRICT|REAL|SERIAL|VARCHAR|JSONB?|TIMESTAMP)\b`)
	for name, text := range read(t, "postgres") {
		if found := foreign.FindString(comment.ReplaceAllString(text, "")); found != "" {
			t.Errorf("%s has %s; moments are BIGINT, lists TEXT and bytes BYTEA", name, found)
		}
	}
}
