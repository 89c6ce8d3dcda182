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

var _ apppassword.Store = (*Store)(nil)

// appPasswordColumns are those of app_passwords, and how the grant ended that one was made from:
// a grant that is gone has ended, whyever it is gone.
const (
	appPasswordColumns = `p.id, p.selector, p.hash, p.account_id, COALESCE(p.grant_id, ''), p.client_id, p.label, p.username,
	p.audiences, p.scopes, p.created_at, p.last_used_at, p.ended_at, p.ended_reason,
	CASE WHEN p.grant_id IS NULL OR g.id IS NOT NULL AND g.ended_at IS NULL THEN '' ELSE COALESCE(g.ended_reason, 'gone') END`
	appPasswordTables = `app_passwords p LEFT JOIN grants g ON g.tenant = p.tenant AND g.id = p.grant_id`
)

// appPasswordFields are where appPasswordColumns go, in their order.
func appPasswordFields(k *apppassword.Kept) []any {
	return []any{&k.ID, &k.Selector, &k.Hash, &k.AccountID, &k.GrantID, &k.ClientID, &k.Label, &k.Username,
		asJSON{&k.Audiences}, &k.Scopes, moment{&k.CreatedAt}, moment{&k.LastUsedAt}, moment{&k.EndedAt}, &k.EndedReason,
		&k.GrantEnded}
}

// KeepAppPassword writes a new app password. The account's row is locked first, so that of many who
// make the last one that may be, one does, and so that who ends everything meanwhile comes before
// this one, which is refused, or after it and ends it.
func (s *Store) KeepAppPassword(ctx context.Context, tenant string, k apppassword.Kept, most int) error {
	err := s.change(ctx, func(tx *transaction) error {
		account, err := lockAccount(ctx, tx, tenant, k.AccountID)
		if err != nil {
			return err
		}
		if err := mayMakeAppPassword(ctx, tx, tenant, account, k); err != nil {
			return err
		}
		if err := mustHaveRoom(ctx, tx, tenant, k.AccountID, most); err != nil {
			return err
		}
		first, err := affected(tx.ExecContext(ctx, `
			INSERT INTO app_passwords (tenant, id, selector, hash, account_id, grant_id, client_id, label, username,
				audiences, scopes, created_at, last_used_at, ended_at, ended_reason)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
			ON CONFLICT (tenant, selector) DO NOTHING`,
			tenant, k.ID, k.Selector, k.Hash, k.AccountID, sql.NullString{String: k.GrantID, Valid: k.GrantID != ""}, k.ClientID, k.Label, k.Username,
			asJSON{&k.Audiences}, k.Scopes, moment{&k.CreatedAt}, moment{&k.LastUsedAt}, moment{&k.EndedAt}, k.EndedReason))
		if err == nil && !first {
			return apppassword.ErrTaken
		}
		return err
	})
	if errors.Is(err, issuer.ErrNotFound) {
		return apppassword.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("write an app password of account %q: %w", k.AccountID, err)
	}
	return nil
}

// mayMakeAppPassword returns apppassword.ErrEnded if the sign-in or session has ended that a
// password is made from. A grant that lives is locked: who ends it finds the password.
func mayMakeAppPassword(ctx context.Context, tx *transaction, tenant string, account issuer.Account, k apppassword.Kept) error {
	if k.GrantID == "" {
		if account.EndedSince(k.AllowedAt) {
			return apppassword.ErrEnded
		}
		return nil
	}
	err := tx.QueryRowContext(ctx, `
		SELECT id FROM grants WHERE tenant = $1 AND account_id = $2 AND id = $3 AND ended_at IS NULL`+tx.engine.lockRow(),
		tenant, k.AccountID, k.GrantID).Scan(&k.GrantID)
	if errors.Is(err, sql.ErrNoRows) {
		return apppassword.ErrEnded
	}
	return err
}

// mustHaveRoom returns apppassword.ErrFull if as many app passwords of an account live as may.
func mustHaveRoom(ctx context.Context, tx *transaction, tenant, accountID string, most int) error {
	found, err := livingAppPasswords(ctx, tx, tenant, accountID)
	if err != nil {
		return err
	}
	living := 0
	for _, k := range found {
		if k.Lives() {
			living++
		}
	}
	if living >= most {
		return apppassword.ErrFull
	}
	return nil
}

// AppPassword returns the app password with a selector, ended or not.
func (s *Store) AppPassword(ctx context.Context, tenant, selector string) (k apppassword.Kept, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err = s.read.QueryRowContext(ctx, `
		SELECT `+appPasswordColumns+` FROM `+appPasswordTables+` WHERE p.tenant = $1 AND p.selector = $2`,
		tenant, selector).Scan(appPasswordFields(&k)...)
	if errors.Is(err, sql.ErrNoRows) {
		return apppassword.Kept{}, apppassword.ErrNotFound
	}
	if err != nil {
		return apppassword.Kept{}, fmt.Errorf("load an app password: %w", err)
	}
	return k, nil
}

// AppPasswords returns an account's app passwords that have not ended, newest first.
func (s *Store) AppPasswords(ctx context.Context, tenant, accountID string) ([]apppassword.Kept, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	found, err := livingAppPasswords(ctx, s.read, tenant, accountID)
	if err != nil {
		return nil, fmt.Errorf("load app passwords of account %q: %w", accountID, err)
	}
	return found, nil
}

func livingAppPasswords(ctx context.Context, q querier, tenant, accountID string) (found []apppassword.Kept, err error) {
	rows, err := q.QueryContext(ctx, `
		SELECT `+appPasswordColumns+` FROM `+appPasswordTables+`
		WHERE p.tenant = $1 AND p.account_id = $2 AND p.ended_at IS NULL ORDER BY p.created_at DESC, p.id`, tenant, accountID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var k apppassword.Kept
		if err := rows.Scan(appPasswordFields(&k)...); err != nil {
			return nil, err
		}
		found = append(found, k)
	}
	return found, rows.Err()
}

// EndAppPassword ends one app password of an account; the first reason stays.
func (s *Store) EndAppPassword(ctx context.Context, tenant, accountID, id, reason string, now time.Time) (ended bool, err error) {
	err = s.change(ctx, func(tx *transaction) error {
		ended, err = affected(tx.ExecContext(ctx, `
			UPDATE app_passwords SET ended_at = $4, ended_reason = $5
			WHERE tenant = $1 AND account_id = $2 AND id = $3 AND ended_at IS NULL`, tenant, accountID, id, moment{&now}, reason))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("end app password %q: %w", id, err)
	}
	return ended, nil
}

// EndAppPasswords ends an account's app passwords that live. The account's row is locked first, so that
// two who end them do so one after the other.
func (s *Store) EndAppPasswords(ctx context.Context, tenant, accountID, reason string, now time.Time) (ended int, err error) {
	err = s.change(ctx, func(tx *transaction) error {
		ended = 0
		_, err := lockAccount(ctx, tx, tenant, accountID)
		if errors.Is(err, issuer.ErrNotFound) {
			return nil // nobody's
		}
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `
			UPDATE app_passwords SET ended_at = $3, ended_reason = $4
			WHERE tenant = $1 AND account_id = $2 AND ended_at IS NULL`, tenant, accountID, moment{&now}, reason)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		ended = int(rows)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("end the app passwords of account %q: %w", accountID, err)
	}
	return ended, nil
}

// UseAppPassword notes the use of an app password, unless one was noted at or after since.
func (s *Store) UseAppPassword(ctx context.Context, tenant, id string, now, since time.Time) error {
	err := s.change(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE app_passwords SET last_used_at = $3
			WHERE tenant = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at < $4)`, tenant, id, moment{&now}, moment{&since})
		return err
	})
	if err != nil {
		return fmt.Errorf("note the use of app password %q: %w", id, err)
	}
	return nil
}
