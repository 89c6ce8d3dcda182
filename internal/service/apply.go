package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/internal/store"
)

// Apply makes the declared tenants the stored ones, in one step or not at all, and
// returns what changed. Tenants that the declaration does not name stay as they
// are, unless prune is set: then they go, with their accounts and grants. With
// dryRun nothing is written. A running service sees the change within a second.
// The error is directory.Problems if the declaration contradicts what is there.
func Apply(ctx context.Context, c Config, declared []directory.Tenant, prune, dryRun bool) ([]directory.Change, error) {
	_, db, err := openData(ctx, c)
	if err != nil {
		return nil, err
	}
	changes, err := apply(ctx, db, c.BaseURL, declared, prune, dryRun)
	return changes, errors.Join(err, db.Close())
}

// applyTries is how often Apply starts again when somebody else applies at the same time.
const applyTries = 5

func apply(ctx context.Context, db *store.Store, base string, declared []directory.Tenant, prune, dryRun bool) ([]directory.Change, error) {
	for range applyTries {
		stored, revision, err := db.Tenants(ctx)
		if err != nil {
			return nil, fmt.Errorf("load tenants: %w", err)
		}
		after, removed := merge(stored, declared, prune)
		if problems := directory.Check(after); len(problems) > 0 {
			return nil, problems
		}
		if _, err := directory.Compile(base, after, revision); err != nil {
			return nil, fmt.Errorf("compile tenants: %w", err)
		}
		changes := directory.Diff(stored, after)
		if dryRun || len(changes) == 0 {
			return changes, nil
		}
		_, err = db.SaveTenants(ctx, revision, declared, removed)
		if errors.Is(err, directory.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("save tenants: %w", err)
		}
		return changes, recordApplied(ctx, db, declared, removed)
	}
	return nil, fmt.Errorf("apply: %w; somebody else keeps applying, try again", directory.ErrConflict)
}

// merge returns what will be declared in all, and the names of the tenants that go.
func merge(stored, declared []directory.Tenant, prune bool) (after []directory.Tenant, removed []string) {
	named := func(list []directory.Tenant, name string) int {
		return slices.IndexFunc(list, func(t directory.Tenant) bool { return t.Name == name })
	}
	for _, t := range stored {
		switch i := named(declared, t.Name); {
		case i >= 0:
			after = append(after, declared[i])
		case prune:
			removed = append(removed, t.Name)
		default:
			after = append(after, t)
		}
	}
	for _, t := range declared {
		if named(stored, t.Name) < 0 {
			after = append(after, t)
		}
	}
	return after, removed
}

func recordApplied(ctx context.Context, db *store.Store, declared []directory.Tenant, removed []string) error {
	events := make(map[string]string) // rule by tenant
	for _, t := range declared {
		events[t.Name] = "declared"
	}
	for _, name := range removed {
		events[name] = "removed"
	}
	for tenant, rule := range events {
		e := audit.Event{At: time.Now(), Kind: audit.KindApplied, Tenant: tenant, Rule: rule, Outcome: audit.Allowed}
		if err := db.Record(ctx, e); err != nil {
			return fmt.Errorf("applied, but not recorded: %w", err)
		}
	}
	return nil
}

// Migrate brings the database to the schema of this program.
func Migrate(ctx context.Context, c Config) error {
	_, db, err := openData(ctx, c)
	if err != nil {
		return err
	}
	return db.Close()
}

// Logger makes the logger that a configuration asks for.
func Logger(c Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
