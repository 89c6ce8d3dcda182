package service

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"signpost/internal/audit"
	"signpost/internal/store"
)

// ErrWhichTenant means that a person's address was given and several tenants are declared.
var ErrWhichTenant = errors.New("several tenants are declared")

// AuditEvent is an event of the record, for commands.
type AuditEvent = audit.Stored

// AuditQuery picks out events, for commands.
type AuditQuery = audit.Query

// SearchAudit gives the events that a query picks out to show, in its order, as many as its
// Limit says; with 0 all of them. The Account of the query may be an address instead of an id. It
// changes nothing. ErrNoTenant, ErrNoAccount, ErrWhichTenant, and the errors of show.
func SearchAudit(ctx context.Context, c Config, q AuditQuery, show func(AuditEvent) error) error {
	return withRecord(ctx, c, q, func(db *store.Store, q AuditQuery) error {
		limit, shown := q.Limit, 0
		for {
			q.Limit = audit.DefaultLimit
			if limit > 0 {
				q.Limit = min(limit-shown, audit.DefaultLimit)
			}
			found, err := db.Events(ctx, q)
			if err != nil {
				return err
			}
			for _, e := range found {
				if err := show(e); err != nil {
					return err
				}
			}
			shown += len(found)
			if len(found) < q.Limit || shown == limit {
				return nil
			}
			q.After = found[len(found)-1].ID
		}
	})
}

// TailAudit gives the newest n events that a query picks out to show, the oldest of them
// first, and with follow each one that is added, until ctx ends. Errors are those of SearchAudit.
func TailAudit(ctx context.Context, c Config, q AuditQuery, n int, follow bool, show func(AuditEvent) error) error {
	err := withRecord(ctx, c, q, func(db *store.Store, q AuditQuery) error {
		tail := audit.NewTail(db, q)
		last, err := tail.Last(ctx, n)
		if err != nil {
			return err
		}
		for _, e := range last {
			if err := show(e); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		return tail.Follow(ctx, show)
	})
	if follow && ctx.Err() != nil {
		return nil //nolint:nilerr // that is how following ends, whatever was going on
	}
	return err
}

// withRecord opens the database that is there, and looks up whose address a query has.
func withRecord(ctx context.Context, c Config, q AuditQuery, do func(*store.Store, AuditQuery) error) error {
	_, db, err := openExisting(ctx, c)
	if err != nil {
		return err
	}
	if q.Account, err = accountAt(ctx, db, q.Tenant, q.Account); err == nil {
		err = do(db, q)
	}
	return errors.Join(err, db.Close())
}

// accountAt returns the id of who has an address. All else is an id already: also that of
// somebody whose tenant is gone.
func accountAt(ctx context.Context, db *store.Store, tenant, account string) (id string, err error) {
	if !strings.Contains(account, "@") {
		return account, nil
	}
	tenants, err := chosenTenants(ctx, db, tenant)
	if err != nil {
		return "", err
	}
	if len(tenants) != 1 {
		return "", fmt.Errorf("%w: %s", ErrWhichTenant, strings.Join(tenants, ", "))
	}
	return accountNamed(ctx, db, tenants[0], account)
}
