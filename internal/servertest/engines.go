package servertest

import (
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"path/filepath"
	"testing"

	"signpost/directory"
	"signpost/internal/seal"
	"signpost/test/backends"
)

// remote puts PostgreSQL and Redis in the place of the data folder and memory. The
// database is the test's own. So are its keys in the Redis that all share: what they
// are called depends on the key that seals, which every test has of its own.
func (s *Server) remote(t testing.TB) {
	t.Helper()
	s.Config.DatabaseURL = directory.Secret(backends.Postgres(t))
	s.Config.RedisURL = directory.Secret(backends.Redis(t))
	key := make([]byte, seal.KeySize)
	rand.Read(key) // never fails
	s.Config.SecretKey = directory.Secret(base64.StdEncoding.EncodeToString(key))
}

// Database opens the database beside the running server, to look at what it keeps.
func (s *Server) Database(t testing.TB) *sql.DB {
	t.Helper()
	driver, source := "sqlite", "file:"+filepath.Join(s.Config.DataDir, "signpost.db")+"?_busy_timeout=5000&_query_only=1"
	if s.Config.DatabaseURL != "" {
		driver, source = "pgx", string(s.Config.DatabaseURL)
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatalf("open database: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	return db
}
