package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"
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
	provider, err := s.provider()
	if err != nil {
		return err
	}
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

// Migrate brings the schema up to the one that this binary knows. Doing so
// twice, or in several processes at once, is fine. It returns ErrNewer and
// changes nothing if the schema is newer.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.Check(ctx); !errors.Is(err, ErrOlder) {
		return err
	}
	provider, err := s.provider()
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
		// first with that one: go on with the next.
		after, _, err := provider.GetVersions(ctx)
		if err != nil || after == before {
			return fmt.Errorf("migrate the schema from version %d: %w", before, failure)
		}
	}
}

func (s *Store) provider() (*goose.Provider, error) {
	provider, err := goose.NewProvider(s.dialect, s.write, s.migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return provider, nil
}
