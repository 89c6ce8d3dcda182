package audit_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"signpost/internal/audit"
)

// shelf is a record: events that are committed, in the order of their ids.
type shelf struct {
	mu      sync.Mutex
	ids     []int64
	at      map[int64]time.Time // when they happened; long ago if it does not say
	queries []audit.Query
	err     error
}

func (s *shelf) commit(ids ...int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, ids...)
	slices.Sort(s.ids)
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Events does as a Reader shall.
func (s *shelf) Events(ctx context.Context, q audit.Query) (found []audit.Stored, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, q)
	if s.err != nil {
		return nil, s.err
	}
	ids := slices.Clone(s.ids)
	if q.Newest {
		slices.Reverse(ids)
	}
	for _, id := range ids {
		if q.After != 0 && (q.Newest && id >= q.After || !q.Newest && id <= q.After) {
			continue
		}
		if len(found) == q.Limit {
			break
		}
		found = append(found, audit.Stored{ID: id, Event: audit.Event{At: s.at[id]}})
	}
	return found, ctx.Err()
}

// shown keeps what a Tail shows.
type shown struct {
	mu  sync.Mutex
	ids []int64
	err error // what show returns
}

func (s *shown) show(e audit.Stored) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, e.ID)
	return s.err
}

func (s *shown) since(n int) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ids[n:])
}

// upTo returns the numbers from one to another.
func upTo(from, to int64) (ids []int64) {
	for id := from; id <= to; id++ {
		ids = append(ids, id)
	}
	return ids
}

// following starts to follow behind the last n of a shelf. It is to be called in a bubble.
func following(t *testing.T, from *shelf, n int, want ...int64) (*shown, func() error) {
	t.Helper()
	tail := audit.NewTail(from, audit.Query{Tenant: "example", Newest: true, After: 7, Limit: 1})
	last, err := tail.Last(t.Context(), n)
	if err != nil {
		t.Fatalf("Last: %v", err)
	}
	var got []int64
	for _, e := range last {
		got = append(got, e.ID)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("Last(%d) = %v, want %v", n, got, want)
	}
	ctx, stop := context.WithCancel(t.Context())
	s, ended := &shown{}, make(chan error, 1)
	go func() { ended <- tail.Follow(ctx, s.show) }()
	return s, func() error { stop(); return <-ended }
}

// twoLooks lets a Tail look twice.
func twoLooks() {
	time.Sleep(1001 * time.Millisecond)
	synctest.Wait()
}

func TestTailShowsTheLastAndWhatComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from := &shelf{}
		from.commit(upTo(1, 20)...)
		s, stop := following(t, from, 3, 18, 19, 20)
		twoLooks()
		if got := s.since(0); len(got) != 0 {
			t.Errorf("before anything came %v was shown", got)
		}
		from.commit(21, 22)
		twoLooks()
		from.commit(upTo(23, 3000)...) // more than one page
		twoLooks()
		if got := s.since(0); !slices.Equal(got, upTo(21, 3000)) {
			t.Errorf("%d events were shown, want each of the %d that came, once, in order", len(got), 2980)
		}
		if err := stop(); err != nil {
			t.Errorf("Follow = %v when its context ended, want nil", err)
		}
		for _, q := range from.queries {
			if q.Tenant != "example" {
				t.Fatalf("the record was asked for %+v, want the tenant's alone", q)
			}
		}
	})
}

// TestTailMissesNothingThatComesLate: an id may be given out a long time before its event can be seen.
func TestTailMissesNothingThatComesLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from := &shelf{}
		from.commit(1, 2, 3, 5, 6) // 4 is on its way
		s, stop := following(t, from, 2, 5, 6)
		time.Sleep(30 * time.Second)
		from.commit(4)
		twoLooks()
		from.commit(8, 9) // 7 is on its way
		time.Sleep(30 * time.Second)
		from.commit(10)
		time.Sleep(29 * time.Second)
		from.commit(7)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		from.commit(11)
		twoLooks()
		if got, want := s.since(0), []int64{4, 8, 9, 10, 7, 11}; !slices.Equal(got, want) {
			t.Errorf("shown were %v, want %v", got, want)
		}
		// It does not look back for ever: that would make each look longer than the one before.
		if last := from.queries[len(from.queries)-1]; last.After != 10 {
			t.Errorf("the last look went back to %d, want to 10, which was seen long ago", last.After)
		}
		if err := stop(); err != nil {
			t.Errorf("Follow = %v, want nil", err)
		}
	})
}

func TestTailOfALongRecordBeginsNearItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from := &shelf{}
		from.commit(upTo(1, 5000)...)
		s, stop := following(t, from, 0)
		twoLooks()
		if got := s.since(0); len(got) != 0 {
			t.Errorf("%v was shown, want nothing of what was there before", got)
		}
		if last := from.queries[len(from.queries)-1]; last.After < 3000 {
			t.Errorf("a look went back to %d, want near the end", last.After)
		}
		if err := stop(); err != nil {
			t.Errorf("Follow = %v, want nil", err)
		}
		if last, err := audit.NewTail(from, audit.Query{}).Last(t.Context(), 2500); err != nil || len(last) != 2500 || last[0].ID != 2501 {
			t.Errorf("Last(2500) = %d events, %v, want the last 2500", len(last), err)
		}
	})
}

// TestTailMissesNothingBelowManyYoungEvents: however many there are of them, next to young ones others may appear.
func TestTailMissesNothingBelowManyYoungEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from := &shelf{at: map[int64]time.Time{}}
		from.commit(upTo(1, 2000)...)
		for _, id := range upTo(2006, 5500) { // 2001 to 2005 are on their way
			from.commit(id)
			from.at[id] = time.Now().Add(-time.Second)
		}
		s, stop := following(t, from, 2, 5499, 5500)
		twoLooks()
		from.commit(upTo(2001, 2005)...)
		twoLooks()
		if got := s.since(0); !slices.Equal(got, upTo(2001, 2005)) {
			t.Errorf("%v was shown, want the five that came late", got)
		}
		if last := from.queries[len(from.queries)-1]; last.After < 1000 {
			t.Errorf("a look went back to %d, want not to what happened long ago", last.After)
		}
		if err := stop(); err != nil {
			t.Errorf("Follow = %v, want nil", err)
		}
	})
}

func TestTailOfAnEmptyRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from := &shelf{}
		s, stop := following(t, from, 10)
		from.commit(1)
		twoLooks()
		if got := s.since(0); !slices.Equal(got, []int64{1}) {
			t.Errorf("shown were %v, want the first event", got)
		}
		if err := stop(); err != nil {
			t.Errorf("Follow = %v, want nil", err)
		}
	})
}

func TestTailEndsWithAnError(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(from *shelf, s *shown){
		"the record cannot be read": func(from *shelf, _ *shown) { from.fail(errAway) },
		"nobody reads what it shows": func(from *shelf, s *shown) {
			s.mu.Lock()
			s.err = errAway
			s.mu.Unlock()
			from.commit(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				from := &shelf{}
				s, stop := following(t, from, 0)
				breaks(from, s)
				twoLooks()
				if err := stop(); !errors.Is(err, errAway) {
					t.Errorf("Follow = %v, want the error", err)
				}
			})
		})
	}
	from := &shelf{err: errAway}
	if _, err := audit.NewTail(from, audit.Query{}).Last(t.Context(), 1); !errors.Is(err, errAway) {
		t.Errorf("Last = %v, want the error", err)
	}
}
