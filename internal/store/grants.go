package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"signpost/oidc/issuer"
)

// Reasons for which the store itself ends a grant.
const (
	reasonReplay = "replay" // its code came again (R19)
	reasonReuse  = "reuse"  // a used refresh token came again (R18)

	reasonReplaced = "replaced" // nobody speaks for its account any more, and another account has its name (R1)
)

const grantColumns = `grants.id, grants.account_id, grants.client_id, grants.scopes, grants.resources, grants.origin_hash,
	grants.created_at, grants.last_used_at, grants.ended_at, grants.ended_reason`

// grantFields are where grantColumns go, in their order.
func grantFields(g *issuer.Grant) []any {
	return []any{&g.ID, &g.AccountID, &g.ClientID, &g.Scopes, asJSON{&g.Resources}, &g.OriginHash,
		moment{&g.CreatedAt}, moment{&g.LastUsedAt}, moment{&g.EndedAt}, &g.EndedReason}
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

// CreateGrant writes a grant and the first token of its refresh family, if it has
// one. Of many callers with the same code one writes; each other one ends
// what that one wrote and gets ErrReplayed (R19). ErrNotFound means that the
// tenant has no such account.
func (s *Store) CreateGrant(ctx context.Context, tenant string, g issuer.Grant, refresh []byte) error {
	var replayed bool
	err := s.change(ctx, func(tx *transaction) error {
		replayed = false
		if err := mustHaveAccount(ctx, tx, tenant, g.AccountID); err != nil {
			return err
		}
		first, err := insertGrant(ctx, tx, tenant, g)
		if err != nil {
			return err
		}
		if !first {
			replayed = true
			return endReplayed(ctx, tx, tenant, g.OriginHash, g.CreatedAt)
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
		INSERT INTO grants (tenant, id, account_id, client_id, scopes, resources, origin_hash, created_at, last_used_at, ended_at, ended_reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (origin_hash) DO NOTHING`,
		tenant, g.ID, g.AccountID, g.ClientID, g.Scopes, asJSON{&g.Resources}, g.OriginHash,
		moment{&g.CreatedAt}, moment{&g.LastUsedAt}, moment{&g.EndedAt}, g.EndedReason))
}

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

// endGrant ends one grant, or returns issuer.ErrNotFound.
func endGrant(ctx context.Context, tx *transaction, tenant, id, reason string, now time.Time) error {
	ended, err := endGrants(ctx, tx, tenant, "id", id, reason, now)
	if err != nil || ended {
		return err
	}
	var found string
	err = tx.QueryRowContext(ctx, `SELECT id FROM grants WHERE tenant = $1 AND id = $2`, tenant, id).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return issuer.ErrNotFound
	}
	return err
}

// endGrants ends the living grants that have a value in a column, "id" or
// "account_id". If there were any it rings the bell, and notes with them how far
// that raised it.
func endGrants(ctx context.Context, tx *transaction, tenant, column, value, reason string, now time.Time) (ended bool, err error) {
	ended, err = affected(tx.ExecContext(ctx, `
		UPDATE grants SET ended_at = $3, ended_reason = $4
		WHERE tenant = $1 AND `+column+` = $2 AND ended_at IS NULL`, tenant, value, moment{&now}, reason))
	if err != nil || !ended {
		return false, err
	}
	revision, err := tx.ring(ctx)
	if err != nil {
		return false, err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE grants SET ended_revision = $3
		WHERE tenant = $1 AND `+column+` = $2 AND ended_at IS NOT NULL AND ended_revision IS NULL`, tenant, value, revision)
	return true, err
}
