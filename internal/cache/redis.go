package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// patience is how long a call may take, with connecting, redirections and the one
// retry. People wait behind it, and Redis in the same network answers within a
// millisecond: what has not come after half a second will not come soon.
const patience = 500 * time.Millisecond

// connections bounds the pool of each server. A command takes a fraction of a
// millisecond, so this many carry more than a replica can ask for. Whoever finds
// all in use waits for one as part of its half second.
const connections = 32

// Redis is the cache that several processes share. It needs Redis 6.2 or newer,
// alone, with Sentinel or as a Cluster, and there a user with
//
//	~signpost:* &signpost:* +get +getrange +strlen +set +del +getdel +eval +evalsha +time
//	+publish +subscribe +unsubscribe +ping +hello +auth +select +client|setname
//	+command +cluster|slots
//
// of which the last line is for a Cluster.
//
// Nothing in Redis can be read or made up without the server key (R25): names are
// MACs, and values and messages are sealed for their key together with the time at
// which they end, so neither another key nor a longer life gives them back. What does not
// open is not there. The clocks of the processes must agree: a process that is ahead
// finds nothing in the last moments of an entry.
//
// Every failure of Redis is ErrUnavailable. After one without an answer the calls
// of the next second fail at once, then one asks again. In a Cluster a single server
// that is away counts as all until another has taken its place.
//
// A call whose answer was lost on a broken connection is made once more. So Take
// may find nothing, Add may lose against itself and Allow may count twice: who
// asked tries again, and nothing is used twice.
type Redis struct {
	client  redis.UniversalClient
	guard   Guard
	now     func() time.Time
	within  time.Duration // patience, and more where a test shares its machine with many others
	breaker breaker

	mu        sync.Mutex // between Subscribe and Close
	ended     context.Context
	end       context.CancelFunc
	listeners sync.WaitGroup
}

var _ Cache = (*Redis)(nil)

// OpenRedis returns the cache at a URL, which has one of these forms:
//
//	redis://user:password@host:port/database
//	redis+sentinel://user:password@host:port,host:port/database?master=name
//	redis+cluster://user:password@host:port,host:port
//
// With "rediss" instead of "redis" it speaks TLS. Everything but a host may be left
// out. Parameters: ca_file, a PEM file with the authorities to trust instead of the
// system's; for Sentinel also sentinel_username and sentinel_password. The error is
// about the URL alone and shows no part of it that could be a password. A Redis that
// is away is no error: it is asked once, so that the first callers need not wait, and
// again as calls come. The cache must be closed.
//
// It silences go-redis, whose log is one for the whole process and has no levels for
// lines like ours: what happened is in the errors.
func OpenRedis(ctx context.Context, url string, guard Guard) (*Redis, error) {
	return openRedis(ctx, url, guard, patience)
}

func openRedis(ctx context.Context, url string, guard Guard, within time.Duration) (*Redis, error) {
	options, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	logging.Disable()
	r := &Redis{client: redis.NewUniversalClient(bounded(options, within)), guard: guard, now: time.Now, within: within}
	r.ended, r.end = context.WithCancel(context.Background())
	_ = r.Ping(ctx) // the answer stays in the breaker
	return r, nil
}

// bounded adds what no URL decides.
func bounded(o *redis.UniversalOptions, within time.Duration) *redis.UniversalOptions {
	o.ClientName = "signpost" // who it is, in CLIENT LIST
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = within, within, within
	o.ContextTimeoutEnabled = true // without it only single steps would end in time
	o.PoolSize, o.PoolTimeout = connections, within
	o.DialerRetries = 1 // the breaker asks again, and no caller waits for it
	o.MaxRetries = 1    // once more on a new connection: the old one may have been closed long ago
	o.MaxRetryBackoff = 50 * time.Millisecond
	o.Protocol = 2           // nothing of the newer one is used
	o.DisableIdentity = true // it would ask for more rights, to tell the name of the library
	return o
}

// Close ends all subscriptions and connections. Every later call returns
// ErrUnavailable. Closing again does nothing.
func (r *Redis) Close() {
	r.mu.Lock()
	closed := r.ended.Err() != nil
	r.end()
	r.mu.Unlock()
	if closed {
		return
	}
	r.listeners.Wait()
	_ = r.client.Close() // connections are thrown away, whatever they say
}

// Ping asks whether Redis answers, as every other call would: right after a
// failure it returns ErrUnavailable without asking.
func (r *Redis) Ping(ctx context.Context) error {
	return r.do(ctx, "ping", func(ctx context.Context) error { return r.client.Ping(ctx).Err() })
}

// do makes one call to Redis. Its error is redis.Nil, ErrUnavailable or about ctx.
func (r *Redis) do(ctx context.Context, what string, call func(ctx context.Context) error) error {
	if err := r.usable(ctx); err != nil {
		return err
	}
	if !r.breaker.enter(r.now()) {
		return fmt.Errorf("%w: %s: it did not answer a moment ago", ErrUnavailable, what)
	}
	limited, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	err := guarded(limited, call)
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		r.breaker.answered()
		return err
	case redis.HasErrorPrefix(err, "WRONGTYPE"): // none of ours: somebody planted a list or the like
		r.breaker.answered()
		return redis.Nil
	case ctx.Err() != nil: // the caller went away, which says nothing about Redis
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, what, ctx.Err())
	case errors.As(err, new(redis.Error)): // it answers, if only that it cannot
		r.breaker.answered()
	default:
		r.breaker.silent(r.now())
	}
	return fmt.Errorf("%w: %s: %s", ErrUnavailable, what, err.Error()) // not wrapped: a deadline of ours is none of the caller's
}

// errNonsense means that an answer could not even be read.
var errNonsense = errors.New("cache: the answer is no answer of a Redis")

// guarded turns a panic into an error: go-redis makes room for as many bytes as the
// server announces, and one that announces more than there can be would end the
// process.
func guarded(ctx context.Context, call func(ctx context.Context) error) (err error) {
	defer func() {
		if recover() != nil {
			err = errNonsense
		}
	}()
	return call(ctx)
}

// usable is the first question of every method.
func (r *Redis) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	if r.ended.Err() != nil {
		return ErrUnavailable
	}
	return nil
}

// Get implements Cache.
func (r *Redis) Get(ctx context.Context, key string) ([]byte, bool, error) {
	return r.read(ctx, "get", key, func(ctx context.Context, name string) (string, error) {
		// One byte more than there can be tells a value that is too large, which does not open.
		return r.client.GetRange(ctx, name, 0, maxSealed).Result()
	})
}

// maxSealed bounds what is kept and what is read, in bytes. Nothing of ours comes
// near it; without it, who can write to Redis could make every reader fetch half a
// gigabyte, at once and again.
const maxSealed = 64 << 10

// takeSmall reads and deletes in one step, but reads nothing that is too large. The
// answer is nil if there is nothing, or nothing of ours.
const takeSmall = `
local size = redis.pcall('STRLEN', KEYS[1])
if type(size) ~= 'number' or size == 0 then return false end
if size > tonumber(ARGV[1]) then
  redis.call('DEL', KEYS[1])
  return false
end
return redis.call('GETDEL', KEYS[1])`

// Take implements Cache.
func (r *Redis) Take(ctx context.Context, key string) ([]byte, bool, error) {
	return r.read(ctx, "take", key, func(ctx context.Context, name string) (string, error) {
		return redis.NewScript(takeSmall).Run(ctx, r.client, []string{name}, maxSealed).Text()
	})
}

func (r *Redis) read(ctx context.Context, what, key string, command func(ctx context.Context, name string) (string, error)) ([]byte, bool, error) {
	p, err := r.place(valueKind, key)
	if err != nil {
		return nil, false, err
	}
	var sealed string
	err = r.do(ctx, what, func(ctx context.Context) (err error) {
		sealed, err = command(ctx, p.name)
		return err
	})
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value, ok := r.open(p, []byte(sealed))
	return value, ok, nil
}

// Set implements Cache.
func (r *Redis) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := r.write(ctx, "set", key, value, ttl, "")
	return err
}

// Add implements Cache.
func (r *Redis) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	return r.write(ctx, "add", key, value, ttl, "NX")
}

// write reports whether the value was kept; mode is NX if it must not replace another.
func (r *Redis) write(ctx context.Context, what, key string, value []byte, ttl time.Duration, mode string) (bool, error) {
	if ttl <= 0 {
		return false, errTTL
	}
	p, err := r.place(valueKind, key)
	if err != nil {
		return false, err
	}
	ttl = wholeMilliseconds(ttl)
	sealed, err := r.seal(p, value, r.now().Add(ttl))
	if err != nil {
		return false, err
	}
	if len(sealed) > maxSealed {
		return false, errSize
	}
	err = r.do(ctx, what, func(ctx context.Context) error {
		return r.client.SetArgs(ctx, p.name, sealed, redis.SetArgs{Mode: mode, TTL: ttl}).Err()
	})
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

// Delete implements Cache.
func (r *Redis) Delete(ctx context.Context, key string) error {
	p, err := r.place(valueKind, key)
	if err != nil {
		return err
	}
	return r.do(ctx, "delete", func(ctx context.Context) error { return r.client.Del(ctx, p.name).Err() })
}
