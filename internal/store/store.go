// Package store keeps in SQL what must last: the declared facts, accounts,
// grants, refresh families, signing keys and the audit record. It implements the
// Store interfaces of directory, oidc/issuer and oidc/keys and the Log of
// internal/audit; their comments are its contract and storetest is its proof.
//
// Every query on a tenant's data takes the tenant first. Every change of more
// than one row is one transaction. What facts, keys and ended grants change
// raises the revision, the bell that Watch listens to.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
)

// The interfaces that other packages ask of a Store.
var (
	_ directory.Store = (*Store)(nil)
	_ issuer.Store    = (*Store)(nil)
	_ keys.Store      = (*Store)(nil)
	_ audit.Log       = (*Store)(nil)
)

// Sealer encrypts what must not be readable in the database. What was sealed
// opens only with the same purpose and the same associated data. Implemented
// by internal/seal.
type Sealer interface {
	Seal(purpose string, plaintext, associated []byte) ([]byte, error)
	Open(purpose string, sealed, associated []byte) ([]byte, error)
}

// Store is an open database. It is safe for use by many goroutines; several
// processes may have the same database open.
type Store struct {
	// Writers queue for the one connection of write, in order, instead of
	// polling the engine's lock; read never waits for them.
	write, read *sql.DB
	sealer      Sealer

	dialect    goose.Dialect
	migrations fs.FS
}

// Close waits for what is running and closes the database.
func (s *Store) Close() error {
	return errors.Join(s.read.Close(), s.write.Close())
}

// Revision returns the number that every change of facts and keys and every
// end of a grant raises.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	revision, err := readRevision(ctx, s.read)
	if err != nil {
		return 0, fmt.Errorf("read the revision: %w", err)
	}
	return revision, nil
}

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// scanner is a row, alone or of many.
type scanner interface{ Scan(dest ...any) error }

func readRevision(ctx context.Context, q querier) (revision int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT value FROM revision WHERE id = 1`).Scan(&revision)
	return revision, err
}

// Facts returns the revision at which the declared facts changed last. It moves
// less often than Revision: the end of a grant changes no facts.
func (s *Store) Facts(ctx context.Context) (revision int64, err error) {
	if err := s.read.QueryRowContext(ctx, `SELECT facts FROM revision WHERE id = 1`).Scan(&revision); err != nil {
		return 0, fmt.Errorf("read the revision of the facts: %w", err)
	}
	return revision, nil
}

// ring raises the revision within a change.
func ring(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, `UPDATE revision SET value = value + 1 WHERE id = 1`); err != nil {
		return fmt.Errorf("raise the revision: %w", err)
	}
	return nil
}

// change runs do in one transaction: all of it is written, or nothing if do or
// the commit returns an error.
func (s *Store) change(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // without effect after the commit
	if err := do(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// affected reports whether a statement found a row to change.
func affected(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// moment keeps a time as milliseconds since 1970, and the zero time as null.
type moment struct{ at *time.Time }

// Value is what the database gets.
func (m moment) Value() (driver.Value, error) {
	if m.at.IsZero() {
		return nil, nil
	}
	return m.at.UnixMilli(), nil
}

// Scan takes what the database has.
func (m moment) Scan(stored any) error {
	switch ms := stored.(type) {
	case nil:
		*m.at = time.Time{}
	case int64:
		*m.at = time.UnixMilli(ms).UTC()
	default:
		return fmt.Errorf("a time is stored as %T, not as an integer", stored)
	}
	return nil
}

// asJSON keeps a list or a map, given by its address, as JSON text.
type asJSON struct{ value any }

// Value is what the database gets.
func (j asJSON) Value() (driver.Value, error) {
	text, err := json.Marshal(j.value)
	return string(text), err
}

// Scan takes what the database has.
func (j asJSON) Scan(stored any) error {
	text, ok := stored.(string)
	if !ok {
		return fmt.Errorf("a list is stored as %T, not as text", stored)
	}
	return json.Unmarshal([]byte(text), j.value)
}
