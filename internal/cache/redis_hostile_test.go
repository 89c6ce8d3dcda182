package cache_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"signpost/internal/cache"
)

// TestR25LargeValuesAreNotFetched: who can write to Redis could otherwise make each
// reader take half a gigabyte into memory, as often as somebody asks.
func TestR25LargeValuesAreNotFetched(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	large := strings.Repeat("x", 4<<20)
	for _, key := range []string{"got", "taken"} {
		a.plant(t, key, large)
	}
	if _, found, err := a.Get(t.Context(), "got"); found || err != nil {
		t.Errorf("Get of a large value: got %v, %v, want a miss", found, err)
	}
	if _, found, err := a.Take(t.Context(), "taken"); found || err != nil {
		t.Errorf("Take of a large value: got %v, %v, want a miss", found, err)
	}
	if n, err := a.attacker.Exists(t.Context(), a.nameOf(t, "taken")).Result(); n != 0 || err != nil {
		t.Errorf("after Take of a large value %d keys are there, %v, want none", n, err)
	}
	if err := a.Set(t.Context(), "kept", []byte(large), time.Minute); err == nil || errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("Set of a large value: got %v, want it refused", err)
	}
}

// hostile is a server that speaks as Redis does until it is asked for something: then
// it announces more than there can be.
func hostile(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go lie(c)
		}
	}()
	return "redis://" + l.Addr().String()
}

func lie(c net.Conn) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		switch strings.ToLower(lines.Text()) {
		case "ping":
			fmt.Fprint(c, "$9223372036854775000\r\n")
		case "client", "select":
			fmt.Fprint(c, "+OK\r\n")
		case "hello":
			fmt.Fprint(c, "-ERR unknown command\r\n")
		case "subscribe":
			fmt.Fprint(c, "*4611686018427387904\r\n")
		case "getrange", "evalsha", "eval":
			fmt.Fprint(c, "$9223372036854775000\r\n")
		}
	}
}

// TestR25AServerThatLiesEndsNothing: what is announced and cannot be is an outage of
// the cache, not the end of the process.
func TestR25AServerThatLiesEndsNothing(t *testing.T) {
	t.Parallel()
	url := hostile(t)
	for what, ask := range map[string]func(r *cache.Redis) error{
		"Ping": func(r *cache.Redis) error { return r.Ping(t.Context()) },
		"Get":  func(r *cache.Redis) error { _, _, err := r.Get(t.Context(), "key"); return err },
		"Take": func(r *cache.Redis) error { _, _, err := r.Take(t.Context(), "key"); return err },
	} {
		r, err := cache.OpenRedis(t.Context(), url, newGuard(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := ask(r); !errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", what, err)
		}
		_, stop, err := r.Subscribe(t.Context(), "bell")
		if err != nil {
			t.Errorf("Subscribe: %v", err)
			continue
		}
		stop()
		r.Close()
	}
}

// TestR25ValuesNeedTheToken: who has all of Redis and the server's key too lacks what the
// caller's key is made of, a token or a ticket, and opens nothing.
func TestR25ValuesNeedTheToken(t *testing.T) {
	t.Parallel()
	address := "redis://" + miniredis.RunT(t).Addr()
	guard := newGuard(t)
	r, _ := openRedis(t, address, guard)
	options, err := redis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	thief := redis.NewClient(options)
	t.Cleanup(func() { _ = thief.Close() })

	const kind, key = "cache value", "code:1:example:a token's digest"
	if err := r.Set(t.Context(), key, []byte("value"), time.Minute); err != nil {
		t.Fatal(err)
	}
	name, err := r.ValueName(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := thief.Get(t.Context(), name).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := guard.OpenFor(kind, []byte(kind+":"+key), sealed, []byte(name)); err != nil {
		t.Fatalf("with the caller's key: %v, want it opened: else this test proves nothing", err)
	}
	for _, guess := range []string{kind, kind + ":", name, kind + ":" + name, "code:1:example:"} {
		if _, err := guard.OpenFor(kind, []byte(guess), sealed, []byte(name)); err == nil {
			t.Errorf("the value opens with %q", guess)
		}
	}
}
