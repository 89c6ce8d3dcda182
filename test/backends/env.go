package backends

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience is how long creating or dropping a database may take on a busy machine.
const patience = 30 * time.Second

// Postgres returns the URL of a new, empty database, which is dropped when the test
// ends. Without the servers of test/withbackends the test is skipped, or fails where
// CI, SIGNPOST_TEST_ALL or EnginesVariable is set; so it is with the other functions
// of this file.
func Postgres(t testing.TB) string {
	t.Helper()
	admin := need(t, PostgresVariable)
	database, err := url.Parse(admin)
	if err != nil {
		t.Fatalf("%s is no URL", PostgresVariable) // the error would show the password
	}
	name := "signpost_" + strings.ToLower(rand.Text())
	administer(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { administer(t, admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	database.Path = "/" + name
	return database.String()
}

// Remote reports whether suites that can run on either run on PostgreSQL
// and Redis.
func Remote(t testing.TB) bool {
	t.Helper()
	switch engines := os.Getenv(EnginesVariable); engines {
	case "":
		return false
	case "remote":
		return true
	default:
		t.Fatalf("%s is %q, want remote or nothing", EnginesVariable, engines)
		return false
	}
}

// Redis returns the URL of a Redis that other tests use at the same time.
func Redis(t testing.TB) string {
	t.Helper()
	return need(t, RedisVariable)
}

// Cluster returns the URL of a Redis Cluster of three nodes that other tests use at
// the same time.
func Cluster(t testing.TB) string {
	t.Helper()
	return need(t, ClusterVariable)
}

// Sentinel returns the URL of a Redis with a replica and three sentinels that other
// tests use at the same time.
func Sentinel(t testing.TB) string {
	t.Helper()
	return need(t, SentinelVariable)
}

// TLSRedis returns the URL of a Redis that speaks TLS alone, for a user who may do
// no more than Signpost needs, and the file with the authority that signed its
// certificate. Other tests use it at the same time.
func TLSRedis(t testing.TB) (url, caFile string) {
	t.Helper()
	return need(t, TLSVariable), need(t, CAVariable)
}

// need returns what test/withbackends has set. Nothing must be left out unseen where
// everything was asked for.
func need(t testing.TB, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	switch {
	case value != "":
	case os.Getenv("CI") != "" || os.Getenv("SIGNPOST_TEST_ALL") != "" || os.Getenv(EnginesVariable) != "":
		t.Fatalf("%s is not set; run the tests as: go run ./test/withbackends -- go test ./...", variable)
	default:
		t.Skipf("needs a server: go run ./test/withbackends -- go test ./... starts one (%s)", variable)
	}
	return value
}

// administer runs one statement as the user who may create databases.
func administer(t testing.TB, admin, statement string) {
	t.Helper()
	// Not the test's context: it has ended when its databases are dropped.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := pgx.Connect(ctx, admin)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer db.Close(ctx)
	if _, err := db.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
