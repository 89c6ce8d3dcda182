package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"signpost/oidc/issuer"
)

// Registration returns what the id of a registered client says, by the SHA-256 of that
// id, and whether it was kept: it is once the client has had a grant (R14).
func (s *Store) Registration(ctx context.Context, tenant string, idHash []byte) (metadata []byte, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err = s.read.QueryRowContext(ctx, `
		SELECT metadata FROM registrations WHERE tenant = $1 AND client_hash = $2`, tenant, idHash).Scan(&metadata)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("load the registration of a client: %w", err)
	}
	return metadata, true, nil
}

// keepRegistration keeps what the client's id says with its first grant.
func keepRegistration(ctx context.Context, tx *transaction, tenant string, g issuer.Grant) error {
	if g.Registration == nil {
		return nil
	}
	idHash := sha256.Sum256([]byte(g.ClientID))
	_, err := tx.ExecContext(ctx, `
		INSERT INTO registrations (tenant, client_hash, metadata, created_at)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant, client_hash) DO NOTHING`, tenant, idHash[:], g.Registration, moment{&g.CreatedAt})
	return err
}
