package store_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/store"
	"signpost/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Store {
		path := filepath.Join(t.TempDir(), "signpost.db")
		s := openSQLite(t, path)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatalf("Migrate: %v", err)
		}
		return storetest.Store{
			Engine: s,
			OnRing: func(f func()) { s.OnRing = f },
			Again:  func(t *testing.T) storetest.Engine { return openSQLite(t, path) },
			Rows:   func(t *testing.T, query string) []string { return rows(t, path, query) },
		}
	})
}

// sealer seals with a key that everybody knows: the tests ask whether the store
// seals, not how well.
type sealer struct{ aead cipher.AEAD }

func newSealer(t *testing.T) sealer {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatalf("make a cipher: %v", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatalf("make a sealer: %v", err)
	}
	return sealer{aead}
}

func (s sealer) Seal(purpose string, plaintext, associated []byte) ([]byte, error) {
	return s.aead.Seal(nil, nil, plaintext, append([]byte(purpose+"|"), associated...)), nil
}

func (s sealer) Open(purpose string, sealed, associated []byte) ([]byte, error) {
	return s.aead.Open(nil, nil, sealed, append([]byte(purpose+"|"), associated...))
}

func openSQLite(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.OpenSQLite(t.Context(), path, newSealer(t))
	if err != nil {
		t.Fatalf("OpenSQLite: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// migrated returns a store with the whole schema and the path of its file.
func migrated(t *testing.T) (*store.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signpost.db")
	s := openSQLite(t, path)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	return s, path
}

// plain opens the file past the store.
func plain(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatalf("open the file: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the file: %v", err)
		}
	})
	return db
}

func exec(t *testing.T, path, statement string) {
	t.Helper()
	if _, err := plain(t, path).ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func rows(t *testing.T, path, query string) []string {
	t.Helper()
	return texts(t, plain(t, path), query)
}

// texts returns each row as text, its columns joined by "|", null as "NULL".
func texts(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	found, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	var all []string
	for found.Next() {
		values := make([]sql.NullString, len(columns))
		fields := make([]any, len(columns))
		for i := range values {
			fields[i] = &values[i]
		}
		if err := found.Scan(fields...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = v.String
			if !v.Valid {
				row[i] = "NULL"
			}
		}
		all = append(all, strings.Join(row, "|"))
	}
	if err := found.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return all
}

// filesOf returns the names of the files of the database.
func filesOf(t *testing.T, path string) []string {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatalf("list the files: %v", err)
	}
	if len(names) != 3 {
		t.Fatalf("the open database has the files %q, want the file, -wal and -shm", names)
	}
	return names
}

func mustBePrivate(t *testing.T, path string) {
	t.Helper()
	for _, name := range filesOf(t, path) {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatalf("look at %s: %v", name, err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, got)
		}
	}
}

func TestSQLiteFilesArePrivate(t *testing.T) {
	t.Parallel()
	_, path := migrated(t)
	mustBePrivate(t, path)
	for _, name := range filesOf(t, path) {
		if err := os.Chmod(name, 0o644); err != nil {
			t.Fatalf("open %s to everybody: %v", name, err)
		}
	}
	openSQLite(t, path)
	mustBePrivate(t, path)
}

func TestSQLiteSecretsAreNotInTheFiles(t *testing.T) {
	t.Parallel()
	s, path := migrated(t)
	const secret, title = "correct horse battery staple", "an open title to search for"
	_, err := s.SaveTenants(t.Context(), 0, []directory.Tenant{{
		Name: "example", Placement: directory.PlacementBase, Title: title,
		IdentityProviders: []directory.IdentityProvider{
			{Name: "staff", Issuer: "https://login.example.com", ClientSecret: secret},
			{Name: "guests", Issuer: "https://guests.example.com", ClientSecret: "another secret"},
		},
	}}, nil)
	if err != nil {
		t.Fatalf("SaveTenants: %v", err)
	}
	found := false
	for _, name := range filesOf(t, path) {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatalf("read %s: %v", name, err)
		}
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("%s shows the client secret", name)
		}
		found = found || bytes.Contains(content, []byte(title))
	}
	if !found {
		t.Error("the search does not find what is not sealed either")
	}

	// A sealed secret is bound to its row: in another one it does not open.
	exec(t, path, `UPDATE identity_providers SET client_secret =
		(SELECT client_secret FROM identity_providers WHERE name = 'staff') WHERE name = 'guests'`)
	_, _, err = s.Tenants(t.Context())
	if err == nil || !strings.Contains(err.Error(), "example/guests") || strings.Contains(err.Error(), secret) {
		t.Errorf("Tenants with a secret in the wrong row = %v, want an error that names example/guests", err)
	}
}

func TestSQLiteAuditIsAppendOnly(t *testing.T) {
	t.Parallel()
	_, path := migrated(t)
	const columns = `(id, at, kind, tenant, account_id, client_id, grant_id, service, scope, rule, outcome, subject_hash, request_id)`
	exec(t, path, `INSERT INTO audit_events `+columns+` VALUES (1, 1, 'token', '', '', '', '', '', '', '', '', '', '')`)
	for _, statement := range []string{
		`UPDATE audit_events SET outcome = 'allowed'`,
		`DELETE FROM audit_events`,
		`REPLACE INTO audit_events ` + columns + ` VALUES (1, 2, 'token', '', '', '', '', '', '', '', '', '', '')`,
	} {
		_, err := plain(t, path).ExecContext(t.Context(), statement)
		if err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s = %v, want it refused as append-only", statement, err)
		}
	}
	if got := rows(t, path, `SELECT id, at, outcome FROM audit_events`); len(got) != 1 || got[0] != "1|1|" {
		t.Errorf("the record has %q, want it as it was", got)
	}
}

func TestOpenSQLiteRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, bytes.Repeat([]byte("this is no database\n"), 100), 0o600); err != nil {
		t.Fatalf("write %s: %v", text, err)
	}
	for name, path := range map[string]string{
		"a directory":         dir,
		"a missing directory": filepath.Join(dir, "missing", "signpost.db"),
		"another file":        text,
	} {
		s, err := store.OpenSQLite(t.Context(), path, newSealer(t))
		if err == nil {
			t.Errorf("OpenSQLite of %s = no error, want one", name)
			s.Close()
		}
	}
}

func TestOpenSQLiteTakesAnyFileName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "what?.db", "100%.db", "%41.db", "a#b.db", "a&mode=memory.db", "ümläut.db"} {
		dir := t.TempDir()
		s := openSQLite(t, filepath.Join(dir, name))
		if err := s.Migrate(t.Context()); err != nil {
			t.Errorf("Migrate %q: %v", name, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatalf("list %s: %v", dir, err)
		}
		got := make([]string, len(entries))
		for i, entry := range entries {
			got[i] = entry.Name()
		}
		if want := []string{name, name + "-shm", name + "-wal"}; !slices.Equal(got, want) {
			t.Errorf("the database %q is in the files %q, want %q", name, got, want)
		}
	}
}

// TestSQLiteReadersDoNotWaitForAWriter also proves that a reader sees one state:
// the one before the change, until the change is whole.
func TestSQLiteReadersDoNotWaitForAWriter(t *testing.T) {
	t.Parallel()
	s, path := migrated(t)
	writer, err := plain(t, path).Conn(t.Context())
	if err != nil {
		t.Fatalf("open a connection: %v", err)
	}
	defer writer.Close()
	for _, statement := range []string{
		`BEGIN IMMEDIATE`,
		`UPDATE revision SET value = 7`,
		`INSERT INTO tenants (name, position, placement, title, help) VALUES ('half', 1, 'path', '', '')`,
	} {
		if _, err := writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if tenants, revision, err := s.Tenants(t.Context()); err != nil || len(tenants) != 0 || revision != 0 {
		t.Errorf("Tenants during a change = %d tenants at %d, %v, want none at 0", len(tenants), revision, err)
	}
	if _, err := writer.ExecContext(t.Context(), `COMMIT`); err != nil {
		t.Fatalf("COMMIT: %v", err)
	}
	if tenants, revision, err := s.Tenants(t.Context()); err != nil || len(tenants) != 1 || revision != 7 {
		t.Errorf("Tenants after the change = %d tenants at %d, %v, want one at 7", len(tenants), revision, err)
	}
}

// TestSQLiteWatchReportsAnUnreadableDatabase has a store without a schema.
func TestSQLiteWatchReportsAnUnreadableDatabase(t *testing.T) {
	t.Parallel()
	s := openSQLite(t, filepath.Join(t.TempDir(), "signpost.db"))
	if err := s.Watch(t.Context(), time.Hour, func(int64) {}); err == nil {
		t.Error("Watch without a schema = nil, want an error")
	}
}
