-- What happened, for owners. It names tenants without referring to them: the
-- record of a tenant outlives the tenant.

-- +goose Up

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

CREATE INDEX audit_events_tenant_at_idx ON audit_events (tenant, at);

-- The record is only ever added to, whoever holds the database.
-- Retention will have to remove what is old enough: its migration replaces
-- audit_events_no_delete by a trigger that refuses to delete an event younger
-- than a date kept in a table of its own. Nobody drops a trigger by hand.

-- +goose StatementBegin
CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: events are never changed');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: events are never removed');
END;
-- +goose StatementEnd

-- Replacing a row deletes it without a word to the trigger above.
-- +goose StatementBegin
CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: events are never replaced');
END;
-- +goose StatementEnd
