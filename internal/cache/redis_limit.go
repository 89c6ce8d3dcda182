package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// countEvent is the generic cell rate algorithm: what is stored is the time, in
// microseconds, at which the counter will be full again. It counts like Memory: limit
// events at once, and one more per step. The clock is that of Redis, the same
// for all. What stands under the key may be anybody's: what is no number
// counts as nothing, and what lies further ahead than it can is taken back.
//
// KEYS: the counter. ARGV: microseconds per event, limit. It returns for how many
// microseconds the caller must wait, 0 if the event is allowed and counted.
const countEvent = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local step = tonumber(ARGV[1])
local burst = step * tonumber(ARGV[2])
local stored = redis.pcall('GET', KEYS[1])
local full = type(stored) == 'string' and tonumber(stored) or now
if not (full > now) then full = now end
if full > now + burst then full = now + burst end
full = full + step
if full - now > burst then return full - now - burst end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return 0`

// Allow implements Cache. Counters of different limits are apart, as in Memory. Redis
// cannot count what is sealed: under the nameless key stands a bare time. It is a
// script of our own because the libraries for it choose keys that no user whose
// rights end at our prefix may touch.
func (r *Redis) Allow(ctx context.Context, key string, limit int, span time.Duration) (bool, time.Duration, error) {
	if limit <= 0 || span <= 0 {
		return false, 0, errLimit
	}
	p, err := r.place(counterKind, fmt.Sprintf("%d:%d:%s", limit, span, key))
	if err != nil {
		return false, 0, err
	}
	step := max(span.Microseconds()/int64(limit), 1)
	var wait int64
	err = r.do(ctx, "allow", func(ctx context.Context) (err error) {
		wait, err = redis.NewScript(countEvent).Run(ctx, r.client, []string{p.name}, step, limit).Int64()
		return err
	})
	if err != nil {
		return false, 0, err
	}
	if wait == 0 {
		return true, 0, nil
	}
	// Rounded up like Memory's, so that whoever waits that long is not refused again.
	return false, (time.Duration(wait) * time.Microsecond).Truncate(time.Millisecond) + time.Millisecond, nil
}
