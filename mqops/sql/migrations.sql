-- Which migrations a database has. The database may be shared: the table and the lock are ours by name.

-- name: lock
-- One migrating process at a time; let go of at the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('mq_migrations'));

-- name: create
CREATE TABLE IF NOT EXISTS mq_migrations (
    number      integer PRIMARY KEY,
    name        text NOT NULL,
    checksum    text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
);

-- name: exists
SELECT to_regclass('mq_migrations') IS NOT NULL;

-- name: applied
SELECT number, name, checksum FROM mq_migrations ORDER BY number;

-- name: record
INSERT INTO mq_migrations (number, name, checksum) VALUES (%s, %s, %s);
