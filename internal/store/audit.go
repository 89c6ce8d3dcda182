package store

import (
	"context"
	"fmt"
	"slices"
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

// eventsAtOnce is how many events one kept statement inserts; another one inserts the rest
// one by one.
const eventsAtOnce = 25

// RecordAll adds events in their order, all of them or, with an error, none.
func (s *Store) RecordAll(ctx context.Context, events []audit.Event) error {
	if len(events) == 0 {
		return nil
	}
	rows := make([][]any, len(events))
	for i, e := range events {
		rows[i] = []any{
			moment{&e.At}, e.Kind, legible(e.Tenant), legible(e.Account), legible(e.Client), legible(e.Grant),
			legible(e.Service), legible(e.Asked), legible(e.Scope), legible(e.Rule), e.Outcome, e.SubjectHash, legible(e.RequestID),
		}
	}
	err := s.addEvents(ctx, rows)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

const addEvent = `
	INSERT INTO audit_events (at, kind, tenant, account_id, client_id, grant_id, service, asked, scope, rule, outcome, subject_hash, request_id)`

func (s *Store) addEvents(ctx context.Context, rows [][]any) error {
	if !s.engine.keepsStatements() {
		return s.change(ctx, func(tx *transaction) error { return tx.insert(ctx, addEvent, rows) })
	}
	many, err := s.prepared(ctx, addEvent, len(rows[0]), eventsAtOnce)
	if err != nil {
		return err
	}
	one, err := s.prepared(ctx, addEvent, len(rows[0]), 1)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *transaction) error {
		many, one := tx.StmtContext(ctx, many), tx.StmtContext(ctx, one)
		defer many.Close()
		defer one.Close()
		for some := range slices.Chunk(rows, eventsAtOnce) {
			if len(some) == eventsAtOnce {
				if _, err := many.ExecContext(ctx, slices.Concat(some...)...); err != nil {
					return err
				}
				continue
			}
			for _, row := range some {
				if _, err := one.ExecContext(ctx, row...); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// legible makes text of what a stranger sent. PostgreSQL takes neither bytes that are no
// UTF-8 nor zeros, and a refusal that cannot be recorded would become a failure.
func legible(sent string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(sent, "\x00", "\uFFFD"), "\uFFFD")
}
