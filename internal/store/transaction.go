package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// transaction is a change in progress.
//
// On PostgreSQL changes meet, and each statement sees what others have committed
// before it began (READ COMMITTED). What must not slip between two statements is kept
// out by the lock of one row, taken first:
//   - the row of the revision by SaveTenants, so that its base is compared once
//     every other change of facts is done;
//   - the row of the tenant by SaveAccount and SaveTenants, so that who may have a
//     name is decided by one sign-in after another, by the facts of one moment;
//   - the row of the grant by whatever uses or ends it, so that of two rotations the
//     second sees the first, and nothing is made from a grant that ends;
//   - the row of the account by EndGrants, so that two who end many grants do not
//     lock them in different orders;
//   - the row of the head by ReplaceKey, so that the second finds that it heads its
//     line no more.
//
// A unique key decides the rest: who inserts it second waits until the first
// has committed, and then sees its row.
//
// The revision is raised late, after the grant is locked, and by SaveTenants early, before it
// removes a tenant's grants; so it locks these before. Where two changes meet crosswise
// nevertheless, the engine undoes one of them and change runs it again.
type transaction struct {
	*sql.Tx
	engine engine
	rang   bool
}

// attempts is how often change begins before it gives up.
const attempts = 5

// change runs do in one transaction: all of it is written, or nothing if do or
// the commit returns an error. It runs do again if the engine has undone it because
// it met another change, so do sets whatever it leaves outside from the start.
func (s *Store) change(ctx context.Context, do func(tx *transaction) error) error {
	return s.changeIn(ctx, changeWithin, do)
}

// changeIn is change with a limit of its own.
func (s *Store) changeIn(ctx context.Context, limit time.Duration, do func(tx *transaction) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for attempt := 1; ; attempt++ {
		rang, err := s.attempt(ctx, do)
		if err == nil {
			if rang && s.OnRing != nil {
				s.OnRing()
			}
			return nil
		}
		if attempt == attempts || !s.engine.undone(err) {
			return err
		}
	}
}

func (s *Store) attempt(ctx context.Context, do func(tx *transaction) error) (rang bool, err error) {
	begun, err := s.write.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	defer begun.Rollback() // without effect after the commit
	tx := &transaction{Tx: begun, engine: s.engine}
	if err := do(tx); err != nil {
		return false, err
	}
	if err := tx.Commit(); err != nil {
		return false, fmt.Errorf("commit: %w", err)
	}
	return tx.rang, nil
}

// ring raises the revision and returns it. Its row stays locked until the commit, so
// that changes become visible in the order of their revisions.
func (tx *transaction) ring(ctx context.Context) (revision int64, err error) {
	tx.rang = true
	err = tx.QueryRowContext(ctx, `UPDATE revision SET value = value + 1 WHERE id = 1 RETURNING value`).Scan(&revision)
	if err != nil {
		return 0, fmt.Errorf("raise the revision: %w", err)
	}
	return revision, nil
}

// rowsAtOnce keeps the values of a statement below the limits of both engines.
const rowsAtOnce = 500

// insert adds rows, hundreds with one statement: each one is a way to the database and
// back. into is the statement up to VALUES.
func (tx *transaction) insert(ctx context.Context, into string, rows [][]any) error {
	for some := range slices.Chunk(rows, rowsAtOnce) {
		lists := make([]string, len(some))
		var values []any
		for i, row := range some {
			lists[i] = placeholders(tx.engine, len(values), len(row))
			values = append(values, row...)
		}
		if _, err := tx.ExecContext(ctx, into+" VALUES "+strings.Join(lists, ", "), values...); err != nil {
			return err
		}
	}
	return nil
}

// prepared prepares a statement that inserts a number of rows, each of as many values, once for
// all transactions. Ask for it before the transaction, which has the connection for itself.
func (s *Store) prepared(ctx context.Context, into string, values, rows int) (*sql.Stmt, error) {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	key := keptInsert{into, rows}
	if statement, found := s.kept[key]; found {
		return statement, nil
	}
	lists := make([]string, rows)
	for i := range lists {
		lists[i] = placeholders(s.engine, i*values, values)
	}
	statement, err := s.write.PrepareContext(ctx, into+" VALUES "+strings.Join(lists, ", ")) //nolint:sqlclosecheck // it is kept, and closed with the database
	if err != nil {
		return nil, err
	}
	if s.kept == nil {
		s.kept = map[keptInsert]*sql.Stmt{}
	}
	s.kept[key] = statement
	return statement, nil
}

// keptInsert names a statement that inserts a number of rows.
type keptInsert struct {
	into string
	rows int
}

// placeholders returns those of n values, after as many others: "($3, $4)".
func placeholders(e engine, after, n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = e.parameter(after + i + 1)
	}
	return "(" + strings.Join(names, ", ") + ")"
}
