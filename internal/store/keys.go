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
		SELECT id, use, algorithm, sealed, created_at
		FROM signing_keys WHERE tenant = $1 ORDER BY created_at, id`, tenant)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := []keys.Stored{}
	for rows.Next() {
		var k keys.Stored
		if err := rows.Scan(&k.ID, &k.Use, &k.Algorithm, &k.Sealed, moment{&k.CreatedAt}); err != nil {
			return nil, err
		}
		found = append(found, k)
	}
	return found, rows.Err()
}

// AddKey keeps a signing key unless the tenant has one of its use and algorithm.
func (s *Store) AddKey(ctx context.Context, tenant string, k keys.Stored) (kept bool, err error) {
	err = s.change(ctx, func(tx *transaction) error {
		kept, err = affected(tx.ExecContext(ctx, `
			INSERT INTO signing_keys (tenant, id, use, algorithm, sealed, created_at)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tenant, use, algorithm) DO NOTHING`,
			tenant, k.ID, k.Use, k.Algorithm, k.Sealed, moment{&k.CreatedAt}))
		if err != nil || !kept {
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
