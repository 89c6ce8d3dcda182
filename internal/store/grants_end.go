package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"signpost/oidc/apppassword"
	"signpost/oidc/issuer"
)

// EndReplayed ends the living grant that the code with this hash made since then,
// and reports whether there was one.
func (s *Store) EndReplayed(ctx context.Context, tenant string, originHash []byte, since, now time.Time) (ended bool, err error) {
	// Codes that were never ours come here too: look before taking a lock.
	id, err := s.livingGrant(ctx, tenant, originHash, since)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for a replayed grant: %w", err)
	}
	err = s.change(ctx, func(tx *transaction) error { return endGrant(ctx, tx, tenant, id, reasonReplay, now) })
	if err != nil {
		return false, fmt.Errorf("end a replayed grant: %w", err)
	}
	return true, nil
}

func (s *Store) livingGrant(ctx context.Context, tenant string, originHash []byte, since time.Time) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err = s.read.QueryRowContext(ctx, `
		SELECT id FROM grants WHERE tenant = $1 AND origin_hash = $2 AND ended_at IS NULL AND created_at >= $3`,
		tenant, originHash, moment{&since}).Scan(&id)
	return id, err
}

// endReplayed ends the grant that a code made, whenever that was.
func endReplayed(ctx context.Context, tx *transaction, tenant string, originHash []byte, now time.Time) error {
	var id string
	err := tx.QueryRowContext(ctx, `SELECT id FROM grants WHERE tenant = $1 AND origin_hash = $2`, tenant, originHash).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // another tenant's
	}
	if err != nil {
		return err
	}
	return endGrant(ctx, tx, tenant, id, reasonReplay, now)
}

// EndGrant ends a grant; the first reason stays.
func (s *Store) EndGrant(ctx context.Context, tenant, id, reason string, now time.Time) error {
	err := s.change(ctx, func(tx *transaction) error {
		return endGrant(ctx, tx, tenant, id, reason, now)
	})
	if err != nil {
		return fmt.Errorf("end grant %q: %w", id, err)
	}
	return nil
}

// EndGrants ends an account's living grants, of one client or of all, and with all of them
// whatever the person began before. The account's row is locked first, so that two who end
// them do so one after the other.
func (s *Store) EndGrants(ctx context.Context, tenant, accountID, clientID, reason string, now time.Time) (ended int, err error) {
	err = s.change(ctx, func(tx *transaction) error {
		account, err := lockAccount(ctx, tx, tenant, accountID)
		if err != nil {
			return err
		}
		if clientID == "" && now.After(account.EndedBefore) {
			_, err := tx.ExecContext(ctx, `UPDATE accounts SET ended_before = $3 WHERE tenant = $1 AND id = $2`, tenant, accountID, moment{&now})
			if err != nil {
				return err
			}
		}
		ended, err = endGrants(ctx, tx, tenant, grantsOf{column: "account_id", value: accountID, client: clientID}, reason, now)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("end the grants of account %q: %w", accountID, err)
	}
	return ended, nil
}

// lockAccount keeps others from changing an account, and from locking it so, until the end of the
// change, and returns it: issuer.ErrNotFound if there is none.
func lockAccount(ctx context.Context, tx *transaction, tenant, id string) (issuer.Account, error) {
	a, err := scanAccount(tx.QueryRowContext(ctx, `SELECT `+accountColumns+` FROM accounts WHERE tenant = $1 AND id = $2`+tx.engine.lockRow(), tenant, id))
	if errors.Is(err, sql.ErrNoRows) {
		return issuer.Account{}, issuer.ErrNotFound
	}
	return a, err
}

// endGrant ends one grant, or returns issuer.ErrNotFound.
func endGrant(ctx context.Context, tx *transaction, tenant, id, reason string, now time.Time) error {
	ended, err := endGrants(ctx, tx, tenant, grantsOf{column: "id", value: id}, reason, now)
	if err != nil || ended > 0 {
		return err
	}
	var found string
	err = tx.QueryRowContext(ctx, `SELECT id FROM grants WHERE tenant = $1 AND id = $2`, tenant, id).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return issuer.ErrNotFound
	}
	return err
}

// grantsOf picks out grants of a tenant: those with a value in a column, "id" or
// "account_id", and of a client unless that is empty.
type grantsOf struct{ column, value, client string }

// endGrants ends the grants that live, with the app passwords that do not outlive them, and
// returns how many grants there were. If there were any it rings the bell once, and notes with them how far that raised it.
func endGrants(ctx context.Context, tx *transaction, tenant string, of grantsOf, reason string, now time.Time) (ended int, err error) {
	where := `WHERE tenant = $1 AND ` + of.column + ` = $2 AND ($3 = '' OR client_id = $3) `
	result, err := tx.ExecContext(ctx, `UPDATE grants SET ended_at = $4, ended_reason = $5 `+where+`AND ended_at IS NULL`,
		tenant, of.value, of.client, moment{&now}, reason)
	if err != nil {
		return 0, err
	}
	rows, err := result.RowsAffected()
	if err != nil || rows == 0 {
		return 0, err
	}
	just := where + `AND ended_at IS NOT NULL AND ended_revision IS NULL`
	if !apppassword.OutlivesGrant(reason) {
		_, err := tx.ExecContext(ctx, `
			UPDATE app_passwords SET ended_at = $4, ended_reason = $5
			WHERE tenant = $1 AND ended_at IS NULL AND (account_id, grant_id) IN (SELECT account_id, id FROM grants `+just+`)`,
			tenant, of.value, of.client, moment{&now}, reason)
		if err != nil {
			return 0, err
		}
	}
	revision, err := tx.ring(ctx)
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE grants SET ended_revision = $4 `+just,
		tenant, of.value, of.client, revision)
	return int(rows), err
}
