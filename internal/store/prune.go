package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// What is removed here is removed in small portions: while a portion is removed, SQLite's
// one writer does nothing else. Several processes may do it at once.

// errNoRetention means that the row is missing that says what may be removed.
var errNoRetention = errors.New("store: audit_retention has no row; nothing may be removed")

// PruneAudit removes the oldest events that happened before a moment, at most so many, and
// returns how many it removed. The database itself refuses the moment if it is not
// twelve hours ago. The newest event stays, whenever it happened: from its id the next
// one is counted, and whoever reads on from an id must not find it given twice.
func (s *Store) PruneAudit(ctx context.Context, before time.Time, most int) (removed int, err error) {
	err = s.change(ctx, func(tx *transaction) error {
		found, err := affected(tx.ExecContext(ctx, `UPDATE audit_retention SET removable_before = $1`, moment{&before}))
		if err != nil {
			return err
		}
		if !found {
			return errNoRetention
		}
		removed, err = count(tx.ExecContext(ctx, `
			DELETE FROM audit_events WHERE id IN (
				SELECT id FROM audit_events
				WHERE at < $1 AND id < (SELECT max(id) FROM audit_events) ORDER BY at, id LIMIT $2)`, moment{&before}, most))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("remove old audit events: %w", err)
	}
	return removed, nil
}

// PruneRefreshTokens removes refresh tokens of grants that ended before a moment, at most so
// many, and returns how many it removed. Those of a grant that lives stay, used or not: by a
// used one that comes again it is known that it was stolen (R18).
func (s *Store) PruneRefreshTokens(ctx context.Context, endedBefore time.Time, most int) (removed int, err error) {
	err = s.change(ctx, func(tx *transaction) error {
		removed, err = count(tx.ExecContext(ctx, `
			DELETE FROM refresh_tokens WHERE (tenant, hash) IN (
				SELECT t.tenant, t.hash
				FROM grants JOIN refresh_tokens AS t ON t.tenant = grants.tenant AND t.grant_id = grants.id
				WHERE grants.ended_at < $1 LIMIT $2)`, moment{&endedBefore}, most))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("remove refresh tokens of ended grants: %w", err)
	}
	return removed, nil
}

// PruneGrants removes grants that ended before a moment and have no refresh tokens any more, at
// most so many, and returns how many it removed. A grant stays while an app password lives that
// was made from it: why the grant ended decides about the password (R21).
func (s *Store) PruneGrants(ctx context.Context, endedBefore time.Time, most int) (removed int, err error) {
	err = s.change(ctx, func(tx *transaction) error {
		removed, err = count(tx.ExecContext(ctx, `
			DELETE FROM grants WHERE (tenant, id) IN (
				SELECT g.tenant, g.id FROM grants AS g
				WHERE g.ended_at < $1
				AND NOT EXISTS (SELECT 1 FROM refresh_tokens AS t WHERE t.tenant = g.tenant AND t.grant_id = g.id)
				AND NOT EXISTS (
					SELECT 1 FROM app_passwords AS p
					WHERE p.tenant = g.tenant AND p.account_id = g.account_id AND p.grant_id = g.id AND p.ended_at IS NULL)
				LIMIT $2)`, moment{&endedBefore}, most))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("remove ended grants: %w", err)
	}
	return removed, nil
}

// PruneAppPasswords removes app passwords that ended before a moment, at most so many, and returns
// how many it removed.
func (s *Store) PruneAppPasswords(ctx context.Context, endedBefore time.Time, most int) (removed int, err error) {
	err = s.change(ctx, func(tx *transaction) error {
		removed, err = count(tx.ExecContext(ctx, `
			DELETE FROM app_passwords WHERE (tenant, id) IN (
				SELECT tenant, id FROM app_passwords WHERE ended_at < $1 LIMIT $2)`, moment{&endedBefore}, most))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("remove ended app passwords: %w", err)
	}
	return removed, nil
}

// count returns how many rows a statement changed.
func count(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}
