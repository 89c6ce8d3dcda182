package backends_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"signpost/test/backends"
)

func TestPostgresDatabasesAreEmptyApartAndDropped(t *testing.T) {
	t.Parallel()
	const tables = "SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'"
	var first string
	t.Cleanup(func() { // after those that Postgres registers
		if first == "" {
			return // no server; Postgres has said so
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := query(ctx, first, tables)
		if gone, ok := errors.AsType[*pgconn.PgError](err); !ok || gone.Code != "3D000" {
			t.Errorf("after its test a database is still there: got %v, want \"does not exist\"", err)
		}
	})
	first = backends.Postgres(t)
	second := backends.Postgres(t)
	db, err := pgx.Connect(within(t, patience), first)
	do(t, "connect", err)
	defer db.Close(context.Background())
	_, err = db.Exec(t.Context(), "CREATE TABLE own (word text)")
	do(t, "create a table", err)
	for url, want := range map[string]string{first: "1", second: "0"} {
		if got, err := query(within(t, patience), url, tables); err != nil || got != want {
			t.Errorf("%s tables, %v, want %s", got, err, want)
		}
	}
}
