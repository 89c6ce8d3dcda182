package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"signpost/oidc/issuer"
)

// Reasons for which the store itself ends a grant.
const (
	reasonReplay = "replay" // its code came again (R19)
	reasonReuse  = "reuse"  // a used refresh token came again (R18)

	reasonReplaced = "replaced" // nobody speaks for its account any more, and another account has its name (R1)
)

const grantColumns = `grants.id, grants.account_id, grants.client_id, grants.scopes, grants.resources, grants.origin_hash,
	grants.created_at, grants.last_used_at, grants.ended_at, grants.ended_reason,
	grants.auth_time, grants.acr, grants.amr, grants.dpop_key`

// grantFields are where grantColumns go, in their order.
func grantFields(g *issuer.Grant) []any {
	return []any{&g.ID, &g.AccountID, &g.ClientID, &g.Scopes, asJSON{&g.Resources}, &g.OriginHash,
		moment{&g.CreatedAt}, moment{&g.LastUsedAt}, moment{&g.EndedAt}, &g.EndedReason,
		moment{&g.AuthTime}, &g.ACR, asJSON{&g.AMR}, &g.Key}
}

// Grant returns a grant, ended or not.
func (s *Store) Grant(ctx context.Context, tenant, id string) (g issuer.Grant, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err = s.read.QueryRowContext(ctx, `
		SELECT `+grantColumns+` FROM grants WHERE tenant = $1 AND id = $2`, tenant, id).Scan(grantFields(&g)...)
	if errors.Is(err, sql.ErrNoRows) {
		return issuer.Grant{}, issuer.ErrNotFound
	}
	if err != nil {
		return issuer.Grant{}, fmt.Errorf("load grant %q: %w", id, err)
	}
	return g, nil
}

// Grants returns an account's grants that live, newest first.
func (s *Store) Grants(ctx context.Context, tenant, accountID string) ([]issuer.Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	found, err := livingGrants(ctx, s.read, tenant, accountID)
	if err != nil {
		return nil, fmt.Errorf("load grants of account %q: %w", accountID, err)
	}
	return found, nil
}

func livingGrants(ctx context.Context, q querier, tenant, accountID string) (found []issuer.Grant, err error) {
	rows, err := q.QueryContext(ctx, `
		SELECT `+grantColumns+` FROM grants
		WHERE tenant = $1 AND account_id = $2 AND ended_at IS NULL ORDER BY created_at DESC, id`, tenant, accountID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var g issuer.Grant
		if err := rows.Scan(grantFields(&g)...); err != nil {
			return nil, err
		}
		found = append(found, g)
	}
	return found, rows.Err()
}

// CreateGrant writes a grant, the first token of its refresh family, if it has one, and
// what its client's id says, if that is given and not yet known. Of many callers with the same code one writes; each other one ends
// what that one wrote and gets ErrReplayed (R19). ErrNotFound means that the
// tenant has no such account. The account's row is locked first: who ends everything meanwhile
// comes before this grant, which is refused, or after it and ends it.
func (s *Store) CreateGrant(ctx context.Context, tenant string, g issuer.Grant, refresh []byte) error {
	var replayed bool
	err := s.change(ctx, func(tx *transaction) error {
		replayed = false
		account, err := lockAccount(ctx, tx, tenant, g.AccountID)
		if err != nil {
			return err
		}
		if account.EndedSince(g.AllowedAt) {
			return issuer.ErrEnded
		}
		first, err := insertGrant(ctx, tx, tenant, g)
		if err != nil {
			return err
		}
		if !first {
			replayed = true
			return endReplayed(ctx, tx, tenant, g.OriginHash, g.CreatedAt)
		}
		if err := keepRegistration(ctx, tx, tenant, g); err != nil {
			return err
		}
		if refresh == nil {
			return nil
		}
		return insertRefresh(ctx, tx, tenant, g.ID, refresh, g.CreatedAt)
	})
	if err != nil {
		return fmt.Errorf("create grant: %w", err)
	}
	if replayed {
		return issuer.ErrReplayed
	}
	return nil
}

func mustHaveAccount(ctx context.Context, tx *transaction, tenant, id string) error {
	var found string
	err := tx.QueryRowContext(ctx, `SELECT id FROM accounts WHERE tenant = $1 AND id = $2`, tenant, id).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return issuer.ErrNotFound
	}
	return err
}

// insertGrant reports false, and writes nothing, if the code has made a grant before.
func insertGrant(ctx context.Context, tx *transaction, tenant string, g issuer.Grant) (bool, error) {
	return affected(tx.ExecContext(ctx, `
		INSERT INTO grants (tenant, id, account_id, client_id, scopes, resources, origin_hash, created_at, last_used_at, ended_at, ended_reason,
			auth_time, acr, amr, dpop_key)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (origin_hash) DO NOTHING`,
		tenant, g.ID, g.AccountID, g.ClientID, g.Scopes, asJSON{&g.Resources}, g.OriginHash,
		moment{&g.CreatedAt}, moment{&g.LastUsedAt}, moment{&g.EndedAt}, g.EndedReason,
		moment{&g.AuthTime}, g.ACR, asJSON{&g.AMR}, g.Key))
}
