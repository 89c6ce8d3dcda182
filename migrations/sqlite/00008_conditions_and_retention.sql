-- Conditions on services and programs, forms of tokens of a tenant's own, and a record that
-- can be searched and does not grow for ever.
--
-- A Signpost that does not know these columns yet goes on beside this schema: it leaves
-- them at their defaults, decides without conditions, and keeps no claims of who signs in
-- with it. Declare conditions once every replica is new. Making the indexes of a long
-- record takes a while in which no event is written; events wait in the replicas meanwhile.

-- +goose Up

-- Expressions in CEL; empty is no condition.
ALTER TABLE services ADD COLUMN condition TEXT NOT NULL DEFAULT '';
ALTER TABLE fixed_clients ADD COLUMN condition TEXT NOT NULL DEFAULT '';

ALTER TABLE services ADD COLUMN app_passwords INTEGER NOT NULL DEFAULT 0
    CONSTRAINT services_app_passwords_check CHECK (app_passwords IN (0, 1));
ALTER TABLE services ADD COLUMN source TEXT NOT NULL DEFAULT ''; -- where its tokens come from; empty is "local"
ALTER TABLE services ADD COLUMN unexpiring_tokens INTEGER NOT NULL DEFAULT 0
    CONSTRAINT services_unexpiring_tokens_check CHECK (unexpiring_tokens IN (0, 1));

-- The object in tenants.clients has one more member now, "condition".
ALTER TABLE tenants ADD COLUMN token_profiles TEXT NOT NULL DEFAULT 'null'; -- JSON
ALTER TABLE tenants ADD COLUMN broad_token TEXT NOT NULL DEFAULT '';        -- a profile; empty is "rfc9068"

-- Claims that conditions may ask for: which ones, and what the last sign-in said.
ALTER TABLE identity_providers ADD COLUMN keep_claims TEXT NOT NULL DEFAULT 'null'; -- JSON
ALTER TABLE accounts ADD COLUMN claims TEXT NOT NULL DEFAULT 'null';                -- JSON

-- The scope that was asked for; "scope" is what was given. Events from before have what
-- was asked for in "scope" if they were refused.
ALTER TABLE audit_events ADD COLUMN asked TEXT NOT NULL DEFAULT '';

-- What the record is searched by. It is read in the order of its ids, which stand in each
-- index for that.
CREATE INDEX audit_events_at_idx ON audit_events (at, id);
CREATE INDEX audit_events_account_idx ON audit_events (account_id, id);
CREATE INDEX audit_events_request_idx ON audit_events (request_id, id);
DROP INDEX audit_events_tenant_at_idx;

-- What is removed some time after the end of a grant is found by that.
CREATE INDEX grants_ended_at_idx ON grants (ended_at) WHERE ended_at IS NOT NULL;

-- Retention: events that happened before this moment may be removed, and no others.
-- Without a row none may.
CREATE TABLE audit_retention (
    id               INTEGER NOT NULL,
    removable_before INTEGER NOT NULL,
    CONSTRAINT audit_retention_pkey PRIMARY KEY (id),
    CONSTRAINT audit_retention_one_row_check CHECK (id = 1)
) STRICT;

INSERT INTO audit_retention (id, removable_before) VALUES (1, 0);

-- Whoever sets the moment wrongly loses nothing of the last twelve hours. Signpost
-- keeps a day at least; the other half is for clocks that differ.

-- +goose StatementBegin
CREATE TRIGGER audit_retention_insert BEFORE INSERT ON audit_retention
WHEN NEW.removable_before > unixepoch('now') * 1000 - 43200000
BEGIN
    SELECT RAISE(ABORT, 'audit_retention: events of the last twelve hours are never removed');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_retention_update BEFORE UPDATE ON audit_retention
WHEN NEW.removable_before > unixepoch('now') * 1000 - 43200000
BEGIN
    SELECT RAISE(ABORT, 'audit_retention: events of the last twelve hours are never removed');
END;
-- +goose StatementEnd

DROP TRIGGER audit_events_no_delete;

-- +goose StatementBegin
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
WHEN NOT EXISTS (SELECT 1 FROM audit_retention WHERE OLD.at < removable_before)
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: events are removed only when they are older than audit_retention says');
END;
-- +goose StatementEnd
