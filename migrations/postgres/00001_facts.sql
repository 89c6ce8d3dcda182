-- What operators declare: tenants and all that belongs to them.
--
-- Every file here is the twin of the one in sqlite with the same name: the same
-- tables, columns, constraints and indexes, by the same names, with the same meaning.
-- What differs is written the way of the engine:
--   * moments and spans are BIGINT in milliseconds, moments since 1970 in UTC;
--   * lists and maps are JSON text, which no statement looks into;
--   * booleans are BOOLEAN and need no constraint; sealed texts and hashes are BYTEA;
--   * there is no way down: going back means restoring the backup.

-- +goose Up

-- The bell: one row that every change of facts, keys and ended grants raises,
-- so that other processes notice. facts is the value at which the declared
-- facts changed last; it tells a stale writer from one that merely overlapped
-- with the end of somebody's grant.
CREATE TABLE revision (
    id    BIGINT  NOT NULL,
    value BIGINT  NOT NULL,
    facts BIGINT  NOT NULL,
    CONSTRAINT revision_pkey PRIMARY KEY (id),
    CONSTRAINT revision_one_row_check CHECK (id = 1),
    CONSTRAINT revision_facts_check CHECK (facts <= value)
);

INSERT INTO revision (id, value, facts) VALUES (1, 0, 0);

CREATE TABLE tenants (
    name      TEXT    NOT NULL,
    position  BIGINT  NOT NULL, -- order of first declaration
    placement TEXT    NOT NULL, -- 'base', 'path' or the URL of an issuer on a host of its own
    title     TEXT    NOT NULL,
    help      TEXT    NOT NULL,
    CONSTRAINT tenants_pkey PRIMARY KEY (name),
    CONSTRAINT tenants_position_key UNIQUE (position)
);

-- The base URL and every host of a tenant's own answer for one tenant only.
CREATE UNIQUE INDEX tenants_placement_key ON tenants (placement) WHERE placement <> 'path';

-- A domain belongs to one tenant of the installation.
CREATE TABLE domains (
    name         TEXT    NOT NULL, -- A-labels in lower case
    tenant       TEXT    NOT NULL,
    position     BIGINT  NOT NULL,
    verification TEXT    NOT NULL,
    CONSTRAINT domains_pkey PRIMARY KEY (name),
    CONSTRAINT domains_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE,
    CONSTRAINT domains_name_check CHECK (name = lower(name))
);

CREATE INDEX domains_tenant_idx ON domains (tenant, position);

CREATE TABLE identity_providers (
    tenant        TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    position      BIGINT  NOT NULL,
    title         TEXT    NOT NULL,
    issuer        TEXT    NOT NULL,
    client_id     TEXT    NOT NULL,
    client_secret BYTEA,            -- sealed; null for a public client
    scopes        TEXT    NOT NULL, -- JSON
    domains       TEXT    NOT NULL, -- JSON
    address_claim TEXT    NOT NULL,
    address_trust TEXT    NOT NULL,
    login_claim   TEXT    NOT NULL,
    name_claim    TEXT    NOT NULL,
    CONSTRAINT identity_providers_pkey PRIMARY KEY (tenant, name),
    CONSTRAINT identity_providers_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
);

-- An audience belongs to one tenant of the installation, so that no tenant's
-- token is meant for another tenant's server. Services of that tenant may
-- share it: one mail server, one audience.
CREATE TABLE audiences (
    audience TEXT NOT NULL,
    tenant   TEXT NOT NULL,
    CONSTRAINT audiences_pkey PRIMARY KEY (audience),
    CONSTRAINT audiences_tenant_key UNIQUE (tenant, audience),
    CONSTRAINT audiences_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
);

CREATE TABLE services (
    tenant         TEXT    NOT NULL,
    id             TEXT    NOT NULL,
    position       BIGINT  NOT NULL, -- order of declaration
    sort_order     BIGINT  NOT NULL, -- the declared order; smaller comes first
    protocol       TEXT    NOT NULL,
    title          TEXT    NOT NULL,
    endpoints      TEXT    NOT NULL, -- JSON
    audience       TEXT    NOT NULL,
    scopes         TEXT    NOT NULL, -- JSON
    authentication TEXT    NOT NULL, -- JSON
    username       TEXT    NOT NULL, -- template
    profile        TEXT    NOT NULL,
    algorithm      TEXT    NOT NULL,
    lifetime       BIGINT  NOT NULL,
    credential     TEXT    NOT NULL,
    in_broad       BOOLEAN NOT NULL,
    insecure       BOOLEAN NOT NULL,
    CONSTRAINT services_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT services_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE,
    CONSTRAINT services_audience_fkey FOREIGN KEY (tenant, audience) REFERENCES audiences (tenant, audience) ON DELETE CASCADE
);

CREATE INDEX services_audience_idx ON services (tenant, audience);

-- Scopes with which a tenant replaces or adds to those of the catalogue.
CREATE TABLE scopes (
    tenant   TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    position BIGINT  NOT NULL,
    opens    TEXT    NOT NULL, -- JSON
    includes TEXT    NOT NULL, -- JSON
    broad    BOOLEAN NOT NULL,
    titles   TEXT    NOT NULL, -- JSON, by language
    texts    TEXT    NOT NULL, -- JSON, by language
    CONSTRAINT scopes_pkey PRIMARY KEY (tenant, name),
    CONSTRAINT scopes_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
);
