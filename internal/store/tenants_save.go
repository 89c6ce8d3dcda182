package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"signpost/directory"
)

// SaveTenants writes the given tenants whole and removes the named ones with
// everything that is theirs but the audit record. A tenant that stays keeps its
// accounts, grants and keys. ErrConflict means that the facts changed since
// base; keys made and grants ended meanwhile do not count. ErrNotFound means
// that a tenant to remove does not exist. Then nothing is written.
func (s *Store) SaveTenants(ctx context.Context, base int64, save []directory.Tenant, remove []string) (revision int64, err error) {
	err = s.changeIn(ctx, saveWithin, func(tx *transaction) error {
		for _, name := range remove {
			if err := lockPeople(ctx, tx, name); err != nil {
				return fmt.Errorf("remove tenant %q: %w", name, err)
			}
		}
		if revision, err = ringFacts(ctx, tx, base); err != nil {
			return err
		}
		for _, t := range save {
			if err := lockTenant(ctx, tx, t.Name); err != nil {
				return fmt.Errorf("tenant %q: %w", t.Name, err)
			}
		}
		for _, name := range remove {
			if err := removeTenant(ctx, tx, name); err != nil {
				return err
			}
		}
		for _, t := range save {
			if err := vacate(ctx, tx, t.Name); err != nil {
				return fmt.Errorf("tenant %q: %w", t.Name, err)
			}
		}
		for _, t := range save {
			if err := s.saveTenant(ctx, tx, t); err != nil {
				return fmt.Errorf("tenant %q: %w", t.Name, err)
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("save tenants: %w", err)
	}
	return revision, nil
}

// ringFacts raises the revision for a change of facts that were read at base. It
// comes first: what others saved meanwhile is compared, not overwritten.
func ringFacts(ctx context.Context, tx *transaction, base int64) (revision int64, err error) {
	tx.rang = true
	err = tx.QueryRowContext(ctx, `
		UPDATE revision SET value = value + 1, facts = value + 1
		WHERE id = 1 AND facts <= $1 AND $1 <= value RETURNING value`, base).Scan(&revision)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, directory.ErrConflict
	}
	return revision, err
}

// lockPeople locks what will be removed with a tenant in the order in which others lock it:
// accounts, grants, and after both the revision. Otherwise a removal would meet the ends of its
// grants crosswise, one after the other, until it gave up.
func lockPeople(ctx context.Context, tx *transaction, tenant string) error {
	for _, table := range []string{"accounts", "grants"} {
		locked := tx.QueryRowContext(ctx, `
			SELECT count(*) FROM (SELECT id FROM `+table+` WHERE tenant = $1 ORDER BY id`+tx.engine.lockRow()+`) AS locked`, tenant)
		var n int
		if err := locked.Scan(&n); err != nil {
			return err
		}
	}
	return nil
}

func removeTenant(ctx context.Context, tx *transaction, name string) error {
	found, err := affected(tx.ExecContext(ctx, `DELETE FROM tenants WHERE name = $1`, name))
	if err != nil {
		return fmt.Errorf("remove tenant %q: %w", name, err)
	}
	if !found {
		return fmt.Errorf("remove tenant %q: %w", name, directory.ErrNotFound)
	}
	return nil
}

// vacate takes away what the facts say about a tenant but its row, to which
// accounts and keys hold on. All tenants are vacated before one is saved, so
// that a domain, an audience or a place can go from one to another in one step.
func vacate(ctx context.Context, tx *transaction, tenant string) error {
	for _, statement := range []string{
		`DELETE FROM domains WHERE tenant = $1`,
		`DELETE FROM identity_providers WHERE tenant = $1`,
		`DELETE FROM services WHERE tenant = $1`,
		`DELETE FROM audiences WHERE tenant = $1`,
		`DELETE FROM scopes WHERE tenant = $1`,
		`DELETE FROM fixed_clients WHERE tenant = $1`,
		`DELETE FROM resource_servers WHERE tenant = $1`,
		`UPDATE tenants SET placement = 'path' WHERE name = $1`,
	} {
		if _, err := tx.ExecContext(ctx, statement, tenant); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) saveTenant(ctx context.Context, tx *transaction, t directory.Tenant) error {
	policy := policyOf(t.Clients)
	var profiles []tokenProfile
	for _, p := range t.TokenProfiles {
		profiles = append(profiles, tokenProfile(p))
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO tenants (name, position, placement, title, help, clients, token_profiles, broad_token)
		VALUES ($1, (SELECT coalesce(max(position), 0) + 1 FROM tenants), $2, $3, $4, $5, $6, $7)
		ON CONFLICT (name) DO UPDATE
		SET placement = excluded.placement, title = excluded.title, help = excluded.help, clients = excluded.clients,
		    token_profiles = excluded.token_profiles, broad_token = excluded.broad_token`,
		t.Name, t.Placement, t.Title, t.Help, asJSON{&policy}, asJSON{&profiles}, t.BroadToken)
	if err != nil {
		return err
	}
	if err := saveDomains(ctx, tx, t); err != nil {
		return err
	}
	for i, p := range t.IdentityProviders {
		if err := s.saveIdentityProvider(ctx, tx, t.Name, i, p); err != nil {
			return fmt.Errorf("identity provider %q: %w", p.Name, err)
		}
	}
	for i, v := range t.Services {
		if err := saveService(ctx, tx, t.Name, i, v); err != nil {
			return fmt.Errorf("service %q: %w", v.ID, err)
		}
	}
	for i, c := range t.Scopes {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO scopes (tenant, name, position, opens, includes, broad, titles, texts)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			t.Name, c.Name, i, asJSON{&c.Opens}, asJSON{&c.Includes}, c.Broad, asJSON{&c.Title}, asJSON{&c.Text})
		if err != nil {
			return fmt.Errorf("scope %q: %w", c.Name, err)
		}
	}
	for i, c := range t.FixedClients {
		if err := saveFixedClient(ctx, tx, t.Name, i, c); err != nil {
			return fmt.Errorf("client %q: %w", c.ID, err)
		}
	}
	for i, v := range t.ResourceServers {
		if err := saveResourceServer(ctx, tx, t.Name, i, v); err != nil {
			return fmt.Errorf("resource server %q: %w", v.Name, err)
		}
	}
	return nil
}

// saveDomains writes many at once: a hoster may have a hundred thousand of them.
func saveDomains(ctx context.Context, tx *transaction, t directory.Tenant) error {
	rows := make([][]any, len(t.Domains))
	for i, d := range t.Domains {
		rows[i] = []any{d.Name, t.Name, i, d.Verification}
	}
	if err := tx.insert(ctx, `INSERT INTO domains (name, tenant, position, verification)`, rows); err != nil {
		return fmt.Errorf("domains: %w", err)
	}
	return nil
}

func (s *Store) saveIdentityProvider(ctx context.Context, tx *transaction, tenant string, position int, p directory.IdentityProvider) error {
	sealed, err := s.sealSecret(tenant, p.Name, p.ClientSecret)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO identity_providers (tenant, name, position, title, issuer, client_id, client_secret,
			scopes, domains, address_claim, address_trust, login_claim, name_claim, keep_claims)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		tenant, p.Name, position, p.Title, p.Issuer, p.ClientID, sealed,
		asJSON{&p.Scopes}, asJSON{&p.Domains}, p.AddressClaim, p.AddressTrust, p.LoginClaim, p.NameClaim, asJSON{&p.KeepClaims})
	return err
}

func saveService(ctx context.Context, tx *transaction, tenant string, position int, v directory.Service) error {
	// Services of one tenant may share an audience; another tenant's is refused
	// by the primary key.
	_, err := tx.ExecContext(ctx, `
		INSERT INTO audiences (audience, tenant) VALUES ($1, $2)
		ON CONFLICT (tenant, audience) DO NOTHING`, v.Audience, tenant)
	if err != nil {
		return fmt.Errorf("audience %q: %w", v.Audience, err)
	}
	var endpoints []endpoint
	for _, e := range v.Endpoints {
		endpoints = append(endpoints, endpoint(e))
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO services (tenant, id, position, sort_order, protocol, title, endpoints, audience, scopes,
			authentication, username, profile, algorithm, lifetime, credential, in_broad, insecure, dpop,
			condition, app_passwords, source, unexpiring_tokens)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)`,
		tenant, v.ID, position, v.Order, v.Protocol, v.Title, asJSON{&endpoints}, v.Audience, asJSON{&v.Scopes},
		asJSON{&v.Authentication}, v.Username, v.Profile, v.Algorithm, v.Lifetime.Milliseconds(), v.Credential, v.InBroad, v.Insecure, v.DPoP,
		v.Condition, v.AppPasswords, v.Source, v.UnexpiringTokens)
	return err
}
