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

ALTER TABLE services ADD COLUMN app_passwords BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE services ADD COLUMN source TEXT NOT NULL DEFAULT ''; -- where its tokens come from; empty is "local"
ALTER TABLE services ADD COLUMN unexpiring_tokens BOOLEAN NOT NULL DEFAULT false;

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
    id               BIGINT NOT NULL,
    removable_before BIGINT NOT NULL,
    CONSTRAINT audit_retention_pkey PRIMARY KEY (id),
    CONSTRAINT audit_retention_one_row_check CHECK (id = 1)
);

INSERT INTO audit_retention (id, removable_before) VALUES (1, 0);

-- Whoever sets the moment wrongly loses nothing of the last twelve hours. Signpost
-- keeps a day at least; the other half is for clocks that differ.

-- +goose StatementBegin
CREATE FUNCTION audit_retention_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.removable_before > floor(extract(epoch FROM clock_timestamp()))::bigint * 1000 - 43200000 THEN
        RAISE EXCEPTION 'audit_retention: events of the last twelve hours are never removed';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_retention_insert BEFORE INSERT ON audit_retention
    FOR EACH ROW EXECUTE FUNCTION audit_retention_refuse();

CREATE TRIGGER audit_retention_update BEFORE UPDATE ON audit_retention
    FOR EACH ROW EXECUTE FUNCTION audit_retention_refuse();

-- The table is named with its schema: a temporary one of the same name would be found first.

-- +goose StatementBegin
CREATE FUNCTION audit_events_refuse_young() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    removable boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I.audit_retention WHERE $1 < removable_before)', TG_TABLE_SCHEMA)
        INTO removable USING OLD.at;
    IF NOT removable THEN
        RAISE EXCEPTION 'audit_events is append-only: events are removed only when they are older than audit_retention says';
    END IF;
    RETURN OLD;
END;
$$;
-- +goose StatementEnd

DROP TRIGGER audit_events_no_delete ON audit_events;

CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_refuse_young();
