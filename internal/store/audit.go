package store

import (
	"context"
	"fmt"

	"signpost/internal/audit"
)

// Record adds an event to the record, which nothing changes or removes. The
// event has reached the disk when Record returns nil.
func (s *Store) Record(ctx context.Context, e audit.Event) error {
	_, err := s.write.ExecContext(ctx, `
		INSERT INTO audit_events (at, kind, tenant, account_id, client_id, grant_id, service, scope, rule, outcome, subject_hash, request_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		moment{&e.At}, e.Kind, e.Tenant, e.Account, e.Client, e.Grant, e.Service, e.Scope, e.Rule, e.Outcome, e.SubjectHash, e.RequestID)
	if err != nil {
		return fmt.Errorf("record a %s event: %w", e.Kind, err)
	}
	return nil
}
