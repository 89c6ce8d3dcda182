-- Signing keys of tenants.

-- +goose Up

CREATE TABLE signing_keys (
    tenant     TEXT    NOT NULL,
    id         TEXT    NOT NULL, -- "kid"
    use        TEXT    NOT NULL, -- for what it signs
    algorithm  TEXT    NOT NULL,
    sealed     BYTEA   NOT NULL, -- private key, sealed
    created_at BIGINT  NOT NULL,
    CONSTRAINT signing_keys_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT signing_keys_tenant_fkey FOREIGN KEY (tenant) REFERENCES tenants (name) ON DELETE CASCADE
);

-- One key of a use and algorithm, so that replicas that start together agree on
-- the first. It is an index and no constraint of the table because rotation
-- will want several keys, of which one signs: its migration drops this index
-- and makes one that covers the signing keys only.
CREATE UNIQUE INDEX signing_keys_use_algorithm_key ON signing_keys (tenant, use, algorithm);
