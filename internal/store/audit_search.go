package store

import (
	"context"
	"fmt"
	"strings"

	"signpost/internal/audit"
)

// Events returns the events that a query picks out, in the order of their ids.
func (s *Store) Events(ctx context.Context, q audit.Query) ([]audit.Stored, error) {
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	statement, values := searchFor(q)
	found, err := readEvents(ctx, s.read, statement, values)
	if err != nil {
		return nil, fmt.Errorf("search the audit record: %w", err)
	}
	return found, nil
}

// search is a statement that grows by its conditions.
type search struct {
	conditions []string
	values     []any
}

// only leaves the rows for which a condition holds; its $ stands for the value.
func (s *search) only(condition string, value any) {
	s.values = append(s.values, value)
	s.conditions = append(s.conditions, strings.ReplaceAll(condition, "$", fmt.Sprintf("$%d", len(s.values))))
}

// searchFor writes a query as a statement. It is read in the order of ids: those of an account or a
// request by their own index, all else along the table itself, which ends as soon as there are
// enough, or at the first or last event of the time that was asked for.
func searchFor(q audit.Query) (statement string, values []any) {
	var s search
	for _, member := range []struct{ column, value string }{
		{"tenant", q.Tenant}, {"account_id", q.Account}, {"client_id", q.Client}, {"grant_id", q.Grant}, {"service", q.Service},
		{"kind", q.Kind}, {"outcome", q.Outcome}, {"request_id", q.RequestID}, {"subject_hash", q.SubjectHash},
	} {
		if member.value != "" {
			s.only(member.column+` = $`, legible(member.value))
		}
	}
	if q.Rule != "" {
		s.only(`substr(rule, 1, length($)) = $`, legible(q.Rule))
	}
	// Events are kept nearly, but not exactly, in the order in which they happened. The sum
	// keeps an engine from looking for the first id by reading the table from its begin.
	if !q.Since.IsZero() {
		s.only(`at >= $ AND id >= (SELECT min(id + 0) FROM audit_events WHERE at >= $)`, moment{&q.Since})
	}
	if !q.Until.IsZero() {
		s.only(`at < $ AND id <= (SELECT max(id + 0) FROM audit_events WHERE at < $)`, moment{&q.Until})
	}
	order, beyond := `id`, `id > $`
	if q.Newest {
		order, beyond = `id DESC`, `id < $`
	}
	if q.After != 0 {
		s.only(beyond, q.After)
	}
	statement = `SELECT id, at, kind, tenant, account_id, client_id, grant_id, service, asked, scope, rule, outcome, subject_hash, request_id
		FROM audit_events`
	if len(s.conditions) > 0 {
		statement += ` WHERE ` + strings.Join(s.conditions, ` AND `)
	}
	limit := q.Limit
	if limit == 0 {
		limit = audit.DefaultLimit
	}
	return statement + fmt.Sprintf(` ORDER BY %s LIMIT %d`, order, limit), s.values
}

func readEvents(ctx context.Context, q querier, statement string, values []any) (found []audit.Stored, err error) {
	rows, err := q.QueryContext(ctx, statement, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e audit.Stored
		err := rows.Scan(&e.ID, moment{&e.At}, &e.Kind, &e.Tenant, &e.Account, &e.Client, &e.Grant, &e.Service, &e.Asked, &e.Scope,
			&e.Rule, &e.Outcome, &e.SubjectHash, &e.RequestID)
		if err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, rows.Err()
}
