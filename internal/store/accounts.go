package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"signpost/internal/condition"
	"signpost/oidc/issuer"
)

const accountColumns = `id, upstream_issuer, upstream_subject, addresses, login, name, claims, created_at, last_sign_in_at, ended_before`

func scanAccount(row scanner) (a issuer.Account, err error) {
	err = row.Scan(&a.ID, &a.UpstreamIssuer, &a.UpstreamSubject, asJSON{&a.Addresses}, &a.Login, &a.Name, keptClaims{&a.Claims},
		moment{&a.CreatedAt}, moment{&a.LastSignInAt}, moment{&a.EndedBefore})
	return a, err
}

// keptClaims keeps claims as JSON text and reads their numbers as they are written: a whole
// number is an int64, another one a float64.
type keptClaims struct{ claims *map[string]any }

// Value is what the database gets.
func (k keptClaims) Value() (driver.Value, error) { return asJSON{k.claims}.Value() }

// Scan takes what the database has. A claim with a number that is neither is left out, and
// conditions that ask for it say no.
func (k keptClaims) Scan(stored any) error {
	text, ok := stored.(string)
	if !ok {
		return fmt.Errorf("claims are stored as %T, not as text", stored)
	}
	var claims map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		return err
	}
	for name, value := range claims {
		exact, ok := condition.Exact(value)
		if !ok {
			delete(claims, name)
			continue
		}
		claims[name] = exact
	}
	*k.claims = claims
	return nil
}

// Account returns an account by its ID.
func (s *Store) Account(ctx context.Context, tenant, id string) (issuer.Account, error) {
	a, err := s.findAccount(ctx, `tenant = $1 AND id = $2`, tenant, id)
	if err != nil {
		return issuer.Account{}, fmt.Errorf("load account %q: %w", id, err)
	}
	return a, nil
}

// AccountOf returns the account of a person at an identity provider.
func (s *Store) AccountOf(ctx context.Context, tenant, upstreamIssuer, upstreamSubject string) (issuer.Account, error) {
	a, err := s.findAccount(ctx, `tenant = $1 AND upstream_issuer = $2 AND upstream_subject = $3`, tenant, upstreamIssuer, upstreamSubject)
	if err != nil {
		return issuer.Account{}, fmt.Errorf("load an account of %q: %w", upstreamIssuer, err)
	}
	return a, nil
}

// AccountByName returns the account that holds an address or login name, in
// whatever case.
func (s *Store) AccountByName(ctx context.Context, tenant, name string) (issuer.Account, error) {
	a, err := s.findAccount(ctx, `tenant = $1 AND id = (
		SELECT account_id FROM account_names WHERE tenant = $1 AND name = $2)`, tenant, fold(name))
	if err != nil {
		return issuer.Account{}, fmt.Errorf("load an account by name: %w", err)
	}
	return a, nil
}

func (s *Store) findAccount(ctx context.Context, where string, values ...any) (issuer.Account, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	a, err := scanAccount(s.read.QueryRowContext(ctx, `SELECT `+accountColumns+` FROM accounts WHERE `+where, values...))
	if errors.Is(err, sql.ErrNoRows) {
		return issuer.Account{}, issuer.ErrNotFound
	}
	return a, err
}

// SaveAccount keeps what a sign-in proved. The ID and the time of creation of an
// account that exists stay as they are; a new one without CreatedAt is created
// at its first sign-in.
func (s *Store) SaveAccount(ctx context.Context, tenant string, a issuer.Account) (issuer.Account, error) {
	if a.CreatedAt.IsZero() {
		a.CreatedAt = a.LastSignInAt
	}
	var saved issuer.Account
	err := s.change(ctx, func(tx *transaction) (err error) {
		if err := lockTenant(ctx, tx, tenant); err != nil {
			return err
		}
		saved, err = scanAccount(tx.QueryRowContext(ctx, `
			INSERT INTO accounts (tenant, id, upstream_issuer, upstream_subject, addresses, login, name, claims, created_at, last_sign_in_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (tenant, upstream_issuer, upstream_subject) DO UPDATE
			SET addresses = excluded.addresses, login = excluded.login, name = excluded.name,
			    claims = excluded.claims, last_sign_in_at = excluded.last_sign_in_at
			RETURNING `+accountColumns,
			tenant, a.ID, a.UpstreamIssuer, a.UpstreamSubject, asJSON{&a.Addresses}, a.Login, a.Name, keptClaims{&a.Claims},
			moment{&a.CreatedAt}, moment{&a.LastSignInAt}))
		if err != nil {
			return err
		}
		return claimNames(ctx, tx, tenant, saved)
	})
	if err != nil {
		return issuer.Account{}, fmt.Errorf("save account: %w", err)
	}
	return saved, nil
}

// lockTenant keeps other sign-ins at the tenant and changes of its facts away until the
// end of the change. A tenant that is not there is for the first reference to find.
func lockTenant(ctx context.Context, tx *transaction, tenant string) error {
	err := tx.QueryRowContext(ctx, `SELECT name FROM tenants WHERE name = $1`+tx.engine.lockRow(), tenant).Scan(&tenant)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// claimNames makes the account's addresses and login name its own and gives up
// the ones it had before, or returns ErrTaken (R1). Whose word counts is read here,
// in the same transaction: it may have changed while the person signed in.
func claimNames(ctx context.Context, tx *transaction, tenant string, a issuer.Account) error {
	own, err := loadSpeaker(ctx, tx, tenant, a.UpstreamIssuer)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM account_names WHERE tenant = $1 AND account_id = $2`, tenant, a.ID)
	if err != nil {
		return err
	}
	for name := range claims(a) {
		if !own.speaksFor(name, a.Addresses) {
			return issuer.ErrUnvouched
		}
		if err := makeWay(ctx, tx, tenant, name, a.LastSignInAt); err != nil {
			return err
		}
		free, err := affected(tx.ExecContext(ctx, `
			INSERT INTO account_names (tenant, name, account_id) VALUES ($1, $2, $3)
			ON CONFLICT (tenant, name) DO NOTHING`, tenant, name, a.ID))
		if err != nil {
			return err
		}
		if !free {
			return issuer.ErrTaken
		}
	}
	return nil
}

// makeWay takes a name from an account for which no declared identity provider
// claims it any more, with everything that the name could still be used by: the
// account's addresses, login and grants.
func makeWay(ctx context.Context, tx *transaction, tenant, name string, now time.Time) error {
	var holder, upstream string
	var addresses []string
	err := tx.QueryRowContext(ctx, `
		SELECT accounts.id, accounts.upstream_issuer, accounts.addresses
		FROM account_names JOIN accounts ON accounts.tenant = account_names.tenant AND accounts.id = account_names.account_id
		WHERE account_names.tenant = $1 AND account_names.name = $2`, tenant, name).Scan(&holder, &upstream, asJSON{&addresses})
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	theirs, err := loadSpeaker(ctx, tx, tenant, upstream)
	if err != nil || theirs.speaksFor(name, addresses) {
		return err
	}
	for _, statement := range []string{
		`DELETE FROM account_names WHERE tenant = $1 AND account_id = $2`,
		`UPDATE accounts SET addresses = '[]', login = '' WHERE tenant = $1 AND id = $2`,
	} {
		if _, err := tx.ExecContext(ctx, statement, tenant, holder); err != nil {
			return err
		}
	}
	_, err = endGrants(ctx, tx, tenant, grantsOf{column: "account_id", value: holder}, reasonReplaced, now)
	return err
}

// speaker is an upstream issuer: the domains of all identity providers that a tenant
// declares with it.
type speaker []string

func loadSpeaker(ctx context.Context, tx *transaction, tenant, upstream string) (s speaker, err error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT domains FROM identity_providers WHERE tenant = $1 AND issuer = $2`, tenant, upstream)
	if err != nil {
		return s, err
	}
	defer rows.Close()
	for rows.Next() {
		var domains []string
		if err := rows.Scan(asJSON{&domains}); err != nil {
			return s, err
		}
		s = append(s, domains...)
	}
	return s, rows.Err()
}

// speaksFor reports whether the issuer's word counts for a name of an account with
// these addresses: for an address in one of its domains, and for a bare name
// if it speaks for an address of the account at all (R1).
func (s speaker) speaksFor(name string, addresses []string) bool {
	if at := strings.LastIndexByte(name, '@'); at >= 0 {
		return slices.Contains(s, name[at+1:])
	}
	return slices.ContainsFunc(addresses, func(address string) bool {
		at := strings.LastIndexByte(address, '@')
		return at >= 0 && slices.Contains(s, strings.ToLower(address[at+1:]))
	})
}

// claims returns the names that only this account may have, folded, each once.
func claims(a issuer.Account) map[string]bool {
	names := make(map[string]bool)
	for _, name := range append([]string{a.Login}, a.Addresses...) {
		if name != "" {
			names[fold(name)] = true
		}
	}
	return names
}

// fold makes names that differ in case only, or in how an accented letter is
// composed only, the same: the canonical caseless match of Unicode, section 3.13.
func fold(name string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFD.String(name)))
}
