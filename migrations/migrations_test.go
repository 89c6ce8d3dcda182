package migrations_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"signpost/migrations"
)

func TestFSNumbersFilesWithoutGaps(t *testing.T) {
	t.Parallel()
	fsys, err := migrations.FS("sqlite")
	if err != nil {
		t.Fatalf("FS(sqlite): %v", err)
	}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		t.Fatalf("read the migrations: %v", err)
	}
	if len(entries) == 0 {
		t.Fatal("there are no migrations")
	}
	for i, entry := range entries {
		if want := fmt.Sprintf("%05d_", i+1); !strings.HasPrefix(entry.Name(), want) {
			t.Errorf("file %d is %q, want a name that starts with %q", i+1, entry.Name(), want)
		}
		text, err := fs.ReadFile(fsys, entry.Name())
		if err != nil {
			t.Fatalf("read %s: %v", entry.Name(), err)
		}
		if n := strings.Count(string(text), "-- +goose Up"); n != 1 {
			t.Errorf("%s has %d times %q, want once", entry.Name(), n, "-- +goose Up")
		}
		if strings.Contains(string(text), "-- +goose Down") {
			t.Errorf("%s has a way down; migrations are forward-only", entry.Name())
		}
	}
}

func TestFSRefusesOtherEngines(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"", ".", "mysql", "sqlite/..", "SQLite"} {
		if _, err := migrations.FS(dialect); err == nil {
			t.Errorf("FS(%q) = no error, want one", dialect)
		}
	}
}
