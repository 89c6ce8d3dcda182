package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"signpost/directory"
	"signpost/oidc"
	"signpost/scopes"
)

// Tenants returns every tenant with all that belongs to it, and the revision at
// which all of it was read.
func (s *Store) Tenants(ctx context.Context) (tenants []directory.Tenant, revision int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	// One transaction sees one state of all tables; PostgreSQL must be asked for that.
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return nil, 0, fmt.Errorf("load tenants: %w", err)
	}
	defer tx.Rollback()

	if revision, err = readRevision(ctx, tx); err != nil {
		return nil, 0, fmt.Errorf("load tenants: read the revision: %w", err)
	}
	if tenants, err = loadTenants(ctx, tx); err != nil {
		return nil, 0, fmt.Errorf("load tenants: %w", err)
	}
	byName := make(map[string]*directory.Tenant, len(tenants))
	for i := range tenants {
		byName[tenants[i].Name] = &tenants[i]
	}
	if err := loadDomains(ctx, tx, byName); err != nil {
		return nil, 0, fmt.Errorf("load domains: %w", err)
	}
	if err := s.loadIdentityProviders(ctx, tx, byName); err != nil {
		return nil, 0, fmt.Errorf("load identity providers: %w", err)
	}
	if err := loadServices(ctx, tx, byName); err != nil {
		return nil, 0, fmt.Errorf("load services: %w", err)
	}
	if err := loadScopes(ctx, tx, byName); err != nil {
		return nil, 0, fmt.Errorf("load scopes: %w", err)
	}
	if err := loadFixedClients(ctx, tx, byName); err != nil {
		return nil, 0, fmt.Errorf("load fixed clients: %w", err)
	}
	if err := loadResourceServers(ctx, tx, byName); err != nil {
		return nil, 0, fmt.Errorf("load resource servers: %w", err)
	}
	return tenants, revision, nil
}

// tokenProfile gives oidc.Profile its form in the database.
type tokenProfile struct {
	Name            string        `json:"name"`
	Opaque          bool          `json:"opaque,omitempty"`
	LoginSubject    bool          `json:"login_subject,omitempty"`
	Type            string        `json:"type,omitempty"`
	ClientID        bool          `json:"client_id,omitempty"`
	AuthorizedParty bool          `json:"authorized_party,omitempty"`
	AudienceArray   bool          `json:"audience_array,omitempty"`
	IssuedAt        bool          `json:"issued_at,omitempty"`
	NotBefore       bool          `json:"not_before,omitempty"`
	Backdate        time.Duration `json:"backdate,omitempty"` // nanoseconds
	UserClaim       string        `json:"user_claim,omitempty"`
}

func loadTenants(ctx context.Context, q querier) ([]directory.Tenant, error) {
	rows, err := q.QueryContext(ctx, `
		SELECT name, placement, title, help, clients, token_profiles, broad_token FROM tenants ORDER BY position`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tenants []directory.Tenant
	for rows.Next() {
		var t directory.Tenant
		var policy clientPolicy
		var profiles []tokenProfile
		if err := rows.Scan(&t.Name, &t.Placement, &t.Title, &t.Help, asJSON{&policy}, asJSON{&profiles}, &t.BroadToken); err != nil {
			return nil, err
		}
		t.Clients = policy.declared()
		for _, p := range profiles {
			t.TokenProfiles = append(t.TokenProfiles, oidc.Profile(p))
		}
		tenants = append(tenants, t)
	}
	return tenants, rows.Err()
}

func loadDomains(ctx context.Context, q querier, tenants map[string]*directory.Tenant) error {
	rows, err := q.QueryContext(ctx, `SELECT tenant, name, verification FROM domains ORDER BY tenant, position`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var tenant string
		var d directory.Domain
		if err := rows.Scan(&tenant, &d.Name, &d.Verification); err != nil {
			return err
		}
		t := tenants[tenant]
		t.Domains = append(t.Domains, d)
	}
	return rows.Err()
}

func (s *Store) loadIdentityProviders(ctx context.Context, q querier, tenants map[string]*directory.Tenant) error {
	rows, err := q.QueryContext(ctx, `
		SELECT tenant, name, title, issuer, client_id, client_secret, scopes, domains,
		       address_claim, address_trust, login_claim, name_claim, keep_claims
		FROM identity_providers ORDER BY tenant, position`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var tenant string
		var p directory.IdentityProvider
		var sealed []byte
		err := rows.Scan(&tenant, &p.Name, &p.Title, &p.Issuer, &p.ClientID, &sealed, asJSON{&p.Scopes}, asJSON{&p.Domains},
			&p.AddressClaim, &p.AddressTrust, &p.LoginClaim, &p.NameClaim, asJSON{&p.KeepClaims})
		if err != nil {
			return err
		}
		if p.ClientSecret, err = s.openSecret(tenant, p.Name, sealed); err != nil {
			return err
		}
		t := tenants[tenant]
		t.IdentityProviders = append(t.IdentityProviders, p)
	}
	return rows.Err()
}

// purposeSecret and the associated data bind a sealed client secret to its place:
// copied to another identity provider's row it does not open.
const purposeSecret = "identity-provider-secret"

func (s *Store) openSecret(tenant, name string, sealed []byte) (directory.Secret, error) {
	if sealed == nil {
		return "", nil
	}
	plain, err := s.sealer.Open(purposeSecret, sealed, []byte(tenant+"/"+name))
	if err != nil {
		return "", fmt.Errorf("open the client secret of %s/%s (was the secret key replaced?): %w", tenant, name, err)
	}
	return directory.Secret(plain), nil
}

func (s *Store) sealSecret(tenant, name string, secret directory.Secret) ([]byte, error) {
	if secret == "" {
		return nil, nil
	}
	sealed, err := s.sealer.Seal(purposeSecret, []byte(secret), []byte(tenant+"/"+name))
	if err != nil {
		return nil, fmt.Errorf("seal the client secret of %s/%s: %w", tenant, name, err)
	}
	return sealed, nil
}

// endpoint gives directory.Endpoint its form in the database.
type endpoint struct {
	Host     string `json:"host,omitempty"`
	Port     int    `json:"port,omitempty"`
	Security string `json:"security,omitempty"`
	URL      string `json:"url,omitempty"`
}

func loadServices(ctx context.Context, q querier, tenants map[string]*directory.Tenant) error {
	rows, err := q.QueryContext(ctx, `
		SELECT tenant, id, protocol, title, endpoints, audience, scopes, authentication, username,
		       profile, algorithm, lifetime, credential, in_broad, sort_order, insecure, dpop,
		       condition, app_passwords, source, unexpiring_tokens
		FROM services ORDER BY tenant, sort_order, position`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var tenant string
		var v directory.Service
		var endpoints []endpoint
		var lifetime int64
		err := rows.Scan(&tenant, &v.ID, &v.Protocol, &v.Title, asJSON{&endpoints}, &v.Audience, asJSON{&v.Scopes}, asJSON{&v.Authentication}, &v.Username,
			&v.Profile, &v.Algorithm, &lifetime, &v.Credential, &v.InBroad, &v.Order, &v.Insecure, &v.DPoP,
			&v.Condition, &v.AppPasswords, &v.Source, &v.UnexpiringTokens)
		if err != nil {
			return err
		}
		for _, e := range endpoints {
			v.Endpoints = append(v.Endpoints, directory.Endpoint(e))
		}
		v.Lifetime = time.Duration(lifetime) * time.Millisecond
		t := tenants[tenant]
		t.Services = append(t.Services, v)
	}
	return rows.Err()
}

func loadScopes(ctx context.Context, q querier, tenants map[string]*directory.Tenant) error {
	rows, err := q.QueryContext(ctx, `
		SELECT tenant, name, opens, includes, broad, titles, texts
		FROM scopes ORDER BY tenant, position`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var tenant string
		var c scopes.Scope
		err := rows.Scan(&tenant, &c.Name, asJSON{&c.Opens}, asJSON{&c.Includes}, &c.Broad, asJSON{&c.Title}, asJSON{&c.Text})
		if err != nil {
			return err
		}
		t := tenants[tenant]
		t.Scopes = append(t.Scopes, c)
	}
	return rows.Err()
}
