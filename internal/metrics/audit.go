package metrics

import (
	"context"

	"signpost/internal/audit"
)

// ObservedLog counts the events that an audit log took. An event that it could not
// keep did not happen: the action that it describes does not go on.
func (m *Metrics) ObservedLog(next audit.Log) audit.Log { return observedLog{next, m} }

type observedLog struct {
	next audit.Log
	m    *Metrics
}

func (l observedLog) Record(ctx context.Context, e audit.Event) error {
	if err := l.next.Record(ctx, e); err != nil {
		return err
	}
	l.m.events.WithLabelValues(e.Kind, e.Rule, e.Outcome).Inc()
	return nil
}
