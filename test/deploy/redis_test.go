package deploy

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"signpost/internal/cache"
	"signpost/internal/seal"
)

// composedRedis starts the Redis of the compose file, with its arguments and with the
// rights that deploy/secrets.sh gives, and returns its URL for Signpost.
func composedRedis(t testing.TB) string {
	t.Helper()
	program := installed(t, "redis-server", "redis-server")
	dir, address := secrets(t), freeAddress(t)
	host, port, _ := strings.Cut(address, ":")
	var args []string
	for _, arg := range compose(t).Services["redis"].Command {
		args = append(args, strings.Replace(arg, "/run/secrets", dir, 1))
	}
	// After the test's context has ended the process must still be there to be ended.
	command := exec.Command(program, append(args, "--port", port, "--bind", host)...)
	command.Dir = t.TempDir()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // and then it has ended
		_ = command.Wait()
	})
	text, err := os.ReadFile(filepath.Join(dir, "redis_url"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal("redis_url holds no URL")
	}
	u.Host = address
	return u.String()
}

func openRedis(t testing.TB, url string) *cache.Redis {
	t.Helper()
	box, err := seal.New([]byte(strings.Repeat("k", seal.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	redis, err := cache.OpenRedis(t.Context(), url, box)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	eventually(t, "Redis answers", func() bool { return redis.Ping(t.Context()) == nil })
	return redis
}

// TestRightsInRedisAreEnough: everything that Signpost asks of Redis is allowed by the
// rights that the guide and the compose file give, under the limits of the latter.
func TestRightsInRedisAreEnough(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	redis := openRedis(t, composedRedis(t))
	value := []byte("value")
	messages, stop, err := redis.Subscribe(ctx, "bell")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for name, ask := range map[string]func() error{
		"set":     func() error { return redis.Set(ctx, "a", value, time.Minute) },
		"get":     func() error { _, _, err := redis.Get(ctx, "a"); return err },
		"take":    func() error { _, _, err := redis.Take(ctx, "b"); return err },
		"add":     func() error { _, err := redis.Add(ctx, "c", value, time.Minute); return err },
		"delete":  func() error { return redis.Delete(ctx, "d") },
		"allow":   func() error { _, _, err := redis.Allow(ctx, "e", 10, time.Minute); return err },
		"publish": func() error { return redis.Publish(ctx, "bell", value) },
	} {
		if err := ask(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	select {
	case got := <-messages:
		if string(got) != string(value) {
			t.Errorf("the subscription gave %q, want %q", got, value)
		}
	case <-ctx.Done():
		t.Error("the subscription gave nothing")
	}
}

// TestRightsInRedisAreNoMore: who has the password may not look around, and who has
// none may do nothing but ask whether Redis lives, which the healthcheck does.
func TestRightsInRedisAreNoMore(t *testing.T) {
	t.Parallel()
	program := installed(t, "redis-cli", "redis-tools")
	address := composedRedis(t)
	openRedis(t, address).Close() // it has started
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the URL of Redis is none")
	}
	nobody := "redis://" + u.Host
	for _, c := range []struct {
		url, line, want string
	}{
		{address, "KEYS *", "NOPERM"},
		{address, "SCAN 0", "NOPERM"},
		{address, "FLUSHALL", "NOPERM"},
		{address, "CONFIG GET dir", "NOPERM"},
		{address, "GET other", "NOPERM"},
		{address, "GET signpost:x", ""},
		{address, "SUBSCRIBE other", "NOPERM"},
		{nobody, "PING", "PONG"},
		{nobody, "GET signpost:x", "NOPERM"},
		{nobody, "SUBSCRIBE signpost:x", "NOPERM"},
	} {
		command := exec.CommandContext(t.Context(), program, append([]string{"--no-auth-warning", "-u", c.url}, strings.Fields(c.line)...)...)
		out, err := command.CombinedOutput()
		if got := strings.TrimSpace(string(out)); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: got %q, %v, want %q", c.line, got, err, c.want)
		}
	}
}

// TestRightsInTheGuide: the guide gives the rights that deploy/secrets.sh gives.
func TestRightsInTheGuide(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`(?m)^user signpost on >\S+ (.+)$`)
	guide, script := line.FindStringSubmatch(read(t, "docs/guides/production.md")), line.FindStringSubmatch(read(t, "deploy/secrets.sh"))
	if guide == nil || script == nil || guide[1] != script[1] {
		t.Errorf("rights in Redis: the guide gives %q, deploy/secrets.sh gives %q", guide, script)
	}
}
