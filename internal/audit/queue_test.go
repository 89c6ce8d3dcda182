package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"signpost/internal/audit"
)

// What a Queue promises (queue.go).
const (
	queueSize = 10_000
	batchSize = 500
	gatherFor = 50 * time.Millisecond
)

var errAway = errors.New("database is away")

// disk keeps batches, unless it is away or hangs.
type disk struct {
	mu      sync.Mutex
	batches [][]audit.Event
	tries   []time.Time
	away    bool
	hangs   bool // until its context ends
}

func (d *disk) keep(ctx context.Context, events []audit.Event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries = append(d.tries, time.Now())
	if d.hangs {
		d.mu.Unlock()
		<-ctx.Done()
		d.mu.Lock()
		return ctx.Err()
	}
	if d.away {
		return errAway
	}
	d.batches = append(d.batches, events)
	return nil
}

func (d *disk) set(change func(d *disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// kept returns the grants of all events that were kept, in order.
func (d *disk) kept() (grants []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, batch := range d.batches {
		for _, e := range batch {
			grants = append(grants, e.Grant)
		}
	}
	return grants
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func event(n int) audit.Event {
	return audit.Event{At: time.Now(), Kind: audit.KindToken, Grant: fmt.Sprint(n)}
}

func record(t *testing.T, q *audit.Queue, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := q.Record(t.Context(), event(n)); err != nil {
			t.Fatalf("Record %d: %v", n, err)
		}
	}
}

func closed(t *testing.T, q *audit.Queue) {
	t.Helper()
	if err := q.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// inOrder checks that exactly the events 0 to n-1 were kept, in order.
func inOrder(t *testing.T, d *disk, n int) {
	t.Helper()
	kept := d.kept()
	if len(kept) != n {
		t.Fatalf("%d events were kept, want %d", len(kept), n)
	}
	for i, grant := range kept {
		if grant != fmt.Sprint(i) {
			t.Fatalf("event %s is kept as number %d", grant, i)
		}
	}
}

func TestQueueKeepsInOrderAndInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		q := audit.NewQueue(d.keep, quiet())
		start := time.Now()
		record(t, q, 0, 3)
		if got := q.Depth(); got != 3 {
			t.Errorf("Depth = %d, want 3", got)
		}
		if got := q.Oldest(); !got.Equal(start) {
			t.Errorf("Oldest = %v, want %v", got, start)
		}
		synctest.Wait()
		if got := d.kept(); len(got) != 0 {
			t.Errorf("kept %v at once, want the first to wait for company", got)
		}
		time.Sleep(gatherFor)
		synctest.Wait()
		inOrder(t, d, 3)
		if len(d.batches) != 1 {
			t.Errorf("%d transactions, want 1", len(d.batches))
		}
		if got := q.Depth(); got != 0 || !q.Oldest().IsZero() {
			t.Errorf("Depth = %d, Oldest = %v, want nothing to wait", got, q.Oldest())
		}

		record(t, q, 3, 3+2*batchSize+1)
		synctest.Wait() // full batches do not wait for company
		if got := len(d.kept()); got != 3+2*batchSize {
			t.Errorf("%d events are kept, want the two full batches", got)
		}
		closed(t, q)
		inOrder(t, d, 3+2*batchSize+1)
		for i, batch := range d.batches {
			if len(batch) == 0 || len(batch) > batchSize {
				t.Errorf("batch %d has %d events, want 1 to %d", i, len(batch), batchSize)
			}
		}
	})
}

// Many who record at once: nothing is lost and each one's events keep their order.
func TestQueueTakesFromMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		q := audit.NewQueue(d.keep, quiet())
		var recorders sync.WaitGroup
		const many, each = 20, 100
		for r := range many {
			recorders.Go(func() {
				for n := range each {
					e := event(n)
					e.Account = fmt.Sprint(r)
					if err := q.Record(t.Context(), e); err != nil {
						t.Errorf("Record: %v", err)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		recorders.Wait()
		closed(t, q)
		next := map[string]int{}
		for _, batch := range d.batches {
			for _, e := range batch {
				if e.Grant != fmt.Sprint(next[e.Account]) {
					t.Fatalf("recorder %s: event %s comes where %d should", e.Account, e.Grant, next[e.Account])
				}
				next[e.Account]++
			}
		}
		for r := range many {
			if got := next[fmt.Sprint(r)]; got != each {
				t.Errorf("recorder %d: %d events were kept, want %d", r, got, each)
			}
		}
	})
}

// While the database is away events wait, tries become rarer, and the log says so
// twice: when it began and when it ended.
func TestQueueOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		d := &disk{away: true}
		q := audit.NewQueue(d.keep, slog.New(slog.NewTextHandler(&lines, nil)))
		record(t, q, 0, 2)
		time.Sleep(10 * time.Minute)
		record(t, q, 2, batchSize+10)
		if got := len(d.kept()); got != 0 {
			t.Fatalf("%d events were kept while the disk was away", got)
		}
		d.set(func(d *disk) { d.away = false })
		time.Sleep(5*time.Second + gatherFor)
		synctest.Wait()
		inOrder(t, d, batchSize+10)

		pauses := d.tries[:len(d.tries)-2]
		for i := 2; i < len(pauses); i++ {
			if before, pause := pauses[i-1].Sub(pauses[i-2]), pauses[i].Sub(pauses[i-1]); pause < before || pause > 5*time.Second {
				t.Errorf("pause %d is %v after %v, want it to grow up to 5 s", i, pause, before)
			}
		}
		if got := len(d.tries); got < 100 || got > 200 {
			t.Errorf("%d tries in ten minutes, want one each 5 s", got)
		}
		if got := strings.Count(lines.String(), "\n"); got != 2 || !strings.Contains(lines.String(), "after=10m") {
			t.Errorf("the log has %d lines, want one for the begin and one for the end:\n%s", got, lines.String())
		}
		closed(t, q)
	})
}

// A full queue makes Record wait for room, and refuse when nobody waits any longer.
func TestQueueFullRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{away: true}
		q := audit.NewQueue(d.keep, quiet())
		record(t, q, 0, queueSize)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := q.Record(ctx, event(-1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Record into a full queue = %v, want deadline exceeded", err)
		}
		if waited := time.Since(start); waited != 300*time.Millisecond {
			t.Errorf("Record waited %v, want as long as it may", waited)
		}
		start = time.Now()
		if err := q.Record(t.Context(), event(-1)); err == nil {
			t.Error("Record into a queue that stays full = nil, want it refused")
		}
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("Record waited %v, want a second: what was decided is not true for much longer", waited)
		}
		if got := q.Depth(); got != queueSize {
			t.Errorf("Depth = %d, want %d", got, queueSize)
		}

		taken := make(chan error, 1)
		go func() { taken <- q.Record(t.Context(), event(queueSize)) }()
		synctest.Wait()
		select {
		case err := <-taken:
			t.Fatalf("Record into a full queue = %v, want it to wait", err)
		default:
		}
		d.set(func(d *disk) { d.away = false })
		go func() { _ = q.Flush(t.Context()) }() // ends the pause before the next try
		if err := <-taken; err != nil {
			t.Errorf("Record when there is room again = %v", err)
		}
		// All the room is there again.
		time.Sleep(time.Second)
		synctest.Wait()
		d.set(func(d *disk) { d.away = true })
		record(t, q, queueSize+1, 2*queueSize+1)
		d.set(func(d *disk) { d.away = false })
		closed(t, q)
		inOrder(t, d, 2*queueSize+1)
	})
}

func TestQueueCloseSaysWhatWasLost(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*disk{"away": {away: true}, "hanging": {hangs: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var lines bytes.Buffer
				q := audit.NewQueue(d.keep, slog.New(slog.NewTextHandler(&lines, nil)))
				record(t, q, 0, 7)
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()
				start := time.Now()
				err := q.Close(ctx)
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "7 events") {
					t.Errorf("Close = %v, want deadline exceeded and 7 events", err)
				}
				if took := time.Since(start); took != 4*time.Second {
					t.Errorf("Close took %v, want the 4 s that it had", took)
				}
				if err := q.Close(t.Context()); err != nil {
					t.Errorf("a second Close = %v, want nil", err)
				}
				if want := map[string]int{"away": 1, "hanging": 0}[name]; strings.Count(lines.String(), "\n") != want {
					t.Errorf("the log has\n%s\nwant %d lines: the end of a try by Close is no outage", lines.String(), want)
				}
			})
		})
	}
}

// Close does not wait for the end of a pause: the database may be back.
func TestQueueCloseTriesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{away: true}
		q := audit.NewQueue(d.keep, quiet())
		record(t, q, 0, 1)
		time.Sleep(time.Minute + 123*time.Millisecond) // in the midst of a pause
		d.set(func(d *disk) { d.away = false })
		start := time.Now()
		closed(t, q)
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v, want none", took)
		}
		inOrder(t, d, 1)
	})
}

func TestQueueClosedRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		q := audit.NewQueue(d.keep, quiet())
		closed(t, q)
		if err := q.Record(t.Context(), event(0)); err == nil {
			t.Error("Record after Close = nil, want an error")
		}
		if got := q.Depth(); got != 0 {
			t.Errorf("Depth = %d, want 0", got)
		}

		// Who waits for room learns of the end too.
		full := &disk{away: true}
		q = audit.NewQueue(full.keep, quiet())
		record(t, q, 0, queueSize)
		refused := make(chan error, 1)
		go func() { refused <- q.Record(t.Context(), event(0)) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.Close(ctx); err == nil {
			t.Error("Close of a queue that cannot be emptied = nil, want an error")
		}
		if err := <-refused; err == nil {
			t.Error("Record while the queue is closed = nil, want an error")
		}
	})
}

// An event that no database takes must not stand in the way of all others.
func TestQueueRefusesAnEventWithoutTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		q := audit.NewQueue(d.keep, quiet())
		if err := q.Record(t.Context(), audit.Event{Kind: audit.KindToken}); err == nil {
			t.Error("an event without a time was taken, want an error")
		}
		closed(t, q)
		inOrder(t, d, 0)
	})
}

// A try that hangs is given up, and the next one may succeed.
func TestQueueGivesUpATryThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{hangs: true}
		q := audit.NewQueue(d.keep, quiet())
		record(t, q, 0, 1)
		time.Sleep(time.Second)
		d.set(func(d *disk) { d.hangs = false })
		time.Sleep(15 * time.Second)
		synctest.Wait()
		inOrder(t, d, 1)
		closed(t, q)
	})
}
