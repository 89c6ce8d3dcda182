package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"signpost/internal/audit"
	"signpost/internal/seal"
	"signpost/internal/store"
	"signpost/oidc/keys"
)

// Errors of ListKeys and RotateKeys that are the caller's to explain.
var (
	// ErrNoLine means that no tenant has keys of that use and algorithm.
	ErrNoLine = errors.New("there are no keys of that use and algorithm")
	// ErrNoTenant means that the tenant is not declared.
	ErrNoTenant = errors.New("no such tenant is declared")
	// ErrNoKeysYet means that a tenant lacks keys, which a service makes when it starts.
	ErrNoKeysYet = errors.New("no such key was made yet")
)

// Key is a signing key as an operator sees it.
type Key struct {
	Tenant    string
	Use       string // "access", "id", "introspection", or "server:" and the audience of a server with a key of its own
	Algorithm string
	ID        string // "kid"
	State     string // "signs", "next", "old", "removed" or "compromised"
	CreatedAt time.Time
	SignsFrom time.Time // zero: since it was made
	RemovedAt time.Time // zero while nothing is known of it
}

// ListKeys returns the signing keys of a tenant, or of all if none is named, line by
// line and oldest first, with their states at a moment. It changes nothing.
func ListKeys(ctx context.Context, c Config, tenant string, now time.Time) (list []Key, err error) {
	box, db, err := openExisting(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tenants, err := chosenTenants(ctx, db, tenant)
	if err != nil {
		return nil, err
	}
	ring := keys.New(db, box, func() time.Time { return now }, nil)
	for _, t := range tenants {
		found, err := ring.List(ctx, t)
		if err != nil {
			return nil, err
		}
		for _, l := range linesOf(found) {
			for _, k := range found {
				if (keys.Line{Use: k.Use, Algorithm: k.Algorithm}) == l {
					list = append(list, Key{t, string(k.Use), k.Algorithm, k.ID, string(k.State), k.CreatedAt, k.SignsFrom, k.RemovedAt})
				}
			}
		}
	}
	return list, nil
}

// linesOf returns the lines that every tenant has, and those of servers that have keys of their own.
func linesOf(found []keys.Listed) []keys.Line {
	lines := keys.Lines()
	var own []keys.Line
	for _, k := range found {
		l := keys.Line{Use: k.Use, Algorithm: k.Algorithm}
		if _, ok := k.Use.Server(); ok && !slices.Contains(own, l) {
			own = append(own, l)
		}
	}
	slices.SortFunc(own, func(a, b keys.Line) int { return strings.Compare(string(a.Use), string(b.Use)) })
	return append(lines, own...)
}

// RotateOptions say which keys to replace, and how.
type RotateOptions struct {
	Tenant      string // empty for all
	Use         string // as in Key, or "server" for the keys of all servers; empty for all
	Algorithm   string // empty for all
	Compromised bool   // what the keys signed counts no more, from now on
	Now         func() time.Time
}

// Rotated is what was done about one use and algorithm of a tenant.
type Rotated struct {
	Tenant    string
	Use       string
	Algorithm string
	Old       string    // id of the key that was replaced; empty if the next one was there already
	New       string    // id of the next key
	SignsFrom time.Time // of the next key
	RemovedAt time.Time // of the replaced key
}

// RotateKeys replaces signing keys beside a running service, which learns of it
// within a second. What cannot be rotated does not keep the rest from it: it returns
// what was done, and all that went wrong. Errors are ErrNoLine, ErrNoTenant,
// ErrNoKeysYet, and those of the database.
func RotateKeys(ctx context.Context, c Config, o RotateOptions) (done []Rotated, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if !o.forServers() && !slices.ContainsFunc(keys.Lines(), o.chooses) {
		return nil, ErrNoLine
	}
	box, db, err := openExisting(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tenants, err := chosenTenants(ctx, db, o.Tenant)
	if err != nil {
		return nil, err
	}
	ring := keys.New(db, box, o.Now, nil)
	var problems []error
	for _, t := range tenants {
		found, err := ring.List(ctx, t)
		if err != nil {
			return done, errors.Join(append(problems, err)...)
		}
		for _, l := range slices.DeleteFunc(linesOf(found), func(l keys.Line) bool { return !o.chooses(l) }) {
			r, err := ring.Rotate(ctx, t, l, o.Compromised)
			if errors.Is(err, keys.ErrNoKey) {
				err = fmt.Errorf("tenant %s, %s %s: %w", t, l.Use, l.Algorithm, ErrNoKeysYet)
			}
			if err != nil {
				problems = append(problems, err)
				continue
			}
			done = append(done, Rotated{t, string(l.Use), l.Algorithm, r.Old, r.New, r.SignsFrom, r.RemovedAt})
			problems = append(problems, recordRotated(ctx, db, t, r, o))
		}
	}
	if o.forServers() && len(done) == 0 && len(problems) == 0 {
		return nil, ErrNoLine
	}
	return done, errors.Join(problems...)
}

// anyServer chooses the keys of all servers that have keys of their own.
const anyServer = "server"

// forServers reports whether only servers with keys of their own are meant.
func (o RotateOptions) forServers() bool {
	_, one := keys.Use(o.Use).Server()
	return one || o.Use == anyServer
}

func (o RotateOptions) chooses(l keys.Line) bool {
	_, own := l.Use.Server()
	use := o.Use == "" || o.Use == string(l.Use) || own && o.Use == anyServer
	return use && (o.Algorithm == "" || o.Algorithm == l.Algorithm)
}

func recordRotated(ctx context.Context, db *store.Store, tenant string, r keys.Rotation, o RotateOptions) error {
	if r.Old == "" {
		return nil
	}
	rule := "planned"
	if o.Compromised {
		rule = "compromised"
	}
	e := audit.Event{
		At: o.Now(), Kind: audit.KindKeyRotated, Tenant: tenant, Outcome: audit.Allowed,
		Rule: fmt.Sprintf("%s, %s %s", rule, r.Use, r.Algorithm),
	}
	if err := db.Record(ctx, e); err != nil {
		return fmt.Errorf("rotated, but not recorded: %w", err)
	}
	return nil
}

// chosenTenants returns the names of the tenants that are declared, or the one that is meant.
func chosenTenants(ctx context.Context, db *store.Store, tenant string) ([]string, error) {
	declared, _, err := db.Tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("load tenants: %w", err)
	}
	var names []string
	for _, t := range declared {
		names = append(names, t.Name)
	}
	if tenant == "" {
		return names, nil
	}
	if !slices.Contains(names, tenant) {
		return nil, fmt.Errorf("tenant %q: %w; declared are: %s", tenant, ErrNoTenant, strings.Join(names, ", "))
	}
	return []string{tenant}, nil
}

// openExisting opens the database that is there and the key that seals it, and makes
// neither.
func openExisting(ctx context.Context, c Config) (*seal.Box, *store.Store, error) {
	db, err := lookAtData(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	if db == nil {
		return nil, nil, fmt.Errorf("there is no database in %s", c.DataDir)
	}
	box, err := openBox(c, true)
	if err == nil {
		err = prepare(ctx, db, false, false)
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return box, db, nil
}
