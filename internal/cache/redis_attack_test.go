package cache_test

import (
	"bytes"
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"signpost/internal/cache"
	"signpost/test/backends"
)

// attacked is a cache, and somebody who may read and write all of its Redis.
type attacked struct {
	*cache.Redis
	attacker *redis.Client
	wire     *wire
	clock    *clock
}

// clock is a time that only moves when it is told to.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newAttacked(t *testing.T) attacked {
	t.Helper()
	return newAttackedAt(t, "redis://"+miniredis.RunT(t).Addr())
}

func newAttackedAt(t *testing.T, address string) attacked {
	t.Helper()
	options, err := redis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	r, w := openRedis(t, address, newGuard(t))
	clock := &clock{time.Now()}
	r.SetNow(clock.Now)
	attacker := redis.NewClient(options)
	t.Cleanup(func() { _ = attacker.Close() })
	return attacked{r, attacker, w, clock}
}

// nameOf returns the name in Redis of what the caller calls key.
func (a attacked) nameOf(t *testing.T, key string) string {
	t.Helper()
	name, err := a.ValueName(key)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func (a attacked) keep(t *testing.T, key, value string) {
	t.Helper()
	if err := a.Set(t.Context(), key, []byte(value), time.Minute); err != nil {
		t.Fatalf("Set(%q): %v", key, err)
	}
}

// read returns what stands in Redis for a key.
func (a attacked) read(t *testing.T, key string) string {
	t.Helper()
	sealed, err := a.attacker.Get(t.Context(), a.nameOf(t, key)).Result()
	if err != nil {
		t.Fatalf("the attacker reads %q: %v", key, err)
	}
	return sealed
}

// plant puts something in Redis in the place of a key, to stay for ever.
func (a attacked) plant(t *testing.T, key, sealed string) {
	t.Helper()
	if err := a.attacker.Set(t.Context(), a.nameOf(t, key), sealed, 0).Err(); err != nil {
		t.Fatalf("the attacker writes %q: %v", key, err)
	}
}

// wantMiss fails unless neither Get nor Take finds the key, without an error.
func (a attacked) wantMiss(t *testing.T, after, key string) {
	t.Helper()
	for verb, find := range map[string]func(context.Context, string) ([]byte, bool, error){"Get": a.Get, "Take": a.Take} {
		if got, found, err := find(t.Context(), key); found || err != nil || got != nil {
			t.Errorf("%s(%q) after %s: got %q, %v, %v, want a miss", verb, key, after, got, found, err)
		}
	}
}

func (a attacked) wantFound(t *testing.T, key, want string) {
	t.Helper()
	if got, found, err := a.Get(t.Context(), key); err != nil || !found || string(got) != want {
		t.Errorf("Get(%q): got %q, %v, %v, want %q", key, got, found, err, want)
	}
}

func TestR25ReadingRedisTellsNothing(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	ctx := t.Context()
	tap := a.attacker.PSubscribe(ctx, "*")
	t.Cleanup(func() { _ = tap.Close() })
	if _, err := tap.Receive(ctx); err != nil { // the confirmation
		t.Fatal(err)
	}

	a.keep(t, "code:1:tenant-one:TOKEN-OF-ALICE", `{"email":"alice@example.org"}`)
	if won, err := a.Add(ctx, "used:1:tenant-one:JTI-OF-ALICE", nil, time.Minute); !won || err != nil {
		t.Fatalf("Add: got %v, %v", won, err)
	}
	if ok, _, err := a.Allow(ctx, "signin:198.51.100.7", 5, time.Minute); !ok || err != nil {
		t.Fatalf("Allow: got %v, %v", ok, err)
	}
	if err := a.Publish(ctx, "revoked:tenant-one", []byte("grant-of-alice")); err != nil {
		t.Fatal(err)
	}

	message, err := tap.ReceiveMessage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{message.Channel}
	seen := []string{message.Payload}
	keys, err := a.attacker.Keys(ctx, "*").Result()
	if err != nil || len(keys) != 3 {
		t.Fatalf("keys in Redis: got %q, %v, want three", keys, err)
	}
	for _, key := range keys {
		value, err := a.attacker.Get(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		names, seen = append(names, key), append(seen, value)
		if ttl := a.attacker.PTTL(ctx, key).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("%q stays for %v, want at most its minute", key, ttl)
		}
	}
	form := regexp.MustCompile(`^signpost:1:\{[A-Za-z0-9_-]{43}\}$`)
	for _, name := range names {
		if !form.MatchString(name) {
			t.Errorf("name %q: want a prefix, a version and a MAC", name)
		}
	}
	everything := strings.ToLower(strings.Join(slices.Concat(names, seen), "\n"))
	// Long words: a MAC may well have three letters that spell one.
	for _, word := range []string{"code:1", "used:1", "jti-of", "tenant", "token-of", "alice", "email", "example", "signin:", "198.51", "revoked", "grant-of"} {
		if strings.Contains(everything, word) {
			t.Errorf("Redis shows %q", word)
		}
	}
}

func TestR25ForeignValuesDoNotOpen(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	a.keep(t, "code:alice", "alice's")
	a.keep(t, "code:bob", "bob's")
	alice, bob := a.read(t, "code:alice"), a.read(t, "code:bob")

	a.plant(t, "code:mallory", alice)
	a.wantMiss(t, "copying another's value", "code:mallory")

	a.plant(t, "code:alice", bob)
	a.plant(t, "code:bob", alice)
	a.wantMiss(t, "swapping", "code:alice")
	a.wantMiss(t, "swapping", "code:bob")

	a.plant(t, "code:alice", alice)
	a.plant(t, "code:bob", bob)
	a.wantFound(t, "code:alice", "alice's")
	a.wantFound(t, "code:bob", "bob's")
}

func TestR25AnotherServerKeyOpensNothing(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	ours, _ := openRedis(t, "redis://"+server.Addr(), newGuard(t))
	theirs, _ := openRedis(t, "redis://"+server.Addr(), newGuard(t))
	if err := ours.Set(t.Context(), "code", []byte("ours"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, found, err := theirs.Get(t.Context(), "code"); found || err != nil {
		t.Errorf("Get with another server key: got %q, %v, %v, want a miss", got, found, err)
	}
}

func TestR25ChangedValuesDoNotOpen(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	a.keep(t, "code", "value")
	sealed := a.read(t, "code")
	for bit := range len(sealed) * 8 {
		changed := []byte(sealed)
		changed[bit/8] ^= 1 << (bit % 8)
		a.plant(t, "code", string(changed))
		if got, found, err := a.Get(t.Context(), "code"); found || err != nil {
			t.Errorf("bit %d flipped: got %q, %v, %v, want a miss", bit, got, found, err)
		}
	}
	for what, garbage := range map[string]string{
		"nothing": "", "a byte": "\x01", "a number": "1700000000000000", "text": `{"email":"mallory@example.org"}`,
		"its beginning": sealed[:len(sealed)-1], "one byte more": sealed + "\x00", "much": strings.Repeat("x", 1<<20),
	} {
		a.plant(t, "code", garbage)
		a.wantMiss(t, "planting "+what, "code")
	}
}

func TestR25ForeignTypesAreMisses(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	ctx := t.Context()
	for what, plant := range map[string]func(name string) error{
		"list": func(name string) error { return a.attacker.RPush(ctx, name, "x").Err() },
		"hash": func(name string) error { return a.attacker.HSet(ctx, name, "x", "y").Err() },
		"set":  func(name string) error { return a.attacker.SAdd(ctx, name, "x").Err() },
	} {
		if err := plant(a.nameOf(t, what)); err != nil {
			t.Fatal(err)
		}
		a.wantMiss(t, "planting a "+what, what)
		if won, err := a.Add(ctx, what, []byte("value"), time.Minute); won || err != nil {
			t.Errorf("Add over a %s: got %v, %v, want false: the key is taken", what, won, err)
		}
		a.keep(t, what, "value")
		a.wantFound(t, what, "value")
	}
}

// TestR25LivesCannotBeLengthened also says what an attacker can do: what was taken
// or replaced comes back under its own key, until its time is over. Whoever needs
// single use beyond that asks SQL (R19).
func TestR25LivesCannotBeLengthened(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	a.keep(t, "taken", "once")
	a.keep(t, "replaced", "old")
	a.keep(t, "kept", "value")
	taken, replaced := a.read(t, "taken"), a.read(t, "replaced")

	if _, found, err := a.Take(t.Context(), "taken"); !found || err != nil {
		t.Fatalf("Take: got %v, %v", found, err)
	}
	a.keep(t, "replaced", "new")
	a.plant(t, "taken", taken)
	a.plant(t, "replaced", replaced)
	if err := a.attacker.Persist(t.Context(), a.nameOf(t, "kept")).Err(); err != nil {
		t.Fatal(err)
	}
	a.clock.now = a.clock.now.Add(time.Minute - time.Millisecond)
	a.wantFound(t, "taken", "once")
	a.wantFound(t, "replaced", "old")
	a.wantFound(t, "kept", "value")

	a.clock.now = a.clock.now.Add(2 * time.Millisecond)
	a.wantMiss(t, "its minute", "taken")
	a.wantMiss(t, "its minute", "replaced")
	a.wantMiss(t, "its minute, without a time to live", "kept")
}

func TestR25PlantedCountersStopNobodyForLong(t *testing.T) {
	t.Parallel()
	// What Redis takes for a number and miniredis for none.
	exotic := []string{"inf", "1e300", "99999999999999999999"}
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		plantCounters(t, newAttacked(t), nil)
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		plantCounters(t, newAttackedAt(t, backends.Redis(t)), exotic)
	})
}

func plantCounters(t *testing.T, a attacked, exotic []string) {
	t.Helper()
	ctx := t.Context()
	wantAllow(t, a, "nothing", true)
	counter := slices.Collect(maps.Keys(a.wire.ends))[0]
	for _, garbage := range []string{"", "x", "-1", "0", "nan", "-inf", "1e-300", "0x10", "\x00\xff"} {
		a.attacker.Set(ctx, counter, garbage, 0)
		wantAllow(t, a, garbage, true)
		wantAllow(t, a, garbage, true)
		wantAllow(t, a, garbage, false)
	}
	for _, garbage := range append(exotic, "9000000000000000") {
		a.attacker.Set(ctx, counter, garbage, 0)
		if wait := wantAllow(t, a, garbage, false); wait > 30*time.Second+10*time.Millisecond {
			t.Errorf("counter %q: wait %v, want no more than until the next event", garbage, wait)
		}
	}
	a.attacker.Del(ctx, counter)
	a.attacker.RPush(ctx, counter, "x")
	wantAllow(t, a, "a list", true)
}

func wantAllow(t *testing.T, a attacked, planted string, want bool) time.Duration {
	t.Helper()
	ok, wait, err := a.Allow(t.Context(), "key", 2, time.Minute)
	if ok != want || err != nil {
		t.Errorf("Allow after planting %q: got %v, %v, want %v", planted, ok, err, want)
	}
	return wait
}

func TestR25ForgedMessagesAreDropped(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	ctx := t.Context()
	tap := a.attacker.PSubscribe(ctx, "*")
	t.Cleanup(func() { _ = tap.Close() })
	if _, err := tap.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	bell, stop, err := a.Subscribe(ctx, "bell")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	sealedFor := func(channel, message string) (name, sealed string) {
		t.Helper()
		if err := a.Publish(ctx, channel, []byte(message)); err != nil {
			t.Fatal(err)
		}
		got, err := tap.ReceiveMessage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return got.Channel, got.Payload
	}
	name, genuine := sealedFor("bell", "genuine")
	wantNext(t, bell, "genuine")
	_, other := sealedFor("gong", "for another channel")
	a.keep(t, "bell", "a value")

	changed := []byte(genuine)
	changed[len(changed)-1] ^= 1
	for what, payload := range map[string]string{
		"nothing": "", "text": "ring", "changed": string(changed), "replayed": genuine,
		"for another channel": other, "a value of that key": a.read(t, "bell"),
	} {
		if n, err := a.attacker.Publish(ctx, name, payload).Result(); err != nil || n == 0 {
			t.Fatalf("the attacker publishes %s: %d heard it, %v", what, n, err)
		}
	}
	if err := a.Publish(ctx, "bell", []byte("next")); err != nil {
		t.Fatal(err)
	}
	wantNext(t, bell, "next") // in order: nothing was let through before it
}

func TestR25OldMessagesAreDropped(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	guard := newGuard(t)
	sender, _ := openRedis(t, "redis://"+server.Addr(), guard)
	behind := time.Now().Add(-2 * time.Minute)
	sender.SetNow(func() time.Time { return behind })
	reader, _ := openRedis(t, "redis://"+server.Addr(), guard)
	bell, stop, err := reader.Subscribe(t.Context(), "bell")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	if err := sender.Publish(t.Context(), "bell", []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := reader.Publish(t.Context(), "bell", []byte("new")); err != nil {
		t.Fatal(err)
	}
	wantNext(t, bell, "new")
}

// wantNext fails unless the next message is the wanted one.
func wantNext(t *testing.T, messages <-chan []byte, want string) {
	t.Helper()
	select {
	case got := <-messages:
		if !bytes.Equal(got, []byte(want)) {
			t.Errorf("message: got %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("message %q did not come", want)
	}
}
