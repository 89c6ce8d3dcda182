// Package cachetest is the suite that every engine of internal/cache passes. What
// it demands is the contract of cache.Cache: callers rely on nothing else, so
// that a process alone and replicas behind Redis behave alike.
package cachetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/cache"
)

// Case is one demand on an engine. The cache is empty; advance lets time pass
// for it: by the fake clock of testing/synctest in process, by making older what
// is stored in Redis.
type Case func(t *testing.T, c cache.Cache, advance func(time.Duration))

// Run puts an engine to the test. start is called once for each case, in a
// subtest of its own: it opens an empty cache, runs the case with it and closes
// the cache again. It may do so inside a bubble of testing/synctest.
func Run(t *testing.T, start func(t *testing.T, run Case)) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  Case
	}{
		{"set and get", setAndGet},
		{"set replaces value and life", setReplaces},
		{"delete", deleteKey},
		{"empty value is a value", emptyValue},
		{"values are copied in and out", copies},
		{"a key is not another key", distinctKeys},
		{"values expire", expiry},
		{"get does not lengthen a life", getDoesNotTouch},
		{"take removes", takeRemoves},
		{"take finds nothing expired", takeExpired},
		{"take has one winner", takeOneWinner},
		{"add keeps the first", addKeepsFirst},
		{"add wins again after the end", addAfterExpiry},
		{"add has one winner", addOneWinner},
		{"a life must be positive", positiveTTL},
		{"allow a burst, then wait", allowBurst},
		{"allow fills up again", allowRefills},
		{"allow counts keys apart", allowKeysApart},
		{"allow counts apart from values", allowAndValues},
		{"allow counts every racer", allowRacers},
		{"allow wants positive numbers", allowArguments},
		{"allow after what passed", allowAfter},
		{"allow after more than there was room for", allowAfterDebt},
		{"what is owed has an end", allowAfterMostDebt},
		{"publish to every subscriber", publishToAll},
		{"publish to one channel only", publishOneChannel},
		{"publish without subscribers", publishToNobody},
		{"messages are copied", publishCopies},
		{"a slow reader blocks nobody", slowReader},
		{"stop ends a subscription", stopSubscription},
		{"the context ends a subscription", cancelSubscription},
		{"a context that has ended", cancelledContext},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			start(t, c.run)
		})
	}
}

// racers is how many goroutines compete in a race.
const racers = 32

// race runs f in many goroutines at once and returns how often it reported true.
func race(t *testing.T, f func(i int) (bool, error)) int {
	t.Helper()
	var wins atomic.Int64
	var failed atomic.Value
	var wg sync.WaitGroup
	ready := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-ready
			won, err := f(i)
			if err != nil {
				failed.Store(fmt.Errorf("racer %d: %w", i, err))
			}
			if won {
				wins.Add(1)
			}
		})
	}
	close(ready)
	wg.Wait()
	if err := failed.Load(); err != nil {
		t.Fatal(err)
	}
	return int(wins.Load())
}

func set(t *testing.T, c cache.Cache, key, value string, ttl time.Duration) {
	t.Helper()
	if err := c.Set(t.Context(), key, []byte(value), ttl); err != nil {
		t.Fatalf("Set(%q, %q, %v): %v", key, value, ttl, err)
	}
}

func wantValue(t *testing.T, c cache.Cache, key, want string) {
	t.Helper()
	got, found, err := c.Get(t.Context(), key)
	if err != nil || !found || string(got) != want {
		t.Errorf("Get(%q): got %q, %v, %v, want %q", key, got, found, err, want)
	}
}

func wantNothing(t *testing.T, c cache.Cache, key string) {
	t.Helper()
	got, found, err := c.Get(t.Context(), key)
	if err != nil || found || len(got) != 0 {
		t.Errorf("Get(%q): got %q, %v, %v, want nothing", key, got, found, err)
	}
}

// wantFault fails unless err is a refusal that is no outage: a caller that
// answered 503 to its own fault would hide it.
func wantFault(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("%s: got %v, want an error that is not ErrUnavailable", what, err)
	}
}
