package faults

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// shared is the Redis of the replicas as somebody sees it who got in.
type shared struct {
	*redis.Client
	w *world
}

func (w *world) shared() shared {
	w.Helper()
	options, err := redis.ParseURL(w.redis.URL)
	w.must(err)
	client := redis.NewClient(options)
	w.Cleanup(func() { _ = client.Close() }) // nothing is kept in it
	return shared{client, w}
}

// everything reads all that is there: name to value.
func (s shared) everything() map[string]string {
	s.w.Helper()
	ctx := s.w.Context()
	all := map[string]string{}
	keys := s.Scan(ctx, 0, "*", 100).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		switch kind := s.Type(ctx, key).Val(); kind {
		case "string":
			all[key] = s.Get(ctx, key).Val()
		case "hash":
			all[key] = fmt.Sprint(s.HGetAll(ctx, key).Val())
		case "list":
			all[key] = fmt.Sprint(s.LRange(ctx, key, 0, -1).Val())
		case "set":
			all[key] = fmt.Sprint(s.SMembers(ctx, key).Val())
		case "zset":
			all[key] = fmt.Sprint(s.ZRangeWithScores(ctx, key, 0, -1).Val())
		case "stream":
			all[key] = fmt.Sprint(s.XRange(ctx, key, "-", "+").Val())
		case "none": // expired meanwhile
		default:
			s.w.Errorf("Redis holds a %s, which this test cannot read", kind)
		}
	}
	s.w.must(keys.Err())
	return all
}

// overhear remembers every command that Redis gets until the returned function is
// called, which returns them.
func (s shared) overhear() func() string {
	s.w.Helper()
	options := s.Options()
	conn, err := new(net.Dialer).DialContext(s.w.Context(), "tcp", options.Addr)
	s.w.must(err)
	s.w.must(conn.SetDeadline(time.Now().Add(patience)))
	s.w.Cleanup(func() { _ = conn.Close() }) // it is read no more
	if options.Password != "" {
		_, err = fmt.Fprintf(conn, "AUTH %s\r\n", options.Password)
		s.w.must(err)
	}
	_, err = io.WriteString(conn, "MONITOR\r\n")
	s.w.must(err)
	// What was said before the last word has been heard when the word is.
	const lastWord = "that-is-all"
	heard := make(chan string, 1)
	go func() {
		var text strings.Builder
		lines := bufio.NewReader(conn)
		for !strings.HasSuffix(text.String(), lastWord+"\"\r\n") {
			line, err := lines.ReadString('\n')
			if err != nil {
				break
			}
			text.WriteString(line)
		}
		heard <- text.String()
	}()
	return func() string {
		s.w.Helper()
		s.w.must(s.Echo(s.w.Context(), lastWord).Err())
		text := <-heard
		if !strings.Contains(text, lastWord) {
			s.w.Error("not everything was heard that Redis was told")
		}
		return text
	}
}

// TestR25RedisTellsNothing: neither what it holds in the middle of many sign-ins, nor
// what it was told on the way, shows an address, a token, a code or a cookie.
func TestR25RedisTellsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	s := w.shared()
	heard := s.overhear()
	w.idp.SignInAs("b2")
	w.known(w.signedIn())
	w.idp.SignInAs("a1")
	session := w.signedIn()
	w.known(session)
	w.inFlight()
	w.reuse(w.at(w.first), session)
	w.seen("the end of a grant", func(c caller) bool { return c.refuses(session.access) })

	all := s.everything()
	if len(all) < 6 { // three sign-ins, two of them at their second step, a consent, a code
		t.Errorf("Redis holds %d entries in the middle of four sign-ins: %q", len(all), slices.Sorted(maps.Keys(all)))
	}
	told := heard()
	secrets := w.proxy.secrets.values()
	for _, value := range []string{alice, bob, session.access, session.refresh} {
		if _, known := secrets[value]; !known {
			t.Errorf("%q did not pass the proxy, or was not noticed", value)
		}
	}
	secrets["127.0.0.1"] = "address of a person's computer"
	for value, kind := range secrets {
		for key, held := range all {
			if strings.Contains(key+" "+held, value) {
				t.Errorf("Redis holds a secret (%s) under %q", kind, key)
			}
		}
		if at := strings.Index(withoutSpeakers(told), value); at >= 0 {
			t.Errorf("Redis was told a secret (%s): %s", kind, lineAt(withoutSpeakers(told), at))
		}
	}
}

// withoutSpeakers takes off what MONITOR says about the connection of each command:
// `1700000000.000000 [0 127.0.0.1:50000] "get" "key"`.
func withoutSpeakers(told string) string {
	var b strings.Builder
	for line := range strings.Lines(told) {
		_, command, _ := strings.Cut(line, "] ")
		b.WriteString(command)
	}
	return b.String()
}

// TestR25WritingToRedisPlantsNothing: whoever writes over every value ends the
// sign-ins in flight, and nothing else.
func TestR25WritingToRedisPlantsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	s := w.shared()
	session := w.signedIn()
	for name, change := range map[string]func(before map[string]string) map[string]string{
		"nothing":             func(before map[string]string) map[string]string { return same(before, "") },
		"words":               func(before map[string]string) map[string]string { return same(before, "garbage") },
		"JSON":                func(before map[string]string) map[string]string { return same(before, `{"account":"a"}`) },
		"a number":            func(before map[string]string) map[string]string { return same(before, "-9223372036854775808") },
		"much":                func(before map[string]string) map[string]string { return same(before, strings.Repeat("x", 1<<20)) },
		"a neighbour's value": moved,
	} {
		flight := w.inFlight()
		before := s.everything()
		if len(before) == 0 {
			t.Fatal("Redis holds nothing in the middle of sign-ins")
		}
		for key, value := range change(before) {
			w.must(s.Set(t.Context(), key, value, redis.KeepTTL).Err())
		}
		w.startsAgain(flight)
		session = w.goesOn(session)
		w.known(session)
		w.known(w.signInWorks())
		if t.Failed() {
			t.Fatalf("that was with %s in the place of every value", name)
		}
	}
}

// same puts one value in the place of all.
func same(before map[string]string, value string) map[string]string {
	after := map[string]string{}
	for key := range before {
		after[key] = value
	}
	return after
}

// moved gives every name the value of the next.
func moved(before map[string]string) map[string]string {
	names, after := slices.Sorted(maps.Keys(before)), map[string]string{}
	for i, key := range names {
		after[key] = before[names[(i+1)%len(names)]]
	}
	return after
}

// TestR26RubbishOnTheWireHidesNoEnd: whoever may publish can neither end a grant nor
// keep an end from being known.
func TestR26RubbishOnTheWireHidesNoEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	s := w.shared()
	channels, err := s.PubSubChannels(t.Context(), "*").Result()
	w.must(err)
	if len(channels) == 0 {
		t.Fatal("no replica listens to Redis")
	}
	ends, stays := w.signedIn(), w.signedIn()
	w.known(ends)
	w.known(stays)
	for _, channel := range channels {
		for _, message := range []string{"", "garbage", `{"tenant":"example"}`, strings.Repeat("x", 1<<16)} {
			w.must(s.Publish(t.Context(), channel, message).Err())
		}
	}
	w.reuse(w.at(w.first), ends)
	w.seen("the end of a grant", func(c caller) bool { return c.refuses(ends.access) })
	w.known(stays)
}
