package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// How many connections a process has at most, and for how long one of them.
const (
	writers = 10
	readers = 10 // one of them is Watch's

	keepFor = 30 * time.Minute // so that they spread again after a server came back
	idleFor = 5 * time.Minute

	connectWithin = 2 * time.Second // for each host of the URL
)

// OpenPostgres opens the PostgreSQL database that a URL names:
// postgres://user:password@host:port/database?option=value, several hosts separated by
// commas. The options are libpq's, as far as pgx knows them. The tables are in the
// first schema of the user's search_path, which is "public" unless somebody set another.
// OpenPostgres does not touch them: call Check or Migrate next, and Close at the end.
//
// A host that is neither this machine's loopback nor a socket must show a certificate
// for its name (sslmode=verify-full), unless the URL has an sslmode of its own.
// Unless the URL has a target_session_attrs, only a server that can be written is
// taken: a standby behind it would not know yet which grants ended.
//
// One process has at most 20 connections, besides two while it migrates. The Store
// itself limits how long it waits for an answer. Behind that, on the server, a statement may
// take five minutes, waiting for a lock ten seconds, and a transaction may do nothing
// for 15; the URL may say statement_timeout, lock_timeout,
// idle_in_transaction_session_timeout, connect_timeout and application_name otherwise.
//
// Statements leave nothing behind in a session, so the schema may change under a
// running process, and a pooler that gives connections out for one transaction
// may stand between. It must let the settings above pass, and Migrate must go
// around it: its lock belongs to a session.
//
// No error of OpenPostgres or of the Store shows the password.
func OpenPostgres(ctx context.Context, url string, sealer Sealer) (*Store, error) {
	config, err := parsePostgres(url)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &Store{sealer: sealer, engine: postgresEngine{}, nudged: make(chan struct{}, 1)}
	s.write = openPostgresPool(config, writers)
	s.read = openPostgresPool(config, readers)
	s.schema = openSchemaPool(config)
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database%s: %w", manner(config), err), s.Close())
	}
	return s, nil
}

// manner says what is asked of the server, for operators who did not ask for it.
func manner(config *pgx.ConnConfig) string {
	if config.TLSConfig != nil && config.TLSConfig.ServerName == config.Host {
		return " of a server that must show a certificate for its name (sslmode=verify-full)"
	}
	return ""
}

func openPostgresPool(config *pgx.ConnConfig, size int) *sql.DB {
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	db.SetConnMaxLifetime(keepFor)
	db.SetConnMaxIdleTime(idleFor)
	return db
}

// openSchemaPool opens connections, when they are asked for, on which a statement may
// take as long as it does: a migration may write a whole table.
func openSchemaPool(config *pgx.ConnConfig) *sql.DB {
	patient := config.Copy()
	patient.RuntimeParams["statement_timeout"] = "0"
	db := stdlib.OpenDB(*patient)
	db.SetMaxOpenConns(2)
	db.SetMaxIdleConns(0)
	return db
}

// postgresEngine is what PostgreSQL does its own way.
type postgresEngine struct{}

// How Migrate waits for another process that migrates: every second, five minutes.
const (
	lockEvery    = 1
	lockAttempts = 300
)

func (postgresEngine) migrator(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockEvery, lockAttempts))
	if err != nil {
		return nil, fmt.Errorf("lock the schema: %w", err)
	}
	return newMigrator(goose.DialectPostgres, db, "postgres", goose.WithSessionLocker(locker))
}

func (postgresEngine) hasTable() string { return `SELECT to_regclass($1) IS NOT NULL` }

func (postgresEngine) parameter(n int) string { return fmt.Sprintf("$%d", n) }

// keepsStatements: a pooler in between may give each transaction another connection.
func (postgresEngine) keepsStatements() bool { return false }

func (postgresEngine) lockRow() string { return ` FOR NO KEY UPDATE` }

// Codes of PostgreSQL for a transaction that it has undone because of another one.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
)

func (postgresEngine) undone(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (refused.Code == serializationFailure || refused.Code == deadlockDetected)
}

func (postgresEngine) looker(conn *sql.Conn) func(ctx context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) { return readRevision(ctx, conn) }
}
