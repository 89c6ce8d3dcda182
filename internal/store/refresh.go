package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"signpost/oidc/issuer"
)

// Refresh returns a refresh token with its grant, ended or not.
func (s *Store) Refresh(ctx context.Context, tenant string, hash []byte) (issuer.Refresh, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var r issuer.Refresh
	fields := append([]any{&r.Hash, &r.GrantID, moment{&r.CreatedAt}, moment{&r.UsedAt}}, grantFields(&r.Grant)...)
	err := s.read.QueryRowContext(ctx, `
		SELECT t.hash, t.grant_id, t.created_at, t.used_at, `+grantColumns+`
		FROM refresh_tokens AS t JOIN grants ON grants.tenant = t.tenant AND grants.id = t.grant_id
		WHERE t.tenant = $1 AND t.hash = $2`, tenant, hash).Scan(fields...)
	if errors.Is(err, sql.ErrNoRows) {
		return issuer.Refresh{}, issuer.ErrNotFound
	}
	if err != nil {
		return issuer.Refresh{}, fmt.Errorf("load refresh token: %w", err)
	}
	return r, nil
}

func insertRefresh(ctx context.Context, tx *transaction, tenant, grant string, hash []byte, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO refresh_tokens (tenant, hash, grant_id, created_at, repeats)
		VALUES ($1, $2, $3, $4, 0)`, tenant, hash, grant, moment{&now})
	return err
}

// Rotate replaces a refresh token, answers a repetition with the successor that
// the first use made, or ends the grant (R18).
func (s *Store) Rotate(ctx context.Context, tenant string, r issuer.Rotation) (sealed []byte, err error) {
	var reused bool
	err = s.change(ctx, func(tx *transaction) error {
		reused = false
		grant, err := useGrant(ctx, tx, tenant, r.Presented, r.Now)
		if err != nil {
			return err
		}
		p, err := loadPresented(ctx, tx, tenant, r.Presented)
		if err != nil {
			return err
		}
		switch {
		case p.usedAt.IsZero():
			sealed = r.Sealed
			return useFirst(ctx, tx, tenant, grant, r)
		case p.repeatable(r):
			sealed = p.sealedSuccessor
			return countRepeat(ctx, tx, tenant, r.Presented)
		default:
			reused = true
			return endGrant(ctx, tx, tenant, grant, reasonReuse, r.Now)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("rotate refresh token: %w", err)
	}
	if reused {
		return nil, issuer.ErrReused
	}
	return sealed, nil
}

// useGrant sets the last use of the grant that a token belongs to and returns its
// ID. It comes first because it locks the grant's row: rotations of one family happen
// one after another, and what is read next is what the one before has left.
func useGrant(ctx context.Context, tx *transaction, tenant string, hash []byte, now time.Time) (grant string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT grant_id FROM refresh_tokens WHERE tenant = $1 AND hash = $2`, tenant, hash).Scan(&grant)
	if errors.Is(err, sql.ErrNoRows) {
		return "", issuer.ErrNotFound
	}
	if err != nil {
		return "", err
	}
	alive, err := affected(tx.ExecContext(ctx, `
		UPDATE grants SET last_used_at = $3 WHERE tenant = $1 AND id = $2 AND ended_at IS NULL`, tenant, grant, moment{&now}))
	if err != nil {
		return "", err
	}
	if !alive {
		return "", issuer.ErrEnded
	}
	return grant, nil
}

// presented is a refresh token that came in, as it was before.
type presented struct {
	usedAt          time.Time
	repeats         int
	sealedSuccessor []byte
	successorUsedAt time.Time
}

func loadPresented(ctx context.Context, tx *transaction, tenant string, hash []byte) (p presented, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT t.used_at, t.repeats, t.sealed_successor, successor.used_at
		FROM refresh_tokens AS t
		LEFT JOIN refresh_tokens AS successor ON successor.tenant = t.tenant AND successor.hash = t.successor_hash
		WHERE t.tenant = $1 AND t.hash = $2`, tenant, hash).
		Scan(moment{&p.usedAt}, &p.repeats, &p.sealedSuccessor, moment{&p.successorUsedAt})
	return p, err
}

// repeatable reports whether a used token may be answered once more: its first
// answer may have been lost, and nobody has used the successor yet. The clocks
// of two replicas may differ, so a repetition may seem to be before the first use.
func (p presented) repeatable(r issuer.Rotation) bool {
	since := r.Now.UnixMilli() - p.usedAt.UnixMilli()
	return since <= r.Window.Milliseconds() && p.repeats < r.Repeats && p.successorUsedAt.IsZero()
}

func useFirst(ctx context.Context, tx *transaction, tenant, grant string, r issuer.Rotation) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE refresh_tokens SET used_at = $3, successor_hash = $4, sealed_successor = $5
		WHERE tenant = $1 AND hash = $2`, tenant, r.Presented, moment{&r.Now}, r.Successor, r.Sealed)
	if err != nil {
		return err
	}
	return insertRefresh(ctx, tx, tenant, grant, r.Successor, r.Now)
}

func countRepeat(ctx context.Context, tx *transaction, tenant string, hash []byte) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE refresh_tokens SET repeats = repeats + 1 WHERE tenant = $1 AND hash = $2`, tenant, hash)
	return err
}
