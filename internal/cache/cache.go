// Package cache keeps what may be lost: sign-ins in flight, codes, marks of what
// was used, counters. Losing it makes people try again; it loses no account, no
// grant and no revocation. It imports nothing of ours, and whoever needs it
// declares the verbs it uses in its own package.
//
// Memory serves a single process, Redis several. Whoever reads Redis learns
// nothing, and whoever writes it plants nothing. They can still delete, so
// that people start again; put a value that was taken back under its own key until its
// time is over, so that single use is for SQL to decide; lift or use up the limits
// of Allow, whose counters are bare numbers; and store so much that no memory is left.
package cache

import (
	"context"
	"errors"
	"time"
)

// ErrUnavailable means that the cache did not answer. Answer 503 and let the
// client try again; end nothing because of it.
var ErrUnavailable = errors.New("cache: unavailable")

// Cache is what every engine does, and what cachetest demands of each. Keys are
// whole strings chosen by the caller; values are copied in and out. Every
// method is safe for use by many goroutines.
type Cache interface {
	// Get returns the value and whether there is one.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	// Set keeps a value for ttl, which must be positive.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Delete removes a key; removing nothing is no error.
	Delete(ctx context.Context, key string) error
	// Take reads and removes in one step: of many takers one finds the value.
	Take(ctx context.Context, key string) (value []byte, found bool, err error)
	// Add keeps a value unless the key has one, and reports whether this call won.
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (won bool, err error)
	// Allow counts one event under key and reports whether at most limit happened
	// per span; if not, how long to wait. Bursts up to limit are allowed.
	Allow(ctx context.Context, key string, limit int, span time.Duration) (ok bool, wait time.Duration, err error)
	// AllowAfter is Allow after events that passed elsewhere: they are counted first, room or
	// not, so that the counter may owe up to limit events, which time pays back before it
	// allows anything. left is how many events more there is room for. For one key, limit
	// and span use either this or Allow.
	AllowAfter(ctx context.Context, key string, passed, limit int, span time.Duration) (ok bool, left int, wait time.Duration, err error)
	// Publish sends a message to everyone who subscribes to the channel now.
	Publish(ctx context.Context, channel string, message []byte) error
	// Subscribe delivers messages until stop is called or ctx ends. A slow
	// reader may miss messages, never block a publisher.
	Subscribe(ctx context.Context, channel string) (messages <-chan []byte, stop func(), err error)
}
