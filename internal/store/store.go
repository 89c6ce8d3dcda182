// Package store keeps in SQL what must last: the declared facts, accounts,
// grants, refresh families, signing keys and the audit record. It implements the
// Store interfaces of directory, oidc/issuer and oidc/keys and the Log of
// internal/audit; their comments are its contract and storetest is its proof.
//
// Every query on a tenant's data takes the tenant first. Every change of more
// than one row is one transaction. What facts, keys and ended grants change
// raises the revision, the bell that Watch listens to.
//
// SQLite and PostgreSQL run the same statements; engine is what they do
// differently. SQLite has one writer, so its changes never meet. On PostgreSQL they
// run at READ COMMITTED, and transaction says what keeps them apart.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
)

// The interfaces that other packages ask of a Store.
var (
	_ directory.Store = (*Store)(nil)
	_ issuer.Store    = (*Store)(nil)
	_ issuer.Feed     = (*Store)(nil)
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
	// OnRing, if it is set, is called after the commit of every change of this
	// process that raised the revision, before the caller of the change hears of it:
	// it must not wait for anything. Set it before the first change.
	OnRing func()

	// Whoever writes never keeps read from having a connection. schema is for
	// migrations alone.
	write, read, schema *sql.DB

	sealer Sealer
	engine engine
	nudged chan struct{} // holds one word for Watch

	keeping sync.Mutex
	kept    map[keptInsert]*sql.Stmt // statements that come again and again, closed with the database
}

// How long the database may take. A database that hangs is an error like one that is
// away: nobody waits for it for ever.
const (
	answerWithin = 5 * time.Second
	changeWithin = 30 * time.Second // also to read all tenants
	saveWithin   = 5 * time.Minute  // a tenant that is removed may have a million grants
)

// Close waits for what is running and closes the database.
func (s *Store) Close() error {
	return errors.Join(s.read.Close(), s.write.Close(), s.schema.Close())
}

// Ping asks the database whether it answers.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var one int
	if err := s.read.QueryRowContext(ctx, `SELECT 1`).Scan(&one); err != nil {
		return fmt.Errorf("ask the database whether it answers: %w", err)
	}
	return nil
}

// Revision returns the number that every change of facts and keys and every
// end of a grant raises.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
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
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := s.read.QueryRowContext(ctx, `SELECT facts FROM revision WHERE id = 1`).Scan(&revision); err != nil {
		return 0, fmt.Errorf("read the revision of the facts: %w", err)
	}
	return revision, nil
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
