package cache_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"signpost/internal/cache"
	"signpost/test/backends"
)

// soon is how long something that needs no waiting may take on a busy machine. It is
// less than the half second for which a call waits for Redis.
const soon = 300 * time.Millisecond

func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("%s: got %v, want ErrUnavailable", what, err)
	}
}

// everyCall is each method that asks Redis.
func everyCall(ctx context.Context, r *cache.Redis) map[string]error {
	calls := map[string]error{}
	_, _, calls["Get"] = r.Get(ctx, "key")
	_, _, calls["Take"] = r.Take(ctx, "key")
	_, calls["Add"] = r.Add(ctx, "key", nil, time.Minute)
	_, _, calls["Allow"] = r.Allow(ctx, "key", 1, time.Minute)
	calls["Set"] = r.Set(ctx, "key", nil, time.Minute)
	calls["Delete"] = r.Delete(ctx, "key")
	calls["Publish"] = r.Publish(ctx, "bell", nil)
	calls["Ping"] = r.Ping(ctx)
	return calls
}

func wantAllUnavailable(t *testing.T, what string, r *cache.Redis) {
	t.Helper()
	for call, err := range everyCall(t.Context(), r) {
		wantUnavailable(t, what+": "+call, err)
	}
}

func wantAllFine(t *testing.T, what string, r *cache.Redis) {
	t.Helper()
	for call, err := range everyCall(t.Context(), r) {
		if err != nil {
			t.Errorf("%s: %s: %v", what, call, err)
		}
	}
}

// ticking is a clock that can be put forward, from several goroutines.
type ticking struct{ ahead atomic.Int64 }

func (c *ticking) Now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *ticking) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// wantBell publishes until a subscriber hears it: that is when its connection is back.
func wantBell(t *testing.T, r *cache.Redis, bell <-chan []byte) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case got, open := <-bell:
			if !open || string(got) != "ring" {
				t.Errorf("message: got %q, open %v, want %q", got, open, "ring")
			}
			return
		case <-again.C:
			_ = r.Publish(t.Context(), "bell", []byte("ring")) // Redis may not be there yet
		case <-deadline:
			t.Error("the subscription did not come back")
			return
		}
	}
}

func TestRedisAwayAtStart(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	for _, form := range []string{"redis://%", "redis+sentinel://%?master=m", "redis+cluster://%,%"} {
		r, _ := openRedis(t, strings.ReplaceAll(form, "%", address), newGuard(t))
		wantAllUnavailable(t, form, r)
	}

	r, _ := openRedis(t, "redis://"+address, newGuard(t))
	clock := &ticking{}
	r.SetNow(clock.Now)
	bell, stop, err := r.Subscribe(t.Context(), "bell")
	if err != nil {
		t.Fatalf("Subscribe while Redis is away: %v, want none: it connects later", err)
	}
	t.Cleanup(stop)
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	clock.forward(2 * time.Second)
	wantAllFine(t, "Redis is there", r)
	wantBell(t, r, bell)
}

// freeAddress returns an address at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestRedisKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	r, _ := openRedis(t, "redis://"+server.Addr(), newGuard(t))
	clock := &ticking{}
	r.SetNow(clock.Now)
	bell, stop, err := r.Subscribe(t.Context(), "bell")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	wantAllFine(t, "before", r)
	for range 2 {
		server.Close()
		wantAllUnavailable(t, "killed", r)
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		clock.forward(2 * time.Second)
		wantAllFine(t, "started again", r)
		drain(bell)
		wantBell(t, r, bell)
	}
}

func drain(messages <-chan []byte) {
	for {
		select {
		case <-messages:
		default:
			return
		}
	}
}

// TestRedisStoppedAndContinued is the same with a real server, which takes
// connections while it is stopped.
func TestRedisStoppedAndContinued(t *testing.T) {
	t.Parallel()
	backends.Redis(t) // no servers are wanted without it
	server, err := backends.StartRedis(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	r, _ := openRedis(t, server.URL, newGuard(t))
	clock := &ticking{}
	r.SetNow(clock.Now)
	bell, stop, err := r.Subscribe(t.Context(), "bell")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	wantAllFine(t, "before", r)

	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	wantAllUnavailable(t, "stopped", r)
	began := time.Now()
	for range 100 {
		wantAllUnavailable(t, "still stopped", r)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("800 calls to a stopped Redis took %v, want few to wait for it", took)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	clock.forward(2 * time.Second)
	wantAllFine(t, "continued", r)

	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	wantAllUnavailable(t, "killed", r)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	clock.forward(2 * time.Second)
	wantAllFine(t, "started again", r)
	drain(bell)
	wantBell(t, r, bell)
}

func TestRedisBreaker(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	link := newLink(t, server.Addr())
	r, _ := openRedis(t, "redis://"+link.address, newGuard(t))
	clock := &clock{time.Now()}
	r.SetNow(clock.Now)
	ask := func() (time.Duration, error) {
		began := time.Now()
		err := r.Ping(t.Context())
		return time.Since(began), err
	}
	if _, err := ask(); err != nil {
		t.Fatal(err)
	}

	link.mode.Store(mute)
	took, err := ask()
	wantUnavailable(t, "the first call", err)
	if took < 400*time.Millisecond || took > 3*time.Second {
		t.Errorf("the first call took %v, want about half a second", took)
	}
	before := link.heard.Load()
	for range 100 {
		took, err := ask()
		wantUnavailable(t, "a call within the second", err)
		if took > soon {
			t.Errorf("a call within the second took %v, want none of Redis", took)
		}
	}
	clock.now = clock.now.Add(time.Second)
	asked := make(chan error, 1)
	go func() {
		_, err := ask()
		asked <- err
	}()
	link.wait(t, before)
	took, err = ask()
	wantUnavailable(t, "a call beside the one that asks", err)
	if took > soon {
		t.Errorf("a call beside the one that asks took %v, want it not to ask too", took)
	}
	wantUnavailable(t, "the call that asks", <-asked)
	after := link.heard.Load()
	_, err = ask()
	wantUnavailable(t, "the call behind it", err)
	if link.heard.Load() != after {
		t.Error("a call went to Redis right after one had failed")
	}

	link.mode.Store(forward)
	_, err = ask()
	wantUnavailable(t, "Redis answers, but nobody has asked", err)
	clock.now = clock.now.Add(time.Second)
	for range 3 {
		if _, err := ask(); err != nil {
			t.Errorf("Redis answers again: %v", err)
		}
	}
}

// TestRedisBreakerIsNotForThoseWhoLeave: a caller that gives up, or one whose
// question is refused, says nothing about Redis.
func TestRedisBreakerIsNotForThoseWhoLeave(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	link := newLink(t, server.Addr())
	r, _ := openRedis(t, "redis://"+link.address, newGuard(t))
	link.mode.Store(mute)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := r.Ping(ctx)
	wantUnavailable(t, "a short deadline", err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a short deadline: got %v, want it to say so", err)
	}
	link.mode.Store(forward)
	wantAllFine(t, "after a caller that gave up", r)

	server.SetError("OOM command not allowed when used memory > 'maxmemory'")
	wantUnavailable(t, "a full Redis", r.Ping(t.Context()))
	server.SetError("")
	wantAllFine(t, "after an error of Redis", r)
}

func TestRedisWrongPassword(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.RequireAuth("the right one")
	server.RequireUserAuth("signpost", "the right one")
	for what, user := range map[string]string{"none": "", "password": ":the-wrong-one@", "user": "signpost:the-wrong-one@", "unknown user": "nobody:the-wrong-one@"} {
		r, _ := openRedis(t, "redis://"+user+server.Addr(), newGuard(t))
		wantAllUnavailable(t, what, r)
		if err := r.Ping(t.Context()); strings.Contains(err.Error(), "the-wrong-one") {
			t.Errorf("%s: the error shows the password: %v", what, err)
		}
	}
	for _, user := range []string{":the%20right%20one@", "signpost:the%20right%20one@"} {
		r, _ := openRedis(t, "redis://"+user+server.Addr(), newGuard(t))
		wantAllFine(t, user, r)
	}
}

// TestRedisLostAnswers: the command was carried out, and nobody heard it. It is made once
// more, and what it then finds is refused: whoever asked starts again.
func TestRedisLostAnswers(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	link := newLink(t, server.Addr())
	r, _ := openRedis(t, "redis://"+link.address, newGuard(t))
	if err := r.Set(t.Context(), "code", []byte("value"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Take(t.Context(), "another"); err != nil { // so that the server knows the script
		t.Fatal(err)
	}
	link.mode.Store(cut)
	if got, found, err := r.Take(t.Context(), "code"); found || err != nil {
		t.Errorf("Take with a lost answer: got %q, %v, %v, want a miss", got, found, err)
	}
	link.mode.Store(cut)
	if won, err := r.Add(t.Context(), "mark", nil, time.Minute); won || err != nil {
		t.Errorf("Add with a lost answer: got %v, %v, want it lost", won, err)
	}
	bell, stop, err := r.Subscribe(t.Context(), "bell")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	wantBell(t, r, bell)
}

func TestRedisClose(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	r, _ := openRedis(t, "redis://"+server.Addr(), newGuard(t))
	messages, stop, err := r.Subscribe(t.Context(), "bell")
	if err != nil {
		t.Fatal(err)
	}
	var subscribing sync.WaitGroup
	for range 8 { // none may outlive the cache, however close it comes
		subscribing.Go(func() {
			messages, _, err := r.Subscribe(t.Context(), "bell")
			if err != nil {
				wantUnavailable(t, "Subscribe beside Close", err)
				return
			}
			for range messages {
			}
		})
	}
	r.Close()
	r.Close()
	if _, open := <-messages; open {
		t.Error("the subscription outlived the cache")
	}
	stop()
	subscribing.Wait()
	wantAllUnavailable(t, "closed", r)
	_, _, err = r.Subscribe(t.Context(), "bell")
	wantUnavailable(t, "Subscribe after Close", err)
}
