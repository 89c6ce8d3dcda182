-- Passwords for programs and servers that know no OAuth: made by exchange or at the person's
-- own page, each for named services. And since when a person's sign-ins and sessions count.
--
-- A Signpost that does not know these yet goes on beside this schema, and removes with an account
-- or a tenant what is in it. But when it ends a sign-in, what is kept of the app passwords that were
-- made from it stays for ever, dead; and when it ends all of a person's it ends no sessions and no
-- codes. Declare app_passwords once every replica is new.

-- +goose Up

CREATE TABLE app_passwords (
    tenant       TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    selector     TEXT    NOT NULL, -- the part of the password that finds it
    hash         BYTEA   NOT NULL, -- HMAC-SHA-256 of tenant and password under a server key
    account_id   TEXT    NOT NULL,
    grant_id     TEXT,             -- the sign-in that it was made from; null if the person made it at their own page
    client_id    TEXT    NOT NULL,
    label        TEXT    NOT NULL, -- what it is for, in the person's words; may be empty
    username     TEXT    NOT NULL, -- login name that it was made for
    audiences    TEXT    NOT NULL, -- JSON
    scopes       TEXT    NOT NULL, -- separated by spaces
    created_at   BIGINT  NOT NULL,
    last_used_at BIGINT,           -- to the hour; null if it was never used
    ended_at     BIGINT,           -- null while it lives
    ended_reason TEXT    NOT NULL,
    CONSTRAINT app_passwords_pkey PRIMARY KEY (tenant, id),
    CONSTRAINT app_passwords_selector_key UNIQUE (tenant, selector),
    CONSTRAINT app_passwords_hash_check CHECK (octet_length(hash) = 32),
    CONSTRAINT app_passwords_account_fkey FOREIGN KEY (tenant, account_id) REFERENCES accounts (tenant, id) ON DELETE CASCADE
);

CREATE INDEX app_passwords_account_idx ON app_passwords (tenant, account_id);

-- What is removed some time after its end is found by that.
CREATE INDEX app_passwords_ended_at_idx ON app_passwords (ended_at) WHERE ended_at IS NOT NULL;

-- When everything of a person was ended last; null if never. What they began or allowed until then
-- makes nothing any more.
ALTER TABLE accounts ADD COLUMN ended_before BIGINT;
