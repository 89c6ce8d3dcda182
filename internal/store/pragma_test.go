package store

import (
	"database/sql"
	"path/filepath"
	"testing"
)

// TestSQLitePragmas looks at what cannot be seen from outside until the power
// fails or a statement is wrong.
func TestSQLitePragmas(t *testing.T) {
	t.Parallel()
	s, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signpost.db"), nil)
	if err != nil {
		t.Fatalf("OpenSQLite: %v", err)
	}
	defer s.Close()
	for _, test := range []struct {
		pool   *sql.DB
		pragma string
		want   string
	}{
		{s.write, "synchronous", "2"},
		{s.write, "foreign_keys", "1"},
		{s.write, "journal_mode", "wal"},
		{s.write, "busy_timeout", "5000"},
		{s.write, "query_only", "0"},
		{s.write, "temp_store", "2"},
		{s.read, "query_only", "1"},
	} {
		var got string
		if err := test.pool.QueryRowContext(t.Context(), "PRAGMA "+test.pragma).Scan(&got); err != nil || got != test.want {
			t.Errorf("PRAGMA %s = %q, %v, want %q", test.pragma, got, err, test.want)
		}
	}
}
