-- Programs that ask for people's sign-in, what they were allowed, and keys that take
-- each other's place.
--
-- A Signpost that does not know these columns yet goes on beside this schema: it
-- leaves them at their defaults. What it cannot do any more is make the first key of a
-- tenant, which it does by naming the index that is replaced below; it says so and
-- finds the key that a newer one makes.

-- +goose Up

-- Which programs may ask the tenant's people: an object with the members that are
-- not at their default, "registration_off", "urls_off", "open_off", "built_in_off",
-- "device", "allow" and "deny".
ALTER TABLE tenants ADD COLUMN clients TEXT NOT NULL DEFAULT '{}';

-- What the service makes of tokens that are bound to a key; empty is none.
ALTER TABLE services ADD COLUMN dpop TEXT NOT NULL DEFAULT '';

-- Programs that the operator wrote down.
CREATE TABLE fixed_clients (
    tenant                    TEXT    NOT NULL,
    id                        TEXT    NOT NULL,
    position                  BIGINT  NOT NULL,
    name                      TEXT    NOT NULL,
    redirect_uris             TEXT    NOT NULL, -- JSON
    post_logout_redirect_uris TEXT    NOT NULL, -- JSON
    authentication            TEXT    NOT NULL,
    secret_hash               BYTEA,            -- null without a secret
    jwks                      TEXT    NOT NULL, -- public keys; empty without any
    id_token_algorithm        TEXT    NOT NULL,
    dpop_bound                BOOLEAN NOT NULL,
    CONSTRAINT fixed_clients_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT fixed_clients_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE,
    CONSTRAINT fixed_clients_secret_hash_check CHECK (octet_length(secret_hash) = 32)
);

-- Who may ask what a token is worth.
CREATE TABLE resource_servers (
    tenant         TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    position       BIGINT  NOT NULL,
    audiences      TEXT    NOT NULL, -- JSON
    authentication TEXT    NOT NULL,
    secret_hash    BYTEA,            -- null without a secret
    jwks           TEXT    NOT NULL, -- public keys; empty without any
    CONSTRAINT resource_servers_pkey PRIMARY KEY (tenant, name),
    CONSTRAINT resource_servers_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE,
    CONSTRAINT resource_servers_secret_hash_check CHECK (octet_length(secret_hash) = 32)
);

-- What a registered client's id says, kept with the first grant: that one goes on when
-- the server key that opens the id is gone.
CREATE TABLE registrations (
    tenant      TEXT    NOT NULL,
    client_hash BYTEA   NOT NULL, -- SHA-256 of the client id
    metadata    BYTEA   NOT NULL,
    created_at  BIGINT  NOT NULL,
    CONSTRAINT registrations_pkey PRIMARY KEY (tenant, client_hash),
    CONSTRAINT registrations_client_hash_check CHECK (octet_length(client_hash) = 32),
    CONSTRAINT registrations_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
);

-- What an account allowed a client and need not be asked again.
CREATE TABLE consents (
    tenant     TEXT    NOT NULL,
    account_id TEXT    NOT NULL,
    client_id  TEXT    NOT NULL,
    scopes     TEXT    NOT NULL, -- separated by spaces
    at         BIGINT  NOT NULL,
    CONSTRAINT consents_pkey PRIMARY KEY (tenant, account_id, client_id),
    CONSTRAINT consents_account_fkey FOREIGN KEY (tenant, account_id) REFERENCES accounts (tenant, id) ON DELETE CASCADE
);

-- How the person signed in, as the identity provider says.
ALTER TABLE grants ADD COLUMN auth_time BIGINT; -- null if it did not say
ALTER TABLE grants ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN amr TEXT NOT NULL DEFAULT 'null'; -- JSON

-- Thumbprint of the key that the refresh tokens are bound to; empty for none.
ALTER TABLE grants ADD COLUMN dpop_key TEXT NOT NULL DEFAULT '';

-- A line of keys is those of one use and algorithm: each names the one that took its
-- place, and the head names none.
ALTER TABLE signing_keys ADD COLUMN signs_from BIGINT; -- null: as soon as it is there
ALTER TABLE signing_keys ADD COLUMN removed_at BIGINT; -- from when on it is not published; null while nothing is known of it
ALTER TABLE signing_keys ADD COLUMN successor TEXT;
ALTER TABLE signing_keys ADD COLUMN compromised BOOLEAN NOT NULL DEFAULT false;

-- Replicas that start together agree on the first head, and of two that replace a
-- head at once one does.
CREATE UNIQUE INDEX signing_keys_head_key ON signing_keys (tenant, use, algorithm) WHERE successor IS NULL;

DROP INDEX signing_keys_use_algorithm_key;
