package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// wire stands between a cache and Redis. It checks that every command names keys of
// one slot, which a Cluster demands and miniredis does not, and remembers the keys
// to make them older.
type wire struct {
	t      testing.TB
	client redis.UniversalClient

	mu   sync.Mutex
	ends map[string]time.Time // of values; counters have none, theirs is the number they hold
}

func (w *wire) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *wire) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		w.check(cmd)
		err := next(ctx, cmd)
		if err == nil {
			w.remember(cmd)
		}
		return err
	}
}

func (w *wire) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			w.check(cmd)
		}
		return next(ctx, cmds)
	}
}

func (w *wire) check(cmd redis.Cmder) {
	if err := oneSlot(cmd.Args()); err != nil {
		w.t.Error(err)
	}
}

// oneSlot returns an error if a command names keys of more than one slot, or if it
// is not known which of its arguments are keys.
func oneSlot(args []any) error {
	keys, err := keysOf(args)
	if err != nil {
		return err
	}
	for _, key := range keys[min(1, len(keys)):] {
		if slotOf(key) != slotOf(keys[0]) {
			return fmt.Errorf("%v: keys %q and %q are in slots %d and %d; a Cluster refuses the command", args[0], keys[0], key, slotOf(keys[0]), slotOf(key))
		}
	}
	return nil
}

func keysOf(args []any) ([]string, error) {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = fmt.Sprint(arg)
	}
	switch strings.ToLower(words[0]) {
	case "get", "getrange", "set":
		return words[1:2], nil
	case "del", "mget":
		return words[1:], nil
	case "eval", "evalsha":
		n, err := strconv.Atoi(words[2])
		if err != nil || n < 0 || n > len(words)-3 {
			return nil, fmt.Errorf("%s: number of keys %q of %d arguments", words[0], words[2], len(words)-3)
		}
		return words[3 : 3+n], nil
	case "ping", "publish", "hello", "auth", "client", "select", "cluster", "command":
		return nil, nil
	}
	return nil, fmt.Errorf("%s: a command of which keysOf does not know the keys", words[0])
}

// slotOf is the hash slot as the Redis Cluster specification defines it.
func slotOf(key string) int {
	if _, tagged, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(tagged, "}"); ok && tag != "" {
			key = tag
		}
	}
	var crc uint16 // CRC-16 with polynomial 0x1021, not reflected, from 0
	for _, b := range []byte(key) {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc & 0x8000
			crc <<= 1
			if carry != 0 {
				crc ^= 0x1021
			}
		}
	}
	return int(crc) % 16384
}

func (w *wire) remember(cmd redis.Cmder) {
	keys, err := keysOf(cmd.Args())
	if err != nil {
		return // check has said so
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range keys {
		switch cmd.Name() {
		case "set":
			w.ends[key] = time.Now().Add(lifeOf(cmd.Args()))
		case "eval", "evalsha":
			w.ends[key] = time.Time{}
		}
	}
}

// lifeOf returns the time to live that a SET gives.
func lifeOf(args []any) time.Duration {
	for i, arg := range args {
		n, _ := strconv.Atoi(fmt.Sprint(args[min(i+1, len(args)-1)]))
		switch arg {
		case "px":
			return time.Duration(n) * time.Millisecond
		case "ex":
			return time.Duration(n) * time.Second
		}
	}
	return 0
}

// advance makes everything in Redis older, as if that time had passed: lives
// become shorter, and counters fuller. It needs no more rights than the cache.
func (w *wire) advance(d time.Duration) {
	w.t.Helper()
	w.mu.Lock()
	keys := make([]string, 0, len(w.ends))
	for key := range w.ends {
		keys = append(keys, key)
	}
	w.mu.Unlock()
	for _, key := range keys {
		w.age(key, d)
	}
}

func (w *wire) age(key string, d time.Duration) {
	w.t.Helper()
	ctx := context.Background()
	value, err := w.client.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		return // taken, deleted or over
	}
	if err != nil {
		w.t.Fatalf("advance: %v", err)
	}
	w.mu.Lock()
	end := w.ends[key].Add(-d)
	w.mu.Unlock()
	if full, err := strconv.ParseInt(value, 10, 64); err == nil {
		end = time.UnixMicro(full).Add(-d)
		value = strconv.FormatInt(end.UnixMicro(), 10)
	}
	if rest := time.Until(end).Truncate(time.Millisecond); rest > 0 {
		err = w.client.Set(ctx, key, value, rest).Err()
	} else {
		err = w.client.Del(ctx, key).Err()
	}
	if err != nil {
		w.t.Fatalf("advance: %v", err)
	}
}

func TestSlotOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key  string
		want int
	}{
		{"123456789", 0x31c3}, // the check value of the specification
		{"foo", 12182},
		{"{foo}bar", 12182},
		{"x{foo}{bar}", 12182},
	} {
		if got := slotOf(c.key); got != c.want {
			t.Errorf("slot of %q: got %d, want %d", c.key, got, c.want)
		}
	}
}

// TestWireNoticesTwoSlots proves that the watch would see what miniredis lets pass.
func TestWireNoticesTwoSlots(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	var seen complaints
	client.AddHook(&wire{t: &seen, client: client, ends: map[string]time.Time{}})
	ctx := t.Context()
	for _, c := range []struct {
		name string
		run  func() error
		want int
	}{
		{"two slots", func() error { return client.Del(ctx, "signpost:1:{a}", "signpost:1:{b}").Err() }, 1},
		{"one slot", func() error { return client.Del(ctx, "signpost:1:{a}", "signpost:2:{a}").Err() }, 0},
		{"script over two slots", func() error { return client.Eval(ctx, "return 1", []string{"a", "b"}).Err() }, 1},
		{"script over one key", func() error { return client.Eval(ctx, "return 1", []string{"a"}, "b").Err() }, 0},
		{"in a pipeline", func() error {
			_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error { return p.MGet(ctx, "a", "b").Err() })
			return err
		}, 1},
		{"unknown command", func() error { return client.MSet(ctx, "a", "1", "b", "2").Err() }, 1},
	} {
		seen.clear()
		if err := c.run(); err != nil {
			t.Fatalf("%s: miniredis refuses it: %v", c.name, err)
		}
		if got := seen.count(); got != c.want {
			t.Errorf("%s: got %d complaints, want %d", c.name, got, c.want)
		}
	}
}

// complaints is a test that counts its errors instead of failing.
type complaints struct {
	testing.TB
	mu     sync.Mutex
	errors []string
}

func (c *complaints) Error(args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errors = append(c.errors, fmt.Sprint(args...))
}

func (c *complaints) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(slices.Compact(c.errors)) // a retry says it again
}

func (c *complaints) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errors = nil
}
