package issuer_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"signpost/oidc"
	"signpost/oidc/issuer"
)

var errAway = errors.New("database is away")

// ledger is the SQL that several replicas share, as far as Known asks it.
type ledger struct {
	mu       sync.Mutex
	grants   map[string]issuer.Grant // of the tenant example
	login    string                  // of the one account
	revision int64
	ends     []string // the grant whose end raised the revision to its place in the list
	away     bool     // answers nothing
	feedAway bool     // Ended answers nothing
	reads    int      // of grants
	since    []int64  // what Ended was asked
	// meanwhile, if not nil, happens once: after grant and account were read, before Known has them.
	meanwhile func()
}

func newLedger(ids ...string) *ledger {
	l := &ledger{grants: map[string]issuer.Grant{}, login: "alice"}
	for _, id := range ids {
		l.grants[id] = issuer.Grant{ID: id, AccountID: "a1"}
	}
	return l
}

func (l *ledger) set(change func(l *ledger)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// end ends a grant, as another replica would.
func (l *ledger) end(id string, at time.Time) {
	l.set(func(l *ledger) {
		g := l.grants[id]
		g.EndedAt, g.EndedReason = at, "revoked"
		l.grants[id] = g
		l.revision++
		l.ends = append(l.ends, id)
	})
}

func (l *ledger) Grant(_ context.Context, tenant, id string) (issuer.Grant, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	g, found := l.grants[id]
	if l.away {
		return issuer.Grant{}, errAway
	}
	if !found || tenant != "example" {
		return issuer.Grant{}, issuer.ErrNotFound
	}
	return g, nil
}

func (l *ledger) Account(_ context.Context, _, id string) (issuer.Account, error) {
	l.mu.Lock()
	a, away, meanwhile := issuer.Account{ID: id, Login: l.login}, l.away, l.meanwhile
	l.meanwhile = nil
	l.mu.Unlock()
	if away {
		return issuer.Account{}, errAway
	}
	if meanwhile != nil {
		meanwhile()
	}
	return a, nil
}

func (l *ledger) Ended(_ context.Context, since int64) (ended []issuer.EndedGrant, revision int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = append(l.since, since)
	if l.away || l.feedAway {
		return nil, 0, errAway
	}
	for _, id := range l.ends[since:] {
		ended = append(ended, issuer.EndedGrant{Tenant: "example", ID: id})
	}
	return ended, l.revision, nil
}

// replica is one process that knows grants of a ledger.
type replica struct {
	*issuer.Known
	t       *testing.T
	ledger  *ledger
	now     time.Time
	results []string // what was observed
}

const maxStale = 5 * time.Minute

func newReplica(t *testing.T, l *ledger) *replica {
	t.Helper()
	return newReplicaFor(t, l, maxStale)
}

func newReplicaFor(t *testing.T, l *ledger, maxStale time.Duration) *replica {
	t.Helper()
	r := &replica{t: t, ledger: l, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	r.Known = issuer.NewKnown(l, l, maxStale, func() time.Time { return r.now })
	r.Observe = func(result string) { r.results = append(r.results, result) }
	return r
}

// look looks at the revision, as the service does twice a second, and reports
// whether that succeeded.
func (r *replica) look() bool {
	r.t.Helper()
	r.ledger.mu.Lock()
	revision, away := r.ledger.revision, r.ledger.away
	r.ledger.mu.Unlock()
	return !away && r.Looked(r.t.Context(), r.now, revision) == nil
}

// passes lets time pass, with a look each half second.
func (r *replica) passes(d time.Duration) {
	r.t.Helper()
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(min(500*time.Millisecond, end.Sub(r.now)))
		r.look()
	}
}

// What a replica says of a grant.
const (
	alive   = "alive"
	ended   = "ended"
	unknown = "unknown"
	busy    = "temporarily_unavailable"
)

func (r *replica) says(id string) string {
	r.t.Helper()
	_, grant, err := r.Holder(r.t.Context(), "example", id)
	switch {
	case errors.Is(err, issuer.ErrNotFound):
		return unknown
	case oidc.CodeOf(err) == oidc.CodeTemporarilyUnavailable:
		return busy
	case err != nil:
		r.t.Fatalf("Holder(%s) = %v", id, err)
	case grant.ID != id:
		r.t.Fatalf("Holder(%s) = grant %q", id, grant.ID)
	}
	if grant.EndedAt.IsZero() {
		return alive
	}
	return ended
}

// expect asks for a grant and compares the answer, what was observed and how often
// the grant was read for it.
func (r *replica) expect(when, id, answer, result string, reads int) {
	r.t.Helper()
	before := r.ledger.reads
	r.results = nil
	if got := r.says(id); got != answer {
		r.t.Errorf("%s: grant %s is %s, want %s", when, id, got, answer)
	}
	if want := []string{result}; !slices.Equal(r.results, want) {
		r.t.Errorf("%s: observed %q, want %q", when, r.results, want)
	}
	if got := r.ledger.reads - before; got != reads {
		r.t.Errorf("%s: grant %s was read %d times, want %d", when, id, got, reads)
	}
}
