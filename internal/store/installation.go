package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// ErrKey means that the database was sealed with another secret key. Stop: what
// is in it cannot be opened, and what would be added could not be opened later.
var ErrKey = errors.New("store: this database was sealed with another secret key")

// purposeKeyCheck and keyCheck are what is sealed to know the secret key again.
const (
	purposeKeyCheck = "key-check"
	keyCheck        = "signpost"
)

// KeepKey seals the database with the secret key: from now on CheckKey refuses
// every other one. A database that is sealed already stays as it is.
func (s *Store) KeepKey(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	sealed, err := s.sealer.Seal(purposeKeyCheck, []byte(keyCheck), nil)
	if err == nil {
		_, err = s.write.ExecContext(ctx, `
			INSERT INTO installation (id, base_url, key_check) VALUES (1, '', $1)
			ON CONFLICT (id) DO NOTHING`, sealed)
	}
	if err != nil {
		return fmt.Errorf("keep the key check: %w", err)
	}
	return nil
}

// CheckKey returns ErrKey if the secret key is not the one that the database was
// sealed with. One that KeepKey has not sealed yet is judged by its client secrets.
func (s *Store) CheckKey(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var sealed []byte
	err := s.read.QueryRowContext(ctx, `SELECT key_check FROM installation WHERE id = 1`).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return s.checkSecrets(ctx)
	}
	if err != nil {
		return fmt.Errorf("read the key check: %w", err)
	}
	if _, err := s.sealer.Open(purposeKeyCheck, sealed, nil); err != nil {
		return ErrKey
	}
	return nil
}

func (s *Store) checkSecrets(ctx context.Context) error {
	rows, err := s.read.QueryContext(ctx, `
		SELECT tenant, name, client_secret FROM identity_providers WHERE client_secret IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("read client secrets: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var tenant, name string
		var sealed []byte
		if err := rows.Scan(&tenant, &name, &sealed); err != nil {
			return fmt.Errorf("read client secrets: %w", err)
		}
		if _, err := s.openSecret(tenant, name, sealed); err != nil {
			return ErrKey
		}
	}
	return rows.Err()
}

// BaseURL returns the base URL under which the installation was served last, and
// nothing before the first time.
func (s *Store) BaseURL(ctx context.Context) (base string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err = s.read.QueryRowContext(ctx, `SELECT base_url FROM installation WHERE id = 1`).Scan(&base)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read the base URL: %w", err)
	}
	return base, nil
}

// KeepBaseURL records under which base URL the installation is served. Call
// KeepKey before.
func (s *Store) KeepBaseURL(ctx context.Context, base string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	found, err := affected(s.write.ExecContext(ctx, `UPDATE installation SET base_url = $1 WHERE id = 1`, base))
	if err == nil && !found {
		err = errors.New("the database is not sealed yet")
	}
	if err != nil {
		return fmt.Errorf("keep the base URL: %w", err)
	}
	return nil
}
