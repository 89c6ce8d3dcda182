-- People, their sign-ins, and what keeps a sign-in alive.

-- +goose Up

-- An account is (identity provider's issuer, subject) at a tenant. It names the
-- issuer and not a row of identity_providers: removing or renaming a provider
-- keeps the accounts.
CREATE TABLE accounts (
    tenant           TEXT    NOT NULL,
    id               TEXT    NOT NULL, -- the stable subject
    upstream_issuer  TEXT    NOT NULL,
    upstream_subject TEXT    NOT NULL,
    addresses        TEXT    NOT NULL, -- JSON, primary first
    login            TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    created_at       BIGINT  NOT NULL,
    last_sign_in_at  BIGINT  NOT NULL,
    CONSTRAINT accounts_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT accounts_upstream_key UNIQUE (tenant, upstream_issuer, upstream_subject),
    CONSTRAINT accounts_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
);

-- Who holds which address or login name: one namespace in a tenant, so that
-- nobody's login name is somebody else's address. The primary key is the rule;
-- it holds however many sign-ins race.
CREATE TABLE account_names (
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL, -- case folded
    account_id TEXT NOT NULL,
    CONSTRAINT account_names_pkey PRIMARY KEY (tenant, name),
    CONSTRAINT account_names_account_fkey FOREIGN KEY (tenant, account_id) REFERENCES accounts (tenant, id) ON DELETE CASCADE
);

CREATE INDEX account_names_account_idx ON account_names (tenant, account_id);

CREATE TABLE grants (
    tenant       TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    account_id   TEXT    NOT NULL,
    client_id    TEXT    NOT NULL,
    scopes       TEXT    NOT NULL, -- separated by spaces
    resources    TEXT    NOT NULL, -- JSON
    origin_hash  BYTEA   NOT NULL, -- of the code that made it; used once in the installation
    created_at   BIGINT  NOT NULL,
    last_used_at BIGINT,
    ended_at     BIGINT,            -- null while it lives
    ended_reason TEXT    NOT NULL,
    CONSTRAINT grants_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT grants_origin_hash_key UNIQUE (origin_hash),
    CONSTRAINT grants_origin_hash_check CHECK (octet_length(origin_hash) = 32),
    CONSTRAINT grants_account_fkey FOREIGN KEY (tenant, account_id) REFERENCES accounts (tenant, id) ON DELETE CASCADE
);

CREATE INDEX grants_account_idx ON grants (tenant, account_id);

-- A family of refresh tokens is the rows of one grant. The successor is kept
-- sealed under the server key and the presented token, so that a client whose
-- answer was lost gets the same one again and the file alone opens nothing.
CREATE TABLE refresh_tokens (
    tenant           TEXT    NOT NULL,
    hash             BYTEA   NOT NULL,
    grant_id         TEXT    NOT NULL,
    created_at       BIGINT  NOT NULL,
    used_at          BIGINT,            -- first use; null while unused
    successor_hash   BYTEA,
    sealed_successor BYTEA,
    repeats          BIGINT  NOT NULL, -- how often it came again and was answered
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (tenant, hash),
    CONSTRAINT refresh_tokens_hash_check CHECK (octet_length(hash) = 32),
    CONSTRAINT refresh_tokens_successor_check CHECK (
        (used_at IS NULL) = (successor_hash IS NULL) AND (used_at IS NULL) = (sealed_successor IS NULL)),
    CONSTRAINT refresh_tokens_grant_fkey FOREIGN KEY (tenant, grant_id) REFERENCES grants (tenant, id) ON DELETE CASCADE
);

CREATE INDEX refresh_tokens_grant_idx ON refresh_tokens (tenant, grant_id);
