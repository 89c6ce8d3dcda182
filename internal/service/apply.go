package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/internal/store"
)

// ApplyOptions say how to apply. The zero value is the ordinary.
type ApplyOptions struct {
	Prune  bool             // remove tenants that are not declared, with their accounts and grants
	DryRun bool             // write nothing and make nothing
	Now    func() time.Time // for the record; nil is time.Now
}

// Apply makes the declared tenants the stored ones, in one step or not at all, and
// returns what changed. Tenants that the declaration does not name stay as they
// are, unless they are to be pruned. A running service sees the change within a
// second. What is declared must fit the base URL that is served; before it was
// ever served, the one of c. The error is directory.Problems if the declaration
// contradicts what is there, and store.ErrOlder if the database wants a migration.
func Apply(ctx context.Context, c Config, declared []directory.Tenant, o ApplyOptions) ([]directory.Change, error) {
	if o.DryRun {
		return compare(ctx, c, declared, o)
	}
	_, db, err := openData(ctx, c, false)
	if err != nil {
		return nil, err
	}
	changes, err := apply(ctx, db, c, declared, o)
	return changes, errors.Join(err, db.Close())
}

// compare is the dry run. Where there is no database, everything is new.
func compare(ctx context.Context, c Config, declared []directory.Tenant, o ApplyOptions) ([]directory.Change, error) {
	db, err := lookAtData(ctx, c)
	if err != nil {
		return nil, err
	}
	if db == nil {
		p, err := makePlan(c.BaseURL, nil, declared, 0, o.Prune)
		return p.changes, err
	}
	if err := prepare(ctx, db, false, false); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	changes, err := apply(ctx, db, c, declared, o)
	return changes, errors.Join(err, db.Close())
}

// applyTries is how often Apply starts again when somebody else applies at the same time.
const applyTries = 5

func apply(ctx context.Context, db *store.Store, c Config, declared []directory.Tenant, o ApplyOptions) ([]directory.Change, error) {
	base, err := servedBaseURL(ctx, db, c)
	if err != nil {
		return nil, err
	}
	for range applyTries {
		stored, revision, err := db.Tenants(ctx)
		if err != nil {
			return nil, fmt.Errorf("load tenants: %w", err)
		}
		p, err := makePlan(base, stored, declared, revision, o.Prune)
		if err != nil || o.DryRun || len(p.changes) == 0 {
			return p.changes, err
		}
		_, err = db.SaveTenants(ctx, revision, declared, p.removed)
		if errors.Is(err, directory.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("save tenants: %w", err)
		}
		return p.changes, recordApplied(ctx, db, p, o.Now)
	}
	return nil, fmt.Errorf("apply: %w; somebody else keeps applying, try again", directory.ErrConflict)
}

// servedBaseURL returns the base URL that declarations must fit: the one that is
// served, which one that was given must not contradict.
func servedBaseURL(ctx context.Context, db *store.Store, c Config) (string, error) {
	served, err := db.BaseURL(ctx)
	switch {
	case err != nil:
		return "", err
	case served == "":
		return c.BaseURL, nil
	case served != c.BaseURL && !c.baseURLAssumed:
		return "", fmt.Errorf("this installation is served at %s, and the base URL given here is %s: leave base_url out, or start \"signpost serve\" with the new one first", served, c.BaseURL)
	}
	return served, nil
}

// plan is what an apply would do.
type plan struct {
	changes []directory.Change
	removed []string // names of the tenants that go
}

// makePlan merges what is declared into what is stored, and refuses what would not compile.
func makePlan(base string, stored, declared []directory.Tenant, revision int64, prune bool) (plan, error) {
	after, removed := merge(stored, declared, prune)
	if problems := directory.Check(after); len(problems) > 0 {
		return plan{}, problems
	}
	if _, err := compile(base, after, revision); err != nil {
		return plan{}, err
	}
	return plan{changes: directory.Diff(stored, after), removed: removed}, nil
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

// recordApplied records one event for each tenant that changed, in the order of
// the changes.
func recordApplied(ctx context.Context, db *store.Store, p plan, now func() time.Time) error {
	if now == nil {
		now = time.Now
	}
	recorded := map[string]bool{}
	for _, change := range p.changes {
		tenant, _, _ := strings.Cut(change.Name, "/")
		if recorded[tenant] {
			continue
		}
		recorded[tenant] = true
		rule := "declared"
		if slices.Contains(p.removed, tenant) {
			rule = "removed"
		}
		e := audit.Event{At: now(), Kind: audit.KindApplied, Tenant: tenant, Rule: rule, Outcome: audit.Allowed}
		if err := db.Record(ctx, e); err != nil {
			return fmt.Errorf("applied, but not recorded: %w", err)
		}
	}
	return nil
}

// Migrate brings the database to the schema of this program.
func Migrate(ctx context.Context, c Config) error {
	_, db, err := openData(ctx, c, true)
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

// Backup copies the SQLite database that is there into a new file, also while a
// service uses it. The secret key is no part of it. With PostgreSQL it returns
// store.ErrNoBackup.
func Backup(ctx context.Context, c Config, file string) error {
	if c.DatabaseURL != "" {
		return store.ErrNoBackup
	}
	db, err := lookAtData(ctx, c)
	if err != nil {
		return err
	}
	if db == nil {
		return fmt.Errorf("there is no database in %s", c.DataDir)
	}
	return errors.Join(db.Backup(ctx, file), db.Close())
}
