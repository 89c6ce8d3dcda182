package store

import (
	"context"
	"fmt"

	"signpost/oidc/keys"
)

// Keys returns a tenant's signing keys, oldest first.
func (s *Store) Keys(ctx context.Context, tenant string) ([]keys.Stored, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	found, err := loadKeys(ctx, s.read, tenant)
	if err != nil {
		return nil, fmt.Errorf("load signing keys of tenant %q: %w", tenant, err)
	}
	return found, nil
}

func loadKeys(ctx context.Context, q querier, tenant string) ([]keys.Stored, error) {
	rows, err := q.QueryContext(ctx, `
		SELECT id, use, algorithm, sealed, created_at, signs_from, removed_at, coalesce(successor, ''), compromised
		FROM signing_keys WHERE tenant = $1 ORDER BY created_at, id`, tenant)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := []keys.Stored{}
	for rows.Next() {
		var k keys.Stored
		err := rows.Scan(&k.ID, &k.Use, &k.Algorithm, &k.Sealed, moment{&k.CreatedAt},
			moment{&k.SignsFrom}, moment{&k.RemovedAt}, &k.Successor, &k.Compromised)
		if err != nil {
			return nil, err
		}
		found = append(found, k)
	}
	return found, rows.Err()
}

// CountKeys returns how many signing keys there are, of all tenants: more than before
// whenever one was added or replaced.
func (s *Store) CountKeys(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM signing_keys`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count signing keys: %w", err)
	}
	return n, nil
}

// AddKey keeps a signing key unless the tenant has a line of its use and algorithm.
func (s *Store) AddKey(ctx context.Context, tenant string, k keys.Stored) (kept bool, err error) {
	err = s.change(ctx, func(tx *transaction) error {
		if kept, err = insertHead(ctx, tx, tenant, k); err != nil || !kept {
			return err
		}
		_, err = tx.ring(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("add signing key %q of tenant %q: %w", k.ID, tenant, err)
	}
	return kept, nil
}

// insertHead keeps a key as the head of its line, unless there is one.
func insertHead(ctx context.Context, tx *transaction, tenant string, k keys.Stored) (bool, error) {
	return affected(tx.ExecContext(ctx, `
		INSERT INTO signing_keys (tenant, id, use, algorithm, sealed, created_at, signs_from)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (tenant, use, algorithm) WHERE successor IS NULL DO NOTHING`,
		tenant, k.ID, k.Use, k.Algorithm, k.Sealed, moment{&k.CreatedAt}, moment{&k.SignsFrom}))
}

// ReplaceKey puts a key in the place of the head of its line. keys.ErrReplaced means
// that there is no such head: another process was first.
func (s *Store) ReplaceKey(ctx context.Context, tenant string, r keys.Replacement) error {
	err := s.change(ctx, func(tx *transaction) error {
		if err := succeed(ctx, tx, tenant, r); err != nil {
			return err
		}
		if r.Compromised {
			if err := distrust(ctx, tx, tenant, r); err != nil {
				return err
			}
		}
		headed, err := insertHead(ctx, tx, tenant, r.Next)
		if err != nil {
			return err
		}
		if !headed {
			return keys.ErrReplaced
		}
		_, err = tx.ring(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("replace signing key %q of tenant %q: %w", r.Head, tenant, err)
	}
	return nil
}

// succeed names the successor of a head. Whoever comes second waits here for the first
// and finds that it is no head any more.
func succeed(ctx context.Context, tx *transaction, tenant string, r keys.Replacement) error {
	found, err := affected(tx.ExecContext(ctx, `
		UPDATE signing_keys SET successor = $5, removed_at = $6
		WHERE tenant = $1 AND id = $2 AND use = $3 AND algorithm = $4 AND successor IS NULL`,
		tenant, r.Head, r.Next.Use, r.Next.Algorithm, r.Next.ID, moment{&r.RemovedAt}))
	if err != nil {
		return err
	}
	if !found {
		return keys.ErrReplaced
	}
	return nil
}

// distrust marks the whole line, which the new key has not joined yet.
func distrust(ctx context.Context, tx *transaction, tenant string, r keys.Replacement) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE signing_keys SET removed_at = $4, compromised = $5
		WHERE tenant = $1 AND use = $2 AND algorithm = $3`,
		tenant, r.Next.Use, r.Next.Algorithm, moment{&r.RemovedAt}, true)
	return err
}
