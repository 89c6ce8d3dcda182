CREATE TABLE account_names (
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL, -- case folded
    account_id TEXT NOT NULL,
    CONSTRAINT account_names_pkey PRIMARY KEY (tenant, name),
    CONSTRAINT account_names_account_fkey FOREIGN KEY (tenant, account_id) REFERENCES accounts (tenant, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX account_names_account_idx ON account_names (tenant, account_id);

CREATE TABLE accounts (
    tenant           TEXT    NOT NULL,
    id               TEXT    NOT NULL, -- the stable subject
    upstream_issuer  TEXT    NOT NULL,
    upstream_subject TEXT    NOT NULL,
    addresses        TEXT    NOT NULL, -- JSON, primary first
    login            TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    last_sign_in_at  INTEGER NOT NULL, claims TEXT NOT NULL DEFAULT 'null', ended_before INTEGER,
    CONSTRAINT accounts_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT accounts_upstream_key UNIQUE (tenant, upstream_issuer, upstream_subject),
    CONSTRAINT accounts_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
) STRICT;

CREATE TABLE app_passwords (
    tenant       TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    selector     TEXT    NOT NULL, -- the part of the password that finds it
    hash         BLOB    NOT NULL, -- HMAC-SHA-256 of tenant and password under a server key
    account_id   TEXT    NOT NULL,
    grant_id     TEXT,             -- the sign-in that it was made from; null if the person made it at their own page
    client_id    TEXT    NOT NULL,
    label        TEXT    NOT NULL, -- what it is for, in the person's words; may be empty
    username     TEXT    NOT NULL, -- login name that it was made for
    audiences    TEXT    NOT NULL, -- JSON
    scopes       TEXT    NOT NULL, -- separated by spaces
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,          -- to the hour; null if it was never used
    ended_at     INTEGER,          -- null while it lives
    ended_reason TEXT    NOT NULL,
    CONSTRAINT app_passwords_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT app_passwords_selector_key UNIQUE (tenant, selector),
    CONSTRAINT app_passwords_hash_check CHECK (length(hash) = 32),
    CONSTRAINT app_passwords_account_fkey FOREIGN KEY (tenant, account_id) REFERENCES accounts (tenant, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX app_passwords_account_idx ON app_passwords (tenant, account_id);

CREATE INDEX app_passwords_ended_at_idx ON app_passwords (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE audiences (
    audience TEXT NOT NULL,
    tenant   TEXT NOT NULL,
    CONSTRAINT audiences_pkey PRIMARY KEY (audience),
    CONSTRAINT audiences_tenant_key UNIQUE (tenant, audience),
    CONSTRAINT audiences_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
) STRICT;

CREATE TABLE audit_events (
    id           INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    tenant       TEXT    NOT NULL,
    account_id   TEXT    NOT NULL,
    client_id    TEXT    NOT NULL,
    grant_id     TEXT    NOT NULL,
    service      TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    rule         TEXT    NOT NULL,
    outcome      TEXT    NOT NULL,
    subject_hash TEXT    NOT NULL,
    request_id   TEXT    NOT NULL, asked TEXT NOT NULL DEFAULT '',
    CONSTRAINT audit_events_pkey PRIMARY KEY (id)
) STRICT;

CREATE INDEX audit_events_account_idx ON audit_events (account_id, id);

CREATE INDEX audit_events_at_idx ON audit_events (at, id);

CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
WHEN NOT EXISTS (SELECT 1 FROM audit_retention WHERE OLD.at < removable_before)
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: events are removed only when they are older than audit_retention says');
END;

CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: events are never replaced');
END;

CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: events are never changed');
END;

CREATE INDEX audit_events_request_idx ON audit_events (request_id, id);

CREATE TABLE audit_retention (
    id               INTEGER NOT NULL,
    removable_before INTEGER NOT NULL,
    CONSTRAINT audit_retention_pkey PRIMARY KEY (id),
    CONSTRAINT audit_retention_one_row_check CHECK (id = 1)
) STRICT;

CREATE TRIGGER audit_retention_insert BEFORE INSERT ON audit_retention
WHEN NEW.removable_before > unixepoch('now') * 1000 - 43200000
BEGIN
    SELECT RAISE(ABORT, 'audit_retention: events of the last twelve hours are never removed');
END;

CREATE TRIGGER audit_retention_update BEFORE UPDATE ON audit_retention
WHEN NEW.removable_before > unixepoch('now') * 1000 - 43200000
BEGIN
    SELECT RAISE(ABORT, 'audit_retention: events of the last twelve hours are never removed');
END;

CREATE TABLE consents (
    tenant     TEXT    NOT NULL,
    account_id TEXT    NOT NULL,
    client_id  TEXT    NOT NULL,
    scopes     TEXT    NOT NULL, -- separated by spaces
    at         INTEGER NOT NULL,
    CONSTRAINT consents_pkey PRIMARY KEY (tenant, account_id, client_id),
    CONSTRAINT consents_account_fkey FOREIGN KEY (tenant, account_id) REFERENCES accounts (tenant, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE domains (
    name         TEXT    NOT NULL, -- A-labels in lower case
    tenant       TEXT    NOT NULL,
    position     INTEGER NOT NULL,
    verification TEXT    NOT NULL,
    CONSTRAINT domains_pkey PRIMARY KEY (name),
    CONSTRAINT domains_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE,
    CONSTRAINT domains_name_check CHECK (name = lower(name))
) STRICT;

CREATE INDEX domains_tenant_idx ON domains (tenant, position);

CREATE TABLE fixed_clients (
    tenant                    TEXT    NOT NULL,
    id                        TEXT    NOT NULL,
    position                  INTEGER NOT NULL,
    name                      TEXT    NOT NULL,
    redirect_uris             TEXT    NOT NULL, -- JSON
    post_logout_redirect_uris TEXT    NOT NULL, -- JSON
    authentication            TEXT    NOT NULL,
    secret_hash               BLOB,             -- null without a secret
    jwks                      TEXT    NOT NULL, -- public keys; empty without any
    id_token_algorithm        TEXT    NOT NULL,
    dpop_bound                INTEGER NOT NULL, condition TEXT NOT NULL DEFAULT '',
    CONSTRAINT fixed_clients_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT fixed_clients_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE,
    CONSTRAINT fixed_clients_dpop_bound_check CHECK (dpop_bound IN (0, 1)),
    CONSTRAINT fixed_clients_secret_hash_check CHECK (length(secret_hash) = 32)
) STRICT;

CREATE TABLE grants (
    tenant       TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    account_id   TEXT    NOT NULL,
    client_id    TEXT    NOT NULL,
    scopes       TEXT    NOT NULL, -- separated by spaces
    resources    TEXT    NOT NULL, -- JSON
    origin_hash  BLOB    NOT NULL, -- of the code that made it; used once in the installation
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    ended_at     INTEGER,          -- null while it lives
    ended_reason TEXT    NOT NULL, ended_revision INTEGER, auth_time INTEGER, acr TEXT NOT NULL DEFAULT '', amr TEXT NOT NULL DEFAULT 'null', dpop_key TEXT NOT NULL DEFAULT '',
    CONSTRAINT grants_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT grants_origin_hash_key UNIQUE (origin_hash),
    CONSTRAINT grants_origin_hash_check CHECK (length(origin_hash) = 32),
    CONSTRAINT grants_account_fkey FOREIGN KEY (tenant, account_id) REFERENCES accounts (tenant, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX grants_account_idx ON grants (tenant, account_id);

CREATE INDEX grants_ended_at_idx ON grants (ended_at) WHERE ended_at IS NOT NULL;

CREATE INDEX grants_ended_revision_idx ON grants (ended_revision) WHERE ended_revision IS NOT NULL;

CREATE TABLE identity_providers (
    tenant        TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    position      INTEGER NOT NULL,
    title         TEXT    NOT NULL,
    issuer        TEXT    NOT NULL,
    client_id     TEXT    NOT NULL,
    client_secret BLOB,             -- sealed; null for a public client
    scopes        TEXT    NOT NULL, -- JSON
    domains       TEXT    NOT NULL, -- JSON
    address_claim TEXT    NOT NULL,
    address_trust TEXT    NOT NULL,
    login_claim   TEXT    NOT NULL,
    name_claim    TEXT    NOT NULL, keep_claims TEXT NOT NULL DEFAULT 'null',
    CONSTRAINT identity_providers_pkey PRIMARY KEY (tenant, name),
    CONSTRAINT identity_providers_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
) STRICT;

CREATE TABLE installation (
    id        INTEGER NOT NULL,
    base_url  TEXT    NOT NULL, -- under which it was served last; empty before the first time
    key_check BLOB    NOT NULL, -- a known text, sealed: it opens with the secret key of this database
    CONSTRAINT installation_pkey PRIMARY KEY (id),
    CONSTRAINT installation_one_row_check CHECK (id = 1)
) STRICT;

CREATE TABLE refresh_tokens (
    tenant           TEXT    NOT NULL,
    hash             BLOB    NOT NULL,
    grant_id         TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    used_at          INTEGER,          -- first use; null while unused
    successor_hash   BLOB,
    sealed_successor BLOB,
    repeats          INTEGER NOT NULL, -- how often it came again and was answered
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (tenant, hash),
    CONSTRAINT refresh_tokens_hash_check CHECK (length(hash) = 32),
    CONSTRAINT refresh_tokens_successor_check CHECK (
        (used_at IS NULL) = (successor_hash IS NULL) AND (used_at IS NULL) = (sealed_successor IS NULL)),
    CONSTRAINT refresh_tokens_grant_fkey FOREIGN KEY (tenant, grant_id) REFERENCES grants (tenant, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX refresh_tokens_grant_idx ON refresh_tokens (tenant, grant_id);

CREATE TABLE registrations (
    tenant      TEXT    NOT NULL,
    client_hash BLOB    NOT NULL, -- SHA-256 of the client id
    metadata    BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    CONSTRAINT registrations_pkey PRIMARY KEY (tenant, client_hash),
    CONSTRAINT registrations_client_hash_check CHECK (length(client_hash) = 32),
    CONSTRAINT registrations_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
) STRICT;

CREATE TABLE resource_servers (
    tenant         TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    position       INTEGER NOT NULL,
    audiences      TEXT    NOT NULL, -- JSON
    authentication TEXT    NOT NULL,
    secret_hash    BLOB,             -- null without a secret
    jwks           TEXT    NOT NULL, -- public keys; empty without any
    CONSTRAINT resource_servers_pkey PRIMARY KEY (tenant, name),
    CONSTRAINT resource_servers_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE,
    CONSTRAINT resource_servers_secret_hash_check CHECK (length(secret_hash) = 32)
) STRICT;

CREATE TABLE revision (
    id    INTEGER NOT NULL,
    value INTEGER NOT NULL,
    facts INTEGER NOT NULL,
    CONSTRAINT revision_pkey PRIMARY KEY (id),
    CONSTRAINT revision_one_row_check CHECK (id = 1),
    CONSTRAINT revision_facts_check CHECK (facts <= value)
) STRICT;

CREATE TABLE scopes (
    tenant   TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    position INTEGER NOT NULL,
    opens    TEXT    NOT NULL, -- JSON
    includes TEXT    NOT NULL, -- JSON
    broad    INTEGER NOT NULL,
    titles   TEXT    NOT NULL, -- JSON, by language
    texts    TEXT    NOT NULL, -- JSON, by language
    CONSTRAINT scopes_pkey PRIMARY KEY (tenant, name),
    CONSTRAINT scopes_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE,
    CONSTRAINT scopes_broad_check CHECK (broad IN (0, 1))
) STRICT;

CREATE TABLE services (
    tenant         TEXT    NOT NULL,
    id             TEXT    NOT NULL,
    position       INTEGER NOT NULL, -- order of declaration
    sort_order     INTEGER NOT NULL, -- the declared order; smaller comes first
    protocol       TEXT    NOT NULL,
    title          TEXT    NOT NULL,
    endpoints      TEXT    NOT NULL, -- JSON
    audience       TEXT    NOT NULL,
    scopes         TEXT    NOT NULL, -- JSON
    authentication TEXT    NOT NULL, -- JSON
    username       TEXT    NOT NULL, -- template
    profile        TEXT    NOT NULL,
    algorithm      TEXT    NOT NULL,
    lifetime       INTEGER NOT NULL,
    credential     TEXT    NOT NULL,
    in_broad       INTEGER NOT NULL,
    insecure       INTEGER NOT NULL, dpop TEXT NOT NULL DEFAULT '', condition TEXT NOT NULL DEFAULT '', app_passwords INTEGER NOT NULL DEFAULT 0
    CONSTRAINT services_app_passwords_check CHECK (app_passwords IN (0, 1)), source TEXT NOT NULL DEFAULT '', unexpiring_tokens INTEGER NOT NULL DEFAULT 0
    CONSTRAINT services_unexpiring_tokens_check CHECK (unexpiring_tokens IN (0, 1)),
    CONSTRAINT services_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT services_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE,
    CONSTRAINT services_audience_fkey FOREIGN KEY (tenant, audience) REFERENCES audiences (tenant, audience) ON DELETE CASCADE,
    CONSTRAINT services_in_broad_check CHECK (in_broad IN (0, 1)),
    CONSTRAINT services_insecure_check CHECK (insecure IN (0, 1))
) STRICT;

CREATE INDEX services_audience_idx ON services (tenant, audience);

CREATE TABLE signing_keys (
    tenant     TEXT    NOT NULL,
    id         TEXT    NOT NULL, -- "kid"
    use        TEXT    NOT NULL, -- for what it signs
    algorithm  TEXT    NOT NULL,
    sealed     BLOB    NOT NULL, -- private key, sealed
    created_at INTEGER NOT NULL, signs_from INTEGER, removed_at INTEGER, successor TEXT, compromised INTEGER NOT NULL DEFAULT 0
    CONSTRAINT signing_keys_compromised_check CHECK (compromised IN (0, 1)),
    CONSTRAINT signing_keys_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT signing_keys_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
) STRICT;

CREATE UNIQUE INDEX signing_keys_head_key ON signing_keys (tenant, use, algorithm) WHERE successor IS NULL;

CREATE TABLE tenants (
    name      TEXT    NOT NULL,
    position  INTEGER NOT NULL, -- order of first declaration
    placement TEXT    NOT NULL, -- 'base', 'path' or the URL of an issuer on a host of its own
    title     TEXT    NOT NULL,
    help      TEXT    NOT NULL, clients TEXT NOT NULL DEFAULT '{}', token_profiles TEXT NOT NULL DEFAULT 'null', broad_token TEXT NOT NULL DEFAULT '',
    CONSTRAINT tenants_pkey PRIMARY KEY (name),
    CONSTRAINT tenants_position_key UNIQUE (position)
) STRICT;

CREATE UNIQUE INDEX tenants_placement_key ON tenants (placement) WHERE placement <> 'path';
