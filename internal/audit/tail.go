package audit

import (
	"context"
	"slices"
	"time"
)

// How a Tail looks.
const (
	tailEvery = 500 * time.Millisecond
	// lookBack is how long a Tail looks again below the events that it has seen: an
	// event gets its id before its transaction commits, so that one with a smaller id
	// may appear later. A transaction takes at most half of this.
	lookBack = time.Minute
	// firstPage is how many events the first look reads at a time.
	firstPage = 1000
)

// Tail reads the end of a record, and what is added to it, each event once.
type Tail struct {
	from  Reader
	query Query

	seen    map[int64]bool // events above settled that were read
	settled int64          // nothing more appears up to here
	looks   []look         // those that settled has not caught up with, the oldest first
}

// look is the highest id that was seen at a moment.
type look struct {
	at      time.Time
	highest int64
}

// NewTail makes a Tail of the events that a query picks out. Order, After and Limit of the
// query do not count.
func NewTail(from Reader, q Query) *Tail {
	return &Tail{from: from, query: q, seen: map[int64]bool{}}
}

// Last returns the newest n events, the oldest of them first. Call it once, before Follow.
//
// It reads back to one that happened longer ago than lookBack, so that it knows which there are of those
// next to which one may still appear.
func (t *Tail) Last(ctx context.Context, n int) ([]Stored, error) {
	began := time.Now()
	q := t.query
	q.Newest, q.After, q.Limit = true, 0, max(n, firstPage)
	var last, read []Stored
	for page := 0; ; page++ {
		found, err := t.from.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		if page == 0 {
			last = slices.Clone(found[:min(n, len(found))])
			slices.Reverse(last)
		}
		read = append(read, found...)
		if len(found) < q.Limit {
			break
		}
		oldest := found[len(found)-1]
		if began.Sub(oldest.At) > lookBack {
			t.settled = oldest.ID
			break
		}
		q.After, q.Limit = oldest.ID, firstPage
	}
	slices.Reverse(read)
	t.note(began, read)
	return last, nil
}

// Follow gives each event that is added to show, until ctx ends: then it returns nil. It
// looks twice a second. An error is that of the Reader or of show.
func (t *Tail) Follow(ctx context.Context, show func(Stored) error) error {
	ticker := time.NewTicker(tailEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := t.look(ctx, show); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// look reads all there is above settled and shows what was not seen before.
func (t *Tail) look(ctx context.Context, show func(Stored) error) error {
	began := time.Now()
	t.settle(began)
	q := t.query
	q.Newest, q.After, q.Limit = false, t.settled, DefaultLimit
	for {
		found, err := t.from.Events(ctx, q)
		if err != nil {
			return err
		}
		for _, e := range found {
			if t.seen[e.ID] {
				continue
			}
			if err := show(e); err != nil {
				return err
			}
		}
		t.note(began, found)
		if len(found) < q.Limit {
			return nil
		}
		q.After = found[len(found)-1].ID
	}
}

// note keeps what a look, which began at a moment, has read, in the order of ids.
func (t *Tail) note(began time.Time, found []Stored) {
	if len(found) == 0 {
		return
	}
	for _, e := range found {
		t.seen[e.ID] = true
	}
	highest := found[len(found)-1].ID
	if last := len(t.looks) - 1; last < 0 || highest > t.looks[last].highest {
		t.looks = append(t.looks, look{began, highest})
	}
}

// settle forgets the events up to the highest one that was seen so long ago that none
// below it is still on its way.
func (t *Tail) settle(now time.Time) {
	for len(t.looks) > 0 && now.Sub(t.looks[0].at) > lookBack {
		t.settled = max(t.settled, t.looks[0].highest)
		t.looks = t.looks[1:]
	}
	for id := range t.seen {
		if id <= t.settled {
			delete(t.seen, id)
		}
	}
}
