-- What is known of the installation as a whole.

-- +goose Up

CREATE TABLE installation (
    id        BIGINT  NOT NULL,
    base_url  TEXT    NOT NULL, -- under which it was served last; empty before the first time
    key_check BYTEA   NOT NULL, -- a known text, sealed: it opens with the secret key of this database
    CONSTRAINT installation_pkey PRIMARY KEY (id),
    CONSTRAINT installation_one_row_check CHECK (id = 1)
);
