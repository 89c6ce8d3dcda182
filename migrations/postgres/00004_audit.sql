-- What happened, for owners. It names tenants without referring to them: the
-- record of a tenant outlives the tenant.

-- +goose Up

CREATE TABLE audit_events (
    id           BIGINT GENERATED ALWAYS AS IDENTITY,
    at           BIGINT NOT NULL,
    kind         TEXT   NOT NULL,
    tenant       TEXT   NOT NULL,
    account_id   TEXT   NOT NULL,
    client_id    TEXT   NOT NULL,
    grant_id     TEXT   NOT NULL,
    service      TEXT   NOT NULL,
    scope        TEXT   NOT NULL,
    rule         TEXT   NOT NULL,
    outcome      TEXT   NOT NULL,
    subject_hash TEXT   NOT NULL,
    request_id   TEXT   NOT NULL,
    CONSTRAINT audit_events_pkey PRIMARY KEY (id)
);

CREATE INDEX audit_events_tenant_at_idx ON audit_events (tenant, at);

-- The record is only ever added to, whoever holds the database.
-- Retention will have to remove what is old enough: its migration replaces
-- audit_events_no_delete by a trigger that refuses to delete an event younger
-- than a date kept in a table of its own. Nobody drops a trigger by hand.

-- +goose StatementBegin
CREATE FUNCTION audit_events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events is append-only: events are never %', TG_ARGV[0];
END;
$$;
-- +goose StatementEnd

-- Triggers of statements, not of rows: what finds no row is refused as well.
CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse('changed');

CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse('removed');

-- Truncating a table asks no trigger of rows.
CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse('removed');
