package store

import (
	"context"

	"signpost/directory"
)

// clientPolicy gives directory.ClientPolicy its form in the database.
type clientPolicy struct {
	RegistrationOff bool          `json:"registration_off,omitempty"`
	URLsOff         bool          `json:"urls_off,omitempty"`
	OpenOff         bool          `json:"open_off,omitempty"`
	BuiltInOff      []string      `json:"built_in_off,omitempty"`
	Device          string        `json:"device,omitempty"`
	Allow           []clientMatch `json:"allow,omitempty"`
	Deny            []clientMatch `json:"deny,omitempty"`
	Condition       string        `json:"condition,omitempty"`
}

// clientMatch gives directory.ClientMatch its form in the database.
type clientMatch struct {
	ID         string `json:"id,omitempty"`
	IDHash     string `json:"id_hash,omitempty"`
	SoftwareID string `json:"software_id,omitempty"`
	Redirect   string `json:"redirect,omitempty"`
	Host       string `json:"host,omitempty"`
}

func policyOf(p directory.ClientPolicy) clientPolicy {
	return clientPolicy{
		RegistrationOff: p.RegistrationOff, URLsOff: p.URLsOff, OpenOff: p.OpenOff, BuiltInOff: p.BuiltInOff,
		Device: p.Device, Allow: matchesOf(p.Allow), Deny: matchesOf(p.Deny), Condition: p.Condition,
	}
}

func (p clientPolicy) declared() directory.ClientPolicy {
	return directory.ClientPolicy{
		RegistrationOff: p.RegistrationOff, URLsOff: p.URLsOff, OpenOff: p.OpenOff, BuiltInOff: p.BuiltInOff,
		Device: p.Device, Allow: declaredMatches(p.Allow), Deny: declaredMatches(p.Deny), Condition: p.Condition,
	}
}

func matchesOf(declared []directory.ClientMatch) (stored []clientMatch) {
	for _, m := range declared {
		stored = append(stored, clientMatch(m))
	}
	return stored
}

func declaredMatches(stored []clientMatch) (declared []directory.ClientMatch) {
	for _, m := range stored {
		declared = append(declared, directory.ClientMatch(m))
	}
	return declared
}

func saveFixedClient(ctx context.Context, tx *transaction, tenant string, position int, c directory.FixedClient) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO fixed_clients (tenant, id, position, name, redirect_uris, post_logout_redirect_uris,
			authentication, secret_hash, jwks, id_token_algorithm, dpop_bound, condition)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		tenant, c.ID, position, c.Name, asJSON{&c.RedirectURIs}, asJSON{&c.PostLogoutRedirectURIs},
		c.Authentication, c.SecretHash, c.JWKS, c.IDTokenAlgorithm, c.DPoPBound, c.Condition)
	return err
}

func loadFixedClients(ctx context.Context, q querier, tenants map[string]*directory.Tenant) error {
	rows, err := q.QueryContext(ctx, `
		SELECT tenant, id, name, redirect_uris, post_logout_redirect_uris,
		       authentication, secret_hash, jwks, id_token_algorithm, dpop_bound, condition
		FROM fixed_clients ORDER BY tenant, position`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var tenant string
		var c directory.FixedClient
		err := rows.Scan(&tenant, &c.ID, &c.Name, asJSON{&c.RedirectURIs}, asJSON{&c.PostLogoutRedirectURIs},
			&c.Authentication, &c.SecretHash, &c.JWKS, &c.IDTokenAlgorithm, &c.DPoPBound, &c.Condition)
		if err != nil {
			return err
		}
		t := tenants[tenant]
		t.FixedClients = append(t.FixedClients, c)
	}
	return rows.Err()
}

func saveResourceServer(ctx context.Context, tx *transaction, tenant string, position int, v directory.ResourceServer) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO resource_servers (tenant, name, position, audiences, authentication, secret_hash, jwks)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		tenant, v.Name, position, asJSON{&v.Audiences}, v.Authentication, v.SecretHash, v.JWKS)
	return err
}

func loadResourceServers(ctx context.Context, q querier, tenants map[string]*directory.Tenant) error {
	rows, err := q.QueryContext(ctx, `
		SELECT tenant, name, audiences, authentication, secret_hash, jwks
		FROM resource_servers ORDER BY tenant, position`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var tenant string
		var v directory.ResourceServer
		err := rows.Scan(&tenant, &v.Name, asJSON{&v.Audiences}, &v.Authentication, &v.SecretHash, &v.JWKS)
		if err != nil {
			return err
		}
		t := tenants[tenant]
		t.ResourceServers = append(t.ResourceServers, v)
	}
	return rows.Err()
}
