package store

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"
)

// engine is what SQLite and PostgreSQL do differently.
type engine interface {
	// migrator returns what migrates the database behind a pool.
	migrator(db *sql.DB) (*goose.Provider, error)
	// hasTable is a query with one parameter, the name of a table. It answers
	// whether there is one.
	hasTable() string
	// parameter is how the n-th parameter of a statement is written that gives each one once,
	// in their order, from 1 on.
	parameter(n int) string
	// keepsStatements reports whether a statement that was prepared once is worth keeping.
	keepsStatements() bool
	// lockRow is how a SELECT ends that keeps the rows it finds from being changed,
	// and from being locked so, until the end of the transaction. References
	// to them may be made meanwhile.
	lockRow() string
	// undone reports that the engine itself has undone a change, because it met
	// another one. The same change may succeed when it is done again.
	undone(err error) bool
	// looker returns what reads the revision again and again on one connection.
	looker(conn *sql.Conn) func(ctx context.Context) (revision int64, err error)
	// backup copies the whole database to a new file.
	backup(ctx context.Context, s *Store, path string) error
}
