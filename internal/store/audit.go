package store

import (
	"context"
	"fmt"
	"strings"

	"signpost/internal/audit"
)

// Record adds an event to the record, which nothing changes, and which nothing but PruneAudit
// shortens. The event has reached the disk when Record returns nil.
func (s *Store) Record(ctx context.Context, e audit.Event) error {
	if err := s.RecordAll(ctx, []audit.Event{e}); err != nil {
		return fmt.Errorf("a %s event: %w", e.Kind, err)
	}
	return nil
}

// RecordAll adds events in their order, all of them or, with an error, none.
func (s *Store) RecordAll(ctx context.Context, events []audit.Event) error {
	rows := make([][]any, len(events))
	for i, e := range events {
		rows[i] = []any{
			moment{&e.At}, e.Kind, legible(e.Tenant), legible(e.Account), legible(e.Client), legible(e.Grant),
			legible(e.Service), legible(e.Asked), legible(e.Scope), legible(e.Rule), e.Outcome, e.SubjectHash, legible(e.RequestID),
		}
	}
	err := s.change(ctx, func(tx *transaction) error {
		return tx.insert(ctx, `
			INSERT INTO audit_events (at, kind, tenant, account_id, client_id, grant_id, service, asked, scope, rule, outcome, subject_hash, request_id)`, rows)
	})
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// legible makes text of what a stranger sent. PostgreSQL takes neither bytes that are no
// UTF-8 nor zeros, and a refusal that cannot be recorded would become a failure.
func legible(sent string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(sent, "\x00", "\uFFFD"), "\uFFFD")
}
