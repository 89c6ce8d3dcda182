-- A database of the first release, at version 5 of the schema, with rows in every
-- table, written by the statements of sqlite_schema and quote(). It stays as it is: an upgrade must
-- be able to begin with it for ever. Its secret key is 32 times zero.

PRAGMA foreign_keys = OFF;
BEGIN;

CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);

CREATE TABLE revision (
    id    INTEGER NOT NULL,
    value INTEGER NOT NULL,
    facts INTEGER NOT NULL,
    CONSTRAINT revision_pkey PRIMARY KEY (id),
    CONSTRAINT revision_one_row_check CHECK (id = 1),
    CONSTRAINT revision_facts_check CHECK (facts <= value)
) STRICT;

CREATE TABLE tenants (
    name      TEXT    NOT NULL,
    position  INTEGER NOT NULL, -- order of first declaration
    placement TEXT    NOT NULL, -- 'base', 'path' or the URL of an issuer on a host of its own
    title     TEXT    NOT NULL,
    help      TEXT    NOT NULL,
    CONSTRAINT tenants_pkey PRIMARY KEY (name),
    CONSTRAINT tenants_position_key UNIQUE (position)
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
    name_claim    TEXT    NOT NULL,
    CONSTRAINT identity_providers_pkey PRIMARY KEY (tenant, name),
    CONSTRAINT identity_providers_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
) STRICT;

CREATE TABLE audiences (
    audience TEXT NOT NULL,
    tenant   TEXT NOT NULL,
    CONSTRAINT audiences_pkey PRIMARY KEY (audience),
    CONSTRAINT audiences_tenant_key UNIQUE (tenant, audience),
    CONSTRAINT audiences_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
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
    insecure       INTEGER NOT NULL,
    CONSTRAINT services_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT services_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE,
    CONSTRAINT services_audience_fkey FOREIGN KEY (tenant, audience) REFERENCES audiences (tenant, audience) ON DELETE CASCADE,
    CONSTRAINT services_in_broad_check CHECK (in_broad IN (0, 1)),
    CONSTRAINT services_insecure_check CHECK (insecure IN (0, 1))
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

CREATE TABLE accounts (
    tenant           TEXT    NOT NULL,
    id               TEXT    NOT NULL, -- the stable subject
    upstream_issuer  TEXT    NOT NULL,
    upstream_subject TEXT    NOT NULL,
    addresses        TEXT    NOT NULL, -- JSON, primary first
    login            TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    last_sign_in_at  INTEGER NOT NULL,
    CONSTRAINT accounts_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT accounts_upstream_key UNIQUE (tenant, upstream_issuer, upstream_subject),
    CONSTRAINT accounts_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
) STRICT;

CREATE TABLE account_names (
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL, -- case folded
    account_id TEXT NOT NULL,
    CONSTRAINT account_names_pkey PRIMARY KEY (tenant, name),
    CONSTRAINT account_names_account_fkey FOREIGN KEY (tenant, account_id) REFERENCES accounts (tenant, id) ON DELETE CASCADE
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
    ended_reason TEXT    NOT NULL,
    CONSTRAINT grants_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT grants_origin_hash_key UNIQUE (origin_hash),
    CONSTRAINT grants_origin_hash_check CHECK (length(origin_hash) = 32),
    CONSTRAINT grants_account_fkey FOREIGN KEY (tenant, account_id) REFERENCES accounts (tenant, id) ON DELETE CASCADE
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

CREATE TABLE signing_keys (
    tenant     TEXT    NOT NULL,
    id         TEXT    NOT NULL, -- "kid"
    use        TEXT    NOT NULL, -- for what it signs
    algorithm  TEXT    NOT NULL,
    sealed     BLOB    NOT NULL, -- private key, sealed
    created_at INTEGER NOT NULL,
    CONSTRAINT signing_keys_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT signing_keys_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
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
    request_id   TEXT    NOT NULL,
    CONSTRAINT audit_events_pkey PRIMARY KEY (id)
) STRICT;

CREATE TABLE installation (
    id        INTEGER NOT NULL,
    base_url  TEXT    NOT NULL, -- under which it was served last; empty before the first time
    key_check BLOB    NOT NULL, -- a known text, sealed: it opens with the secret key of this database
    CONSTRAINT installation_pkey PRIMARY KEY (id),
    CONSTRAINT installation_one_row_check CHECK (id = 1)
) STRICT;

INSERT INTO goose_db_version (id, version_id, is_applied, tstamp) VALUES (1, 0, 1, '2026-03-14 09:26:53');
INSERT INTO goose_db_version (id, version_id, is_applied, tstamp) VALUES (2, 1, 1, '2026-03-14 09:26:53');
INSERT INTO goose_db_version (id, version_id, is_applied, tstamp) VALUES (3, 2, 1, '2026-03-14 09:26:53');
INSERT INTO goose_db_version (id, version_id, is_applied, tstamp) VALUES (4, 3, 1, '2026-03-14 09:26:53');
INSERT INTO goose_db_version (id, version_id, is_applied, tstamp) VALUES (5, 4, 1, '2026-03-14 09:26:53');
INSERT INTO goose_db_version (id, version_id, is_applied, tstamp) VALUES (6, 5, 1, '2026-03-14 09:26:53');
INSERT INTO revision (id, value, facts) VALUES (1, 3, 1);
INSERT INTO tenants (name, position, placement, title, help) VALUES ('example', 1, 'base', 'Example Organisation', 'https://example.com/help');
INSERT INTO tenants (name, position, placement, title, help) VALUES ('other', 2, 'path', 'Other', '');
INSERT INTO domains (name, tenant, position, verification) VALUES ('example.com', 'example', 0, 'operator');
INSERT INTO domains (name, tenant, position, verification) VALUES ('example.net', 'example', 1, 'operator');
INSERT INTO identity_providers (tenant, name, position, title, issuer, client_id, client_secret, scopes, domains, address_claim, address_trust, login_claim, name_claim) VALUES ('example', 'staff', 0, 'Example staff', 'https://login.example.com', 'signpost', X'8FCE3B0082A20F83FED48D4D87EFB1FEFA941A0E4AE4CCE830EAF05ABB110D9D51478EFD6240DF2247', '["openid","email"]', '["example.com"]', 'email', 'email_verified', 'preferred_username', 'name');
INSERT INTO identity_providers (tenant, name, position, title, issuer, client_id, client_secret, scopes, domains, address_claim, address_trust, login_claim, name_claim) VALUES ('example', 'guests', 1, 'Guests', 'https://guests.example.com', 'public', NULL, '["openid"]', '[]', '', '', '', '');
INSERT INTO audiences (audience, tenant) VALUES ('imap.example.com', 'example');
INSERT INTO services (tenant, id, position, sort_order, protocol, title, endpoints, audience, scopes, authentication, username, profile, algorithm, lifetime, credential, in_broad, insecure) VALUES ('example', 'mail', 0, 10, 'imap', 'Mail', '[{"host":"imap.example.com","port":993,"security":"tls"}]', 'imap.example.com', '["urn:ietf:params:oauth:scope:mail"]', '["oauthbearer"]', '{address}', 'dovecot', 'ES256', 900000, 'sso', 1, 0);
INSERT INTO scopes (tenant, name, position, opens, includes, broad, titles, texts) VALUES ('example', 'urn:example:scope:tickets', 0, '["https"]', '[]', 1, '{"en":"Tickets"}', '{"en":"Read your tickets."}');
INSERT INTO accounts (tenant, id, upstream_issuer, upstream_subject, addresses, login, name, created_at, last_sign_in_at) VALUES ('example', 'alice-0000000000000000', 'https://login.example.com', 'upstream-alice', '["alice@example.com"]', 'alice', 'Alice Example', 1773480413000, 1773480413000);
INSERT INTO account_names (tenant, name, account_id) VALUES ('example', 'alice', 'alice-0000000000000000');
INSERT INTO account_names (tenant, name, account_id) VALUES ('example', 'alice@example.com', 'alice-0000000000000000');
INSERT INTO grants (tenant, id, account_id, client_id, scopes, resources, origin_hash, created_at, last_used_at, ended_at, ended_reason) VALUES ('example', 'living', 'alice-0000000000000000', 'open', 'openid offline_access', '["imap.example.com"]', X'82A682BF4ABE0EEB080BEC3C106BAB8623DABDC2667E115B26668E7FC898465C', 1773480413000, 1773484013000, NULL, '');
INSERT INTO grants (tenant, id, account_id, client_id, scopes, resources, origin_hash, created_at, last_used_at, ended_at, ended_reason) VALUES ('example', 'ended', 'alice-0000000000000000', 'open', 'openid offline_access', '["imap.example.com"]', X'BCA64A3B7C92FEEF7FC54A848105024F98CD70807C983DD192A8043F5010DD0B', 1773480413000, 1773480413000, 1773487613000, 'revoked');
INSERT INTO refresh_tokens (tenant, hash, grant_id, created_at, used_at, successor_hash, sealed_successor, repeats) VALUES ('example', X'0284ABB6AD110DD3D6D61BE8E06B38FA8B928BAF6BA4357EEAE15085C4256283', 'living', 1773480413000, 1773484013000, X'B5543342A2B8D271F99ED0C4492DE7BD3E8042279453288EA86F55F146D93335', X'61207365616C656420737563636573736F72', 0);
INSERT INTO refresh_tokens (tenant, hash, grant_id, created_at, used_at, successor_hash, sealed_successor, repeats) VALUES ('example', X'6BEB625B6ED5B5F5EDEA72AF22BBEAE93240ED94C5A323DD72B02BBD1617BD4B', 'ended', 1773480413000, NULL, NULL, NULL, 0);
INSERT INTO refresh_tokens (tenant, hash, grant_id, created_at, used_at, successor_hash, sealed_successor, repeats) VALUES ('example', X'B5543342A2B8D271F99ED0C4492DE7BD3E8042279453288EA86F55F146D93335', 'living', 1773484013000, NULL, NULL, NULL, 0);
INSERT INTO signing_keys (tenant, id, use, algorithm, sealed, created_at) VALUES ('example', 'key-1', 'access', 'ES256', X'61207365616C6564206B6579', 1773480413000);
INSERT INTO audit_events (id, at, kind, tenant, account_id, client_id, grant_id, service, scope, rule, outcome, subject_hash, request_id) VALUES (1, 1773480413000, 'token', 'example', 'alice-0000000000000000', 'open', 'living', 'imap.example.com', 'urn:ietf:params:oauth:scope:mail', 'narrow', 'allowed', 'cafe', 'request');
INSERT INTO installation (id, base_url, key_check) VALUES (1, 'https://id.example.com', X'1C923E34DB26A7E77E334ECF02D813F6F9E21813CC853C600725A471F32948CE880F62C8');

CREATE UNIQUE INDEX tenants_placement_key ON tenants (placement) WHERE placement <> 'path';

CREATE INDEX domains_tenant_idx ON domains (tenant, position);

CREATE INDEX services_audience_idx ON services (tenant, audience);

CREATE INDEX account_names_account_idx ON account_names (tenant, account_id);

CREATE INDEX grants_account_idx ON grants (tenant, account_id);

CREATE INDEX refresh_tokens_grant_idx ON refresh_tokens (tenant, grant_id);

CREATE UNIQUE INDEX signing_keys_use_algorithm_key ON signing_keys (tenant, use, algorithm);

CREATE INDEX audit_events_tenant_at_idx ON audit_events (tenant, at);

CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: events are never changed');
END;

CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: events are never removed');
END;

CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: events are never replaced');
END;

COMMIT;
