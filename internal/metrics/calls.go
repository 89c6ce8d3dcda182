package metrics

import (
	"context"
	"errors"
	"time"
)

// Dependencies, as the label "dependency" names them.
const (
	Database = "database"
	Cache    = "cache"
	Upstream = "upstream"
)

// Outcomes of calls.
const (
	ok       = "ok"       // answered, if only with "there is none"
	failed   = "error"    // not answered, or answered that it cannot
	canceled = "canceled" // the client hung up meanwhile, which is nobody's fault
)

// Results of look-ups, for Lookup.
const (
	Hit  = "hit"
	Miss = "miss"
	Fail = "error" // the cache did not answer
)

// Call times one call of a dependency that began at start and ended now. err is what
// it returned: nil also when the answer was one that the caller does not like.
// operation is a word of the program's own, never of a caller's.
func (m *Metrics) Call(ctx context.Context, dependency, operation string, start time.Time, err error) {
	outcome := ok
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		outcome = canceled
	case err != nil:
		outcome = failed
	}
	m.calls.WithLabelValues(dependency, operation, outcome).Observe(time.Since(start).Seconds())
}

// Lookup counts a look-up in a cache: Hit, Miss or Fail.
func (m *Metrics) Lookup(cache, result string) { m.lookups.WithLabelValues(cache, result).Inc() }
