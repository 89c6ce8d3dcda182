package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"

	"signpost/migrations"
)

// Errors of Check and Migrate. Their text says which command to run.
var (
	// ErrNewer means that a newer Signpost has migrated the database. Stop:
	// this binary does not know what it would write into.
	ErrNewer = errors.New("store: the database is newer than this signpost")
	// ErrOlder means that migrations are missing. Call Migrate, or stop and
	// let the operator do so.
	ErrOlder = errors.New("store: the database is older than this signpost")
)

// Check compares the schema with the one that this binary knows and returns
// nil, ErrOlder or ErrNewer.
func (s *Store) Check(ctx context.Context) error {
	provider, err := s.engine.migrator(s.schema)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	has, knows, err := provider.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read the schema version: %w", err)
	case has > knows:
		return fmt.Errorf("%w: its schema is %d and this binary knows %d; install the release that migrated it, then run \"signpost migrate\" with that one", ErrNewer, has, knows)
	case has < knows:
		return fmt.Errorf("%w: its schema is %d and this binary needs %d; run \"signpost migrate\"", ErrOlder, has, knows)
	}
	return nil
}

// Empty reports whether no migration has ever been made here. It changes nothing.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var migrated bool
	if err := s.read.QueryRowContext(ctx, s.engine.hasTable(), "revision").Scan(&migrated); err != nil {
		return false, fmt.Errorf("look for a schema: %w", err)
	}
	return !migrated, nil
}

// Migrate brings the schema up to the one that this binary knows. Doing so
// twice, or in several processes at once, is fine: on PostgreSQL one migrates and
// the others wait for it, up to five minutes. It returns ErrNewer and changes
// nothing if the schema is newer.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.Check(ctx); !errors.Is(err, ErrOlder) {
		return err
	}
	provider, err := s.engine.migrator(s.schema)
	if err != nil {
		return err
	}
	for {
		before, _, err := provider.GetVersions(ctx)
		if err != nil {
			return fmt.Errorf("read the schema version: %w", err)
		}
		_, failure := provider.Up(ctx)
		if failure == nil {
			return nil
		}
		// Each migration is a transaction of its own. If one failed and the
		// schema moved all the same, another process is migrating too and was
		// first with that one, on SQLite, where no lock is held from one to the
		// next: go on with the next.
		after, _, err := provider.GetVersions(ctx)
		if err != nil || after == before {
			return fmt.Errorf("migrate the schema from version %d: %w", before, failure)
		}
	}
}

func newMigrator(dialect goose.Dialect, db *sql.DB, name string, options ...goose.ProviderOption) (*goose.Provider, error) {
	files, err := migrations.FS(name)
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(dialect, db, files, append(options, goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return provider, nil
}
