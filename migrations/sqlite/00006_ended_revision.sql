-- Which grants ended, for replicas that know grants without asking each time.

-- +goose Up

-- The value to which the end of the grant raised the bell; null while it lives. The
-- bell's row is locked from its raise to the commit, so ends become visible in
-- the order of these numbers: who has seen one has seen all smaller ones.
ALTER TABLE grants ADD COLUMN ended_revision INTEGER;

UPDATE grants SET ended_revision = (SELECT value FROM revision) WHERE ended_at IS NOT NULL;

CREATE INDEX grants_ended_revision_idx ON grants (ended_revision) WHERE ended_revision IS NOT NULL;
