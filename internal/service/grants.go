package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"signpost/internal/audit"
	"signpost/internal/store"
	"signpost/oidc/issuer"
)

// Errors of ListGrants and EndGrants that are the caller's to explain.
var (
	// ErrNoAccount means that nobody in the tenant has the address or login name.
	ErrNoAccount = errors.New("nobody has this address or login name there")
	// ErrNoGrant means that there is no sign-in with the id, or that it has ended already.
	ErrNoGrant = errors.New("no sign-in with this id lives there")
)

// reasonAdministrator is why a grant ended that an administrator ended.
const reasonAdministrator = "administrator"

// Grant is a sign-in of a person with a program, as an administrator sees it.
type Grant struct {
	ID         string
	Client     string   // its id
	Scopes     []string // what was allowed
	CreatedAt  time.Time
	LastUsedAt time.Time
}

// ListGrants returns the sign-ins that live of who has an address or login name in a
// tenant, newest first. It changes nothing. ErrNoTenant, ErrNoAccount.
func ListGrants(ctx context.Context, c Config, tenant, address string) (list []Grant, err error) {
	err = withAccounts(ctx, c, tenant, func(db *store.Store) error {
		account, err := accountNamed(ctx, db, tenant, address)
		if err != nil {
			return err
		}
		living, err := db.Grants(ctx, tenant, account)
		for _, g := range living {
			list = append(list, Grant{g.ID, g.ClientID, strings.Fields(g.Scopes), g.CreatedAt, g.LastUsedAt})
		}
		return err
	})
	return list, err
}

// EndOptions say which sign-ins of a tenant to end: one by its id, or those of a person.
type EndOptions struct {
	Tenant  string
	Grant   string           // id of one sign-in
	Address string           // or whose: an address or login name
	Client  string           // with Address: only those with this program; empty for all
	Now     func() time.Time // nil is time.Now
}

// Ended is what EndGrants ended.
type Ended struct {
	Grants       int // sign-ins
	AppPasswords int // besides those that end with a sign-in
}

// EndGrants ends sign-ins with everything made from them, beside a running service,
// which refuses them within a second (R26), and returns how many there were. It forgets
// first what the person allowed these programs, so that they ask again (R12). With all of a
// person's sign-ins their app passwords end too (R21), their sessions at their own page, and whatever
// they allowed that no program has redeemed yet. ErrNoTenant, ErrNoAccount, ErrNoGrant.
func EndGrants(ctx context.Context, c Config, o EndOptions) (ended Ended, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	err = withAccounts(ctx, c, o.Tenant, func(db *store.Store) error {
		if o.Grant != "" {
			ended, err = Ended{Grants: 1}, endOne(ctx, db, o)
			return err
		}
		ended, err = endAllOf(ctx, db, o)
		return err
	})
	if err != nil {
		return Ended{}, err
	}
	return ended, nil
}

func endOne(ctx context.Context, db *store.Store, o EndOptions) error {
	g, err := db.Grant(ctx, o.Tenant, o.Grant)
	if errors.Is(err, issuer.ErrNotFound) || err == nil && !g.EndedAt.IsZero() {
		return fmt.Errorf("tenant %s: %w", o.Tenant, ErrNoGrant)
	}
	if err != nil {
		return err
	}
	if err := db.ForgetConsent(ctx, o.Tenant, g.AccountID, g.ClientID); err != nil {
		return err
	}
	now := o.Now()
	if err := db.EndGrant(ctx, o.Tenant, o.Grant, reasonAdministrator, now); err != nil {
		return err
	}
	return recordEnded(ctx, db, audit.Event{At: now, Tenant: o.Tenant, Account: g.AccountID, Client: g.ClientID, Grant: g.ID})
}

func endAllOf(ctx context.Context, db *store.Store, o EndOptions) (ended Ended, err error) {
	account, err := accountNamed(ctx, db, o.Tenant, o.Address)
	if err != nil {
		return Ended{}, err
	}
	if err := db.ForgetConsent(ctx, o.Tenant, account, o.Client); err != nil {
		return Ended{}, err
	}
	now := o.Now()
	ended.Grants, err = db.EndGrants(ctx, o.Tenant, account, o.Client, reasonAdministrator, now)
	if err != nil {
		return Ended{}, err
	}
	if ended.Grants > 0 {
		err := recordEnded(ctx, db, audit.Event{At: now, Tenant: o.Tenant, Account: account, Client: o.Client})
		if err != nil {
			return Ended{}, err
		}
	}
	// After the end of all: from then on no session that began before it makes another.
	if o.Client == "" {
		ended.AppPasswords, err = endAppPasswords(ctx, db, o.Tenant, account, now)
	}
	return ended, err
}

// endAppPasswords ends all of an account and records it.
func endAppPasswords(ctx context.Context, db *store.Store, tenant, account string, now time.Time) (ended int, err error) {
	ended, err = db.EndAppPasswords(ctx, tenant, account, reasonAdministrator, now)
	if err != nil || ended == 0 {
		return 0, err
	}
	err = db.Record(ctx, audit.Event{
		At: now, Kind: audit.KindAppPassword, Tenant: tenant, Account: account, Rule: "ended/" + reasonAdministrator, Outcome: audit.Allowed,
	})
	if err != nil {
		return ended, fmt.Errorf("ended app passwords, but not recorded: %w", err)
	}
	return ended, nil
}

// recordEnded records that an administrator ended one grant or, without a grant, all
// of an account, or of its client.
func recordEnded(ctx context.Context, db *store.Store, e audit.Event) error {
	e.Kind, e.Rule, e.Outcome = audit.KindGrantEnded, reasonAdministrator, audit.Allowed
	if err := db.Record(ctx, e); err != nil {
		return fmt.Errorf("ended, but not recorded: %w", err)
	}
	return nil
}

// withAccounts opens the database that is there for work in one declared tenant.
func withAccounts(ctx context.Context, c Config, tenant string, do func(*store.Store) error) error {
	_, db, err := openExisting(ctx, c)
	if err != nil {
		return err
	}
	if _, err = chosenTenants(ctx, db, tenant); err == nil {
		err = do(db)
	}
	return errors.Join(err, db.Close())
}

// accountNamed finds who has a name. Errors do not repeat it: they may be logged.
func accountNamed(ctx context.Context, db *store.Store, tenant, name string) (id string, err error) {
	a, err := db.AccountByName(ctx, tenant, name)
	if errors.Is(err, issuer.ErrNotFound) {
		return "", fmt.Errorf("tenant %s: %w", tenant, ErrNoAccount)
	}
	return a.ID, err
}
