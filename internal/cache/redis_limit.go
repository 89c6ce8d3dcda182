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
// KEYS: the counter. ARGV: microseconds per event, limit, how many events passed, how many
// the counter may owe. It returns for how many microseconds the caller must wait, 0 if
// one more event is allowed and counted, and how many there is room for after it.
const countEvent = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local step = tonumber(ARGV[1])
local burst = step * tonumber(ARGV[2])
local most = now + burst + step * tonumber(ARGV[4])
local stored = redis.pcall('GET', KEYS[1])
local full = type(stored) == 'string' and tonumber(stored) or now
if not (full > now) then full = now end
full = math.min(math.min(full, most) + step * tonumber(ARGV[3]), most)
local wait = math.max(full + step - now - burst, 0)
if wait == 0 then full = full + step end
if full > now then redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000)) end
return {math.ceil(wait), math.max(math.floor((now + burst - full) / step), 0)}`

// Allow implements Cache. Counters of different limits are apart, as in Memory. Redis
// cannot count what is sealed: under the nameless key stands a bare time. It is a
// script of our own because the libraries for it choose keys that no user whose
// rights end at our prefix may touch.
func (r *Redis) Allow(ctx context.Context, key string, limit int, span time.Duration) (bool, time.Duration, error) {
	ok, _, wait, err := r.count(ctx, key, 0, limit, 0, span)
	return ok, wait, err
}

// AllowAfter implements Cache.
func (r *Redis) AllowAfter(ctx context.Context, key string, passed, limit int, span time.Duration) (bool, int, time.Duration, error) {
	return r.count(ctx, key, passed, limit, limit, span)
}

func (r *Redis) count(ctx context.Context, key string, passed, limit, owed int, span time.Duration) (ok bool, left int, wait time.Duration, err error) {
	if err := checkLimit(passed, limit, span); err != nil {
		return false, 0, 0, err
	}
	p, err := r.place(counterKind, fmt.Sprintf("%d:%d:%s", limit, span, key))
	if err != nil {
		return false, 0, 0, err
	}
	step := max(span.Microseconds()/int64(limit), 1)
	var answer []int64
	err = r.do(ctx, "allow", func(ctx context.Context) (err error) {
		answer, err = redis.NewScript(countEvent).Run(ctx, r.client, []string{p.name}, step, limit, passed, owed).Int64Slice()
		if err == nil && len(answer) != 2 {
			return errNonsense
		}
		return err
	})
	if err != nil {
		return false, 0, 0, err
	}
	if answer[0] == 0 {
		return true, int(answer[1]), 0, nil
	}
	// Rounded up like Memory's, so that whoever waits that long is not refused again.
	return false, 0, (time.Duration(answer[0]) * time.Microsecond).Truncate(time.Millisecond) + time.Millisecond, nil
}
