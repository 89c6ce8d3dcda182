package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/oidc/keys"
	"signpost/test/backends"
)

func openForTest(t *testing.T, url string) *Store {
	t.Helper()
	s, err := OpenPostgres(t.Context(), url, nil)
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

// TestPostgresSessions looks at what cannot be seen from outside until something hangs.
func TestPostgresSessions(t *testing.T) {
	t.Parallel()
	s := openForTest(t, backends.Postgres(t))
	for _, test := range []struct {
		pool          *sql.DB
		setting, want string
	}{
		{s.write, "statement_timeout", "5min"},
		{s.read, "statement_timeout", "5min"},
		{s.schema, "statement_timeout", "0"},
		{s.write, "lock_timeout", "10s"},
		{s.schema, "lock_timeout", "10s"},
		{s.write, "idle_in_transaction_session_timeout", "15s"},
		{s.write, "application_name", "signpost"},
		{s.write, "client_encoding", "UTF8"},
	} {
		var got string
		if err := test.pool.QueryRowContext(t.Context(), "SELECT current_setting($1)", test.setting).Scan(&got); err != nil || got != test.want {
			t.Errorf("%s = %q, %v, want %q", test.setting, got, err, test.want)
		}
	}
	for _, test := range []struct {
		pool *sql.DB
		want int
	}{{s.write, writers}, {s.read, readers}, {s.schema, 2}} {
		if got := test.pool.Stats().MaxOpenConnections; got != test.want {
			t.Errorf("a pool may have %d connections, want %d", got, test.want)
		}
	}
}

// TestPostgresRunsUndoneChangesAgain has a database that undoes the first changes of
// the revision, as it does when two changes meet crosswise.
func TestPostgresRunsUndoneChangesAgain(t *testing.T) {
	t.Parallel()
	for code, name := range map[string]string{serializationFailure: "serialization failure", deadlockDetected: "deadlock"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openForTest(t, backends.Postgres(t))
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatalf("Migrate: %v", err)
			}
			rung := 0
			s.OnRing = func() { rung++ }

			undoNext(t, s, code, attempts-1)
			if revision, err := s.SaveTenants(t.Context(), 0, nil, nil); err != nil || revision != 1 || rung != 1 {
				t.Errorf("SaveTenants = %d, %v after %d rings, want 1 after one", revision, err, rung)
			}
			undoNext(t, s, code, attempts)
			if _, err := s.SaveTenants(t.Context(), 1, nil, nil); !s.engine.undone(err) || rung != 1 {
				t.Errorf("SaveTenants that is undone every time = %v after %d rings, want the engine's error", err, rung)
			}
			if revision, err := s.Revision(t.Context()); err != nil || revision != 1 {
				t.Errorf("Revision = %d, %v, want 1: what was undone has left nothing", revision, err)
			}
		})
	}
}

// undoNext makes the database undo as many changes of the revision as it is told.
func undoNext(t *testing.T, s *Store, code string, times int) {
	t.Helper()
	for _, statement := range []string{
		`DROP SEQUENCE IF EXISTS undone`,
		`CREATE SEQUENCE undone`, // what it has counted is not undone
		fmt.Sprintf(`CREATE OR REPLACE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('undone') <= %d THEN RAISE EXCEPTION 'undone' USING ERRCODE = '%s'; END IF;
			RETURN NEW;
		END $$`, times, code),
		`CREATE OR REPLACE TRIGGER undo BEFORE UPDATE ON revision FOR EACH ROW EXECUTE FUNCTION undo()`,
	} {
		if _, err := s.write.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// TestPostgresThatHangsIsAnError holds the table that every look reads.
func TestPostgresThatHangsIsAnError(t *testing.T) {
	t.Parallel()
	s := openForTest(t, backends.Postgres(t))
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	tx, err := s.write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), `LOCK TABLE revision IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatalf("lock: %v", err)
	}
	for name, limited := range map[string]struct {
		call   func() error
		within time.Duration
	}{
		"Watch":    {func() error { return s.Watch(t.Context(), time.Hour, func(int64) {}) }, lookWithin},
		"Revision": {func() error { _, err := s.Revision(t.Context()); return err }, answerWithin},
	} {
		began := time.Now()
		if err := limited.call(); err == nil {
			t.Errorf("%s of a database that hangs = nil, want an error", name)
		}
		if took := time.Since(began); took > limited.within+10*time.Second {
			t.Errorf("%s took %v, want about %v", name, took, limited.within)
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatalf("rollback: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := s.Watch(ctx, time.Hour, func(int64) { cancel() }); err != nil || ctx.Err() == nil {
		t.Errorf("Watch of a database that came back = %v, want a look", err)
	}
}

// TestPostgresSchemaChangesUnderARunningProcess: the next release migrates while
// this one still answers.
func TestPostgresSchemaChangesUnderARunningProcess(t *testing.T) {
	t.Parallel()
	url := backends.Postgres(t)
	s := openForTest(t, url)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	s.write.SetMaxOpenConns(1) // what a session keeps is met again
	s.read.SetMaxOpenConns(1)
	other := openForTest(t, url)
	key := keys.Stored{ID: "key", Use: keys.UseAccess, Algorithm: "ES256", Sealed: []byte("sealed"), CreatedAt: time.Now()}
	use := func(when string) {
		t.Helper()
		if tenants, _, err := s.Tenants(t.Context()); err != nil || len(tenants) != 1 {
			t.Errorf("%s: Tenants = %d tenants, %v, want one", when, len(tenants), err)
		}
		if found, err := s.Keys(t.Context(), "example"); err != nil || len(found) != 1 {
			t.Errorf("%s: Keys = %d keys, %v, want one", when, len(found), err)
		}
		if kept, err := s.AddKey(t.Context(), "example", key); err != nil || kept {
			t.Errorf("%s: AddKey = %v, %v, want it there already", when, kept, err)
		}
	}
	if _, err := s.SaveTenants(t.Context(), 0, []directory.Tenant{{Name: "example", Placement: directory.PlacementBase}}, nil); err != nil {
		t.Fatalf("SaveTenants: %v", err)
	}
	if _, err := s.AddKey(t.Context(), "example", key); err != nil {
		t.Fatalf("AddKey: %v", err)
	}
	use("before")
	use("before, again")
	for _, statement := range []string{
		`ALTER TABLE signing_keys ALTER COLUMN use TYPE VARCHAR(20)`,
		`ALTER TABLE tenants ADD COLUMN colour TEXT`,
		`ALTER TABLE tenants DROP COLUMN help`,
		`ALTER TABLE tenants ADD COLUMN help VARCHAR(200) NOT NULL DEFAULT ''`,
	} {
		if _, err := other.schema.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		if !strings.Contains(statement, "DROP") {
			use("after " + statement)
		}
	}
}
