package cache

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// ParseURL is what OpenRedis makes of a URL.
var ParseURL = parseURL

// OpenPatiently is OpenRedis for suites that are about answers, not about how soon
// they come: many run at once, on machines that do other things too.
func OpenPatiently(ctx context.Context, url string, guard Guard) (*Redis, error) {
	return openRedis(ctx, url, guard, 20*time.Second)
}

// SetNow gives the cache another clock, before anything else uses it.
func (r *Redis) SetNow(now func() time.Time) { r.now = now }

// Client is the connection to Redis, for tests that stand in its way.
func (r *Redis) Client() redis.UniversalClient { return r.client }

// ValueName and ChannelName tell under which names Redis sees
// what the caller calls key.
func (r *Redis) ValueName(key string) (string, error)   { return r.nameOf(valueKind, key) }
func (r *Redis) ChannelName(key string) (string, error) { return r.nameOf(messageKind, key) }

func (r *Redis) nameOf(kind, key string) (string, error) {
	p, err := r.place(kind, key)
	return p.name, err
}

// MaxTallies is how many keys a process counts itself.
const MaxTallies = maxTallies

// Tallies is how many it counts now.
func (l *Limits) Tallies() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tallies)
}
