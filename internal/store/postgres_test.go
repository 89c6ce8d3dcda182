package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3/lock"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/internal/store"
	"signpost/internal/store/storetest"
	"signpost/test/backends"
)

func TestPostgres(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Store {
		given := backends.Postgres(t)
		s := openPostgres(t, given)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatalf("Migrate: %v", err)
		}
		return storetest.Store{
			Engine: s,
			OnRing: func(f func()) { s.OnRing = f },
			Again:  func(t *testing.T) storetest.Engine { return openPostgres(t, given) },
			Rows:   func(t *testing.T, query string) []string { return texts(t, plainPostgres(t, given), query) },
		}
	})
}

func openPostgres(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.OpenPostgres(t.Context(), url, newSealer(t))
	if err != nil {
		t.Fatalf("OpenPostgres: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// plainPostgres opens the database past the store.
func plainPostgres(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatalf("open the database: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	return db
}

func TestOpenPostgresShowsNoPassword(t *testing.T) {
	t.Parallel()
	given := backends.Postgres(t)
	for name, change := range map[string]func(u *url.URL){
		"a wrong password":     func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "hunter2") },
		"an unknown user":      func(u *url.URL) { u.User = url.UserPassword("nobody", "hunter2") },
		"a server not there":   func(u *url.URL) { u.Host, u.User = "127.0.0.1:1", url.UserPassword("u", "hunter2") },
		"a host not there":     func(u *url.URL) { u.Host, u.User = "nowhere.invalid", url.UserPassword("u", "hunter2") },
		"a server without TLS": func(u *url.URL) { u.RawQuery, u.User = "sslmode=verify-full", url.UserPassword("u", "hunter2") },
		"no URL":               func(u *url.URL) { u.Host, u.User = "127.0.0.1:port", url.UserPassword("u", "hunter2") },
	} {
		u, err := url.Parse(given)
		if err != nil {
			t.Fatal("the URL of the test's database cannot be read")
		}
		change(u)
		s, err := store.OpenPostgres(t.Context(), u.String(), newSealer(t))
		if err == nil {
			t.Errorf("OpenPostgres with %s = nil, want an error", name)
			s.Close()
			continue
		}
		if tls := strings.Contains(err.Error(), "sslmode=verify-full"); tls != (name == "a server without TLS") {
			t.Errorf("OpenPostgres with %s = %v; it names sslmode: %v", name, err, tls)
		}
		for _, shown := range []string{err.Error(), fmt.Sprintf("%v", err), fmt.Sprintf("%+v", err)} {
			if strings.Contains(shown, "hunter2") {
				t.Errorf("OpenPostgres with %s shows the password: %s", name, shown)
			}
		}
	}
}

// TestOpenPostgresRefusesAStandby has a database that cannot be written, as one on a
// standby, which may not know yet which grants ended.
func TestOpenPostgresRefusesAStandby(t *testing.T) {
	t.Parallel()
	given := backends.Postgres(t)
	db := plainPostgres(t, given)
	name := texts(t, db, `SELECT current_database()`)[0]
	if _, err := db.ExecContext(t.Context(), `ALTER DATABASE `+name+` SET default_transaction_read_only = on`); err != nil {
		t.Fatalf("make the database read-only: %v", err)
	}
	if s, err := store.OpenPostgres(t.Context(), given, newSealer(t)); err == nil || !strings.Contains(err.Error(), "read only") {
		t.Errorf("OpenPostgres of a server that cannot be written = %v, want an error that says so", err)
		if err == nil {
			s.Close()
		}
	}
	openPostgres(t, given+"&target_session_attrs=any")
}

func TestPostgresAuditIsAppendOnly(t *testing.T) {
	t.Parallel()
	given := backends.Postgres(t)
	s, db := openPostgres(t, given), plainPostgres(t, given)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	if err := s.Record(t.Context(), audit.Event{At: time.UnixMilli(1), Kind: "token"}); err != nil {
		t.Fatalf("Record: %v", err)
	}
	const columns = `(id, at, kind, tenant, account_id, client_id, grant_id, service, scope, rule, outcome, subject_hash, request_id)`
	const values = `VALUES (1, 2, 'token', '', '', '', '', '', '', '', '', '', '')`
	for statement, want := range map[string]string{
		`UPDATE audit_events SET outcome = 'allowed'`:                              "append-only",
		`DELETE FROM audit_events`:                                                 "append-only",
		`TRUNCATE audit_events`:                                                    "append-only",
		`TRUNCATE audit_events RESTART IDENTITY`:                                   "append-only",
		`WITH gone AS (DELETE FROM audit_events RETURNING id) SELECT id FROM gone`: "append-only",
		`INSERT INTO audit_events ` + columns + ` OVERRIDING SYSTEM VALUE ` + values + ` ON CONFLICT (id) DO UPDATE SET at = 2`: "append-only",
		`INSERT INTO audit_events ` + columns + ` ` + values:                                                                    "id",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s = %v, want it refused with %q", statement, err, want)
		}
	}
	if got := texts(t, db, `SELECT id, at, outcome FROM audit_events`); len(got) != 1 || got[0] != "1|1|" {
		t.Errorf("the record has %q, want it as it was", got)
	}
}

// TestPostgresMigrateWaitsItsTurn: a process that finds another one migrating waits
// until that has finished, and touches nothing before.
func TestPostgresMigrateWaitsItsTurn(t *testing.T) {
	t.Parallel()
	given := backends.Postgres(t)
	db := plainPostgres(t, given)
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), `SELECT pg_advisory_lock($1)`, lock.DefaultLockID); err != nil {
		t.Fatalf("lock: %v", err)
	}
	s := openPostgres(t, given)
	done := make(chan error, 1)
	go func() { done <- s.Migrate(t.Context()) }()
	for asked := false; !asked; {
		asked = len(texts(t, db, `SELECT pid FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%pg_try_advisory_lock%' AND state = 'idle'`)) > 0
	}
	if empty, err := s.Empty(t.Context()); err != nil || !empty {
		t.Errorf("Empty while another process migrates = %v, %v, want true", empty, err)
	}
	if _, err := other.ExecContext(t.Context(), `SELECT pg_advisory_unlock($1)`, lock.DefaultLockID); err != nil {
		t.Fatalf("unlock: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Migrate after its turn came: %v", err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	if held := texts(t, db, `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); len(held) != 0 {
		t.Errorf("Migrate left %d locks behind", len(held))
	}
}

func TestPostgresSecretsAreNotInTheRows(t *testing.T) {
	t.Parallel()
	given := backends.Postgres(t)
	s, db := openPostgres(t, given), plainPostgres(t, given)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	_, err := s.SaveTenants(t.Context(), 0, []directory.Tenant{{
		Name: "example", Placement: directory.PlacementBase,
		IdentityProviders: []directory.IdentityProvider{
			{Name: "staff", Issuer: "https://login.example.com", ClientSecret: "correct horse battery staple"},
			{Name: "guests", Issuer: "https://guests.example.com", ClientSecret: "another secret"},
		},
	}}, nil)
	if err != nil {
		t.Fatalf("SaveTenants: %v", err)
	}
	// A sealed secret is bound to its row: in another one it does not open.
	if _, err := db.ExecContext(t.Context(), `UPDATE identity_providers SET client_secret =
		(SELECT client_secret FROM identity_providers WHERE name = 'staff') WHERE name = 'guests'`); err != nil {
		t.Fatalf("move the secret: %v", err)
	}
	_, _, err = s.Tenants(t.Context())
	if err == nil || !strings.Contains(err.Error(), "example/guests") || strings.Contains(err.Error(), "correct horse") {
		t.Errorf("Tenants with a secret in the wrong row = %v, want an error that names example/guests", err)
	}
}

func TestPostgresIsNotOursToCopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "copy")
	err := openPostgres(t, backends.Postgres(t)).Backup(t.Context(), path)
	if !errors.Is(err, store.ErrNoBackup) || !strings.Contains(err.Error(), "pg_dump") {
		t.Errorf("Backup of PostgreSQL = %v, want ErrNoBackup, which names pg_dump", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Backup of PostgreSQL made a file: %v", err)
	}
}
