package store

import (
	"context"
	"database/sql"
	"fmt"

	"signpost/oidc/issuer"
)

// Ended returns the grants whose end raised the revision above since, and the
// revision, both as of one moment. Ends become visible in the order of their
// revisions, so none at or below the returned one comes later. The grants of
// a tenant that was removed are gone and not among them.
func (s *Store) Ended(ctx context.Context, since int64) (ended []issuer.EndedGrant, revision int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	ended, revision, err = readEnded(ctx, s.read, since)
	if err != nil {
		return nil, 0, fmt.Errorf("read which grants ended since revision %d: %w", since, err)
	}
	return ended, revision, nil
}

// readEnded asks with one statement, which sees one moment on every engine.
func readEnded(ctx context.Context, q querier, since int64) (ended []issuer.EndedGrant, revision int64, err error) {
	rows, err := q.QueryContext(ctx, `
		SELECT revision.value, grants.tenant, grants.id
		FROM revision LEFT JOIN grants ON grants.ended_revision > $1
		WHERE revision.id = 1 ORDER BY grants.ended_revision`, since)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var tenant, id sql.NullString // null in the one row without a grant
		if err := rows.Scan(&revision, &tenant, &id); err != nil {
			return nil, 0, err
		}
		if id.Valid {
			ended = append(ended, issuer.EndedGrant{Tenant: tenant.String, ID: id.String})
		}
	}
	return ended, revision, rows.Err()
}
