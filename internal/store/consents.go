package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"signpost/oidc/issuer"
)

// Consent returns the scopes that an account allowed a client and that are remembered (R12).
func (s *Store) Consent(ctx context.Context, tenant, accountID, clientID string) (granted string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err = s.read.QueryRowContext(ctx, `
		SELECT scopes FROM consents WHERE tenant = $1 AND account_id = $2 AND client_id = $3`,
		tenant, accountID, clientID).Scan(&granted)
	if errors.Is(err, sql.ErrNoRows) {
		return "", issuer.ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("load a consent of account %q: %w", accountID, err)
	}
	return granted, nil
}

// KeepConsent remembers what an account allowed a client, in the place of what was
// remembered before.
func (s *Store) KeepConsent(ctx context.Context, tenant, accountID, clientID, granted string, now time.Time) error {
	err := s.change(ctx, func(tx *transaction) error {
		if err := mustHaveAccount(ctx, tx, tenant, accountID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO consents (tenant, account_id, client_id, scopes, at)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (tenant, account_id, client_id) DO UPDATE SET scopes = excluded.scopes, at = excluded.at`,
			tenant, accountID, clientID, granted, moment{&now})
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a consent of account %q: %w", accountID, err)
	}
	return nil
}

// ForgetConsent drops what is remembered of one client or, with an empty clientID, of all.
func (s *Store) ForgetConsent(ctx context.Context, tenant, accountID, clientID string) error {
	err := s.change(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM consents WHERE tenant = $1 AND account_id = $2 AND ($3 = '' OR client_id = $3)`,
			tenant, accountID, clientID)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget consents of account %q: %w", accountID, err)
	}
	return nil
}
