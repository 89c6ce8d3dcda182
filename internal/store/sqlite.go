package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // with the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// OpenSQLite opens the database in the file at path, and makes an empty file if
// there is none; its directory must exist. The file and the two that SQLite
// keeps beside it can be read by their owner alone. OpenSQLite does not touch
// the schema: call Check or Migrate next, and Close at the end.
func OpenSQLite(ctx context.Context, path string, sealer Sealer) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := protect(path); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &Store{sealer: sealer, engine: sqliteEngine{}, nudged: make(chan struct{}, 1)}
	// Writers queue for one connection, in order, instead of polling SQLite's lock.
	if s.write, err = openPool(ctx, path, url.Values{}, 1); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	if s.read, err = openPool(ctx, path, url.Values{"_query_only": {"1"}}, readers); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), s.write.Close())
	}
	s.schema = s.write
	return s, nil
}

// protect makes the file, or takes away what others may do with it. SQLite gives
// the files beside it the same mode when it makes them.
func protect(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 == 0 {
			continue
		}
		if err := os.Chmod(name, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// openPool opens at most size connections, all of which stay open.
func openPool(ctx context.Context, path string, options url.Values, size int) (*sql.DB, error) {
	options.Set("_txlock", "immediate")          // a change that has begun never loses its lock to another
	options.Set("_busy_timeout", "5000")         // milliseconds to wait for another process
	options.Set("_journal_mode", "WAL")          // readers and the writer do not wait for each other
	options.Set("_synchronous", "FULL")          // an ended grant stays ended when the power fails
	options.Set("_foreign_keys", "1")            // off unless asked for
	options.Set("_dqs", "0")                     // "x" is a name and never a string
	options.Set("_defensive", "1")               // no statement can damage the file
	options.Set("_pragma", "temp_store(MEMORY)") // what it notes to undo one statement of many rows needs no file
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: options.Encode()}

	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	if err := connect(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// connectFor is how long connect waits for other processes.
const connectFor = 5 * time.Second

// connect makes the first connection. While another process turns a new file to
// WAL, SQLite says busy at once whatever its timeout is, so this waits itself.
func connect(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, connectFor)
	defer cancel()
	for {
		err := db.PingContext(ctx)
		busy, ok := errors.AsType[*sqlite.Error](err)
		if !ok || busy.Code()&0xff != sqlite3.SQLITE_BUSY {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// sqliteEngine is what SQLite does its own way.
type sqliteEngine struct{}

func (sqliteEngine) migrator(db *sql.DB) (*goose.Provider, error) {
	return newMigrator(goose.DialectSQLite3, db, "sqlite")
}

func (sqliteEngine) hasTable() string {
	return `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1)`
}

// lockRow is empty: a change has the whole database for itself.
// parameter has no number: SQLite takes "$1" for a name, and looks for it among all those
// before it, so that a statement with thousands costs the square of their number.
func (sqliteEngine) parameter(int) string { return "?" }

// keepsStatements: reading a statement takes SQLite a third of the time of the insertion.
func (sqliteEngine) keepsStatements() bool { return true }

func (sqliteEngine) lockRow() string { return "" }

// undone is never so: a change that has begun meets no other one.
func (sqliteEngine) undone(error) bool { return false }

// looker asks SQLite whether anybody else's commit reached the file since this
// connection looked last, which costs no read of a table, and reads the revision
// only then. The connection must never write.
func (sqliteEngine) looker(conn *sql.Conn) func(ctx context.Context) (int64, error) {
	seen, revision := int64(-1), int64(0)
	return func(ctx context.Context) (int64, error) {
		var data int64
		if err := conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&data); err != nil {
			return 0, err
		}
		if data == seen {
			return revision, nil
		}
		var err error
		if revision, err = readRevision(ctx, conn); err != nil {
			return 0, err
		}
		seen = data
		return revision, nil
	}
}
