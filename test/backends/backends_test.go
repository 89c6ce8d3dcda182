package backends_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"signpost/test/backends"
)

const (
	// patience is how long an answer may take that must come.
	patience = 30 * time.Second
	// silence is how long an answer is waited for that must not come.
	silence = 500 * time.Millisecond
)

// wanted skips a test that starts servers of its own, where nobody asked for such.
func wanted(t *testing.T) {
	t.Helper()
	if os.Getenv("CI") == "" && os.Getenv("SIGNPOST_TEST_ALL") == "" {
		t.Skip("starts servers; make test-all runs this")
	}
}

// closing fails the test if a server does not end.
func closing(t *testing.T, c io.Closer) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// do fails the test if one of the steps that it is given has.
func do(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// query connects, runs one statement and returns its only value.
func query(ctx context.Context, url, statement string) (value string, err error) {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer db.Close(context.Background())
	err = db.QueryRow(ctx, statement).Scan(&value)
	return value, err
}

// within returns a context that ends in time.
func within(t *testing.T, span time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), span)
	t.Cleanup(cancel)
	return ctx
}

func TestPostgresKeepsItsDataWhenKilled(t *testing.T) {
	t.Parallel()
	wanted(t)
	s, err := backends.StartPostgres(t.TempDir(), backends.Durable)
	do(t, "start", err)
	closing(t, s)
	if !strings.HasPrefix(s.Version, "PostgreSQL ") {
		t.Errorf("version is %q, want PostgreSQL and a number", s.Version)
	}
	const change = "CREATE TABLE kept AS SELECT 'here'::text AS word"
	db, err := pgx.Connect(within(t, patience), s.URL)
	do(t, "connect", err)
	_, err = db.Exec(t.Context(), change)
	do(t, change, err)

	do(t, "kill", s.Kill())
	if err := db.Ping(within(t, patience)); err == nil {
		t.Error("after Kill: a connection made before still answers")
	}
	if _, err := query(within(t, patience), s.URL, "SELECT 'x'"); err == nil {
		t.Error("after Kill: a new connection is answered")
	}
	do(t, "kill what is dead", s.Kill())
	if s.Pause() == nil || s.Resume() == nil {
		t.Error("Pause and Resume of a dead server: no error")
	}

	do(t, "start again", s.Start())
	if s.Start() == nil {
		t.Error("Start of a running server: no error")
	}
	if word, err := query(within(t, patience), s.URL, "SELECT word FROM kept"); err != nil || word != "here" {
		t.Errorf("after Kill and Start: got %q, %v, want the word that was written before", word, err)
	}
}

func TestPostgresStandsStillWhilePaused(t *testing.T) {
	t.Parallel()
	wanted(t)
	s, err := backends.StartPostgres(t.TempDir())
	do(t, "start", err)
	closing(t, s)
	db, err := pgx.Connect(within(t, patience), s.URL)
	do(t, "connect", err)
	defer db.Close(context.Background())

	do(t, "pause", s.Pause())
	// The connection's own process must stand still too, not only the one that started it.
	answered := make(chan error, 1)
	go func() { answered <- db.Ping(context.WithoutCancel(t.Context())) }()
	if _, err := query(within(t, silence), s.URL, "SELECT 'x'"); err == nil {
		t.Error("a paused server answers a new connection")
	}
	select {
	case err := <-answered:
		t.Errorf("a paused server answers a connection made before: %v", err)
	default:
	}

	do(t, "resume", s.Resume())
	select {
	case err := <-answered:
		do(t, "the question asked meanwhile", err)
	case <-time.After(patience):
		t.Error("after Resume: no answer to the question asked meanwhile")
	}
}

func TestPausedServerCanBeClosed(t *testing.T) {
	t.Parallel()
	wanted(t)
	s, err := backends.StartPostgres(t.TempDir())
	do(t, "start", err)
	do(t, "pause", s.Pause())
	do(t, "close", s.Close())
	do(t, "close again", s.Close())
	if s.Start() == nil {
		t.Error("Start of a closed server: no error")
	}
}

// client returns a client that asks once.
func client(t *testing.T, o *redis.Options) *redis.Client {
	t.Helper()
	o.MaxRetries = -1
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() }) // the test is over
	return c
}

func options(t *testing.T, url string) *redis.Options {
	t.Helper()
	o, err := redis.ParseURL(url)
	do(t, "parse the URL", err)
	return o
}

func TestRedisKeepsItsDataOnlyWhenDurable(t *testing.T) {
	t.Parallel()
	wanted(t)
	for name, c := range map[string]struct {
		options []backends.Option
		want    int64
	}{
		"durable": {options: []backends.Option{backends.Durable}, want: 1},
		"cache":   {want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := backends.StartRedis(t.TempDir(), c.options...)
			do(t, "start", err)
			closing(t, s)
			r := client(t, options(t, s.URL))
			do(t, "set", r.Set(t.Context(), "kept", "here", 0).Err())
			do(t, "kill", s.Kill())
			if err := r.Ping(within(t, patience)).Err(); err == nil {
				t.Error("after Kill: it answers")
			}
			do(t, "start again", s.Start())
			if got, err := r.Exists(t.Context(), "kept").Result(); err != nil || got != c.want {
				t.Errorf("after Kill and Start: %d keys, %v, want %d", got, err, c.want)
			}
		})
	}
}

func TestRedisStandsStillWhilePaused(t *testing.T) {
	t.Parallel()
	wanted(t)
	s, err := backends.StartRedis(t.TempDir())
	do(t, "start", err)
	closing(t, s)
	o := options(t, s.URL)
	o.ContextTimeoutEnabled = true
	r := client(t, o)
	do(t, "pause", s.Pause())
	if err := r.Ping(within(t, silence)).Err(); err == nil {
		t.Error("a paused server answers")
	}
	do(t, "resume", s.Resume())
	do(t, "ping", r.Ping(within(t, patience)).Err())
}

func TestTLSRedisLetsItsUserDoNoMoreThanNeeded(t *testing.T) {
	t.Parallel()
	wanted(t)
	s, caFile, err := backends.StartTLSRedis(t.TempDir())
	do(t, "start", err)
	closing(t, s)
	authority, err := os.ReadFile(caFile)
	do(t, "read the authority", err)
	known := x509.NewCertPool()
	if !known.AppendCertsFromPEM(authority) {
		t.Fatalf("%s holds no certificate", caFile)
	}
	o := options(t, s.URL)
	if err := client(t, o).Ping(within(t, patience)).Err(); err == nil {
		t.Error("a client that does not know the authority is answered")
	}
	o = options(t, s.URL)
	o.TLSConfig = &tls.Config{RootCAs: known, MinVersion: tls.VersionTLS12}
	r := client(t, o)
	do(t, "set a key of ours", r.Set(t.Context(), "signpost:1:{a}", "x", time.Minute).Err())
	do(t, "publish", r.Publish(t.Context(), "signpost:1:bell", "x").Err())
	do(t, "script", r.Eval(t.Context(), "return redis.call('GET', KEYS[1])", []string{"signpost:1:{a}"}).Err())
	for what, err := range map[string]error{
		"set a key of somebody else": r.Set(t.Context(), "other", "x", time.Minute).Err(),
		"subscribe to somebody else": r.Publish(t.Context(), "other", "x").Err(),
		"empty everything":           r.FlushAll(t.Context()).Err(),
		"list the keys":              r.Keys(t.Context(), "*").Err(),
		"read the configuration":     r.ConfigGet(t.Context(), "*").Err(),
	} {
		if err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("%s: got %v, want NOPERM", what, err)
		}
	}
}

func TestSentinelPutsTheReplicaInThePlaceOfADeadMaster(t *testing.T) {
	t.Parallel()
	wanted(t)
	s, err := backends.StartSentinel(t.TempDir())
	do(t, "start", err)
	closing(t, s)
	u, err := url.Parse(s.URL)
	do(t, "parse the URL", err)
	sentinels := strings.Split(u.Host, ",")
	if len(sentinels) != 3 || len(s.Sentinels) != 3 {
		t.Fatalf("%d sentinels in %s, %d servers, want 3", len(sentinels), s.URL, len(s.Sentinels))
	}
	r := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: u.Query().Get("master"), SentinelAddrs: sentinels})
	closing(t, r)
	do(t, "set", r.Set(t.Context(), "kept", "here", 0).Err())
	if n, err := r.Wait(t.Context(), 1, patience).Result(); err != nil || n != 1 {
		t.Fatalf("%d replicas have the key, %v, want 1", n, err)
	}
	do(t, "kill", s.Master.Kill())
	ctx := within(t, patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		value, err := r.Get(ctx, "kept").Result()
		if err == nil && value == "here" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nobody took the master's place within %v: %q, %v", patience, value, err)
		case <-tick.C:
		}
	}
}

func TestClusterIsWholeAgainWhenANodeComesBack(t *testing.T) {
	t.Parallel()
	wanted(t)
	c, err := backends.StartCluster(t.TempDir(), backends.Durable)
	do(t, "start", err)
	closing(t, c)
	u, err := url.Parse(c.URL)
	do(t, "parse the URL", err)
	nodes := strings.Split(u.Host, ",")
	if len(nodes) != 3 || len(c.Nodes) != 3 {
		t.Fatalf("%d nodes in %s, %d servers, want 3", len(nodes), c.URL, len(c.Nodes))
	}
	r := redis.NewClusterClient(&redis.ClusterOptions{Addrs: nodes})
	closing(t, r)
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"} // on all nodes
	for _, key := range keys {
		do(t, "set "+key, r.Set(t.Context(), key, "here", 0).Err())
	}
	do(t, "kill", c.Nodes[1].Kill())
	do(t, "start again", c.Nodes[1].Start()) // returns when it sees the Cluster whole
	for _, key := range keys {
		if value, err := r.Get(within(t, patience), key).Result(); err != nil || value != "here" {
			t.Errorf("%s: got %q, %v, want what was written", key, value, err)
		}
	}
}

// A test that is killed must not leave servers behind, and each server is to
// have its own port and data.
func TestServersAreApart(t *testing.T) {
	t.Parallel()
	wanted(t)
	var urls []string
	for range 3 {
		s, err := backends.StartRedis(t.TempDir())
		do(t, "start", err)
		closing(t, s)
		r := client(t, options(t, s.URL))
		if n, err := r.DBSize(t.Context()).Result(); err != nil || n != 0 {
			t.Errorf("%s: %d keys, %v, want a new and empty server", s.URL, n, err)
		}
		do(t, "set", r.Set(t.Context(), "own", s.URL, 0).Err())
		urls = append(urls, s.URL)
	}
	for _, url := range urls {
		if got, err := client(t, options(t, url)).Get(t.Context(), "own").Result(); err != nil || got != url {
			t.Errorf("%s holds %q, %v, want its own URL", url, got, err)
		}
	}
}
