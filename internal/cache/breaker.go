package cache

import (
	"sync"
	"time"
)

// rest is how long a server that did not answer is left alone.
const rest = time.Second

// breaker keeps callers from waiting for a server that does not answer: a Redis
// that was stopped takes connections and says nothing, and each request would
// wait its half second for it. Its zero value lets everyone through.
type breaker struct {
	mu    sync.Mutex
	until time.Time // zero as long as the server answers
}

// enter reports whether a call may go to the server. Once the rest is over one
// may; it claims the next rest for itself, so that it stays the only one, and so
// that another follows even if this one reports nothing.
func (b *breaker) enter(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		return true
	}
	if now.Before(b.until) {
		return false
	}
	b.until = now.Add(rest)
	return true
}

// answered lets everyone through again.
func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = time.Time{}
}

// silent lets nobody through for a while.
func (b *breaker) silent(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = now.Add(rest)
}
