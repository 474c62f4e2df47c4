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

-- name: forget
-- Functions of ours that somebody left who dropped the tables: they are made again with them.
DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN SELECT oid FROM pg_proc
                WHERE starts_with(proname, 'mq_') AND pronamespace = current_schema()::regnamespace
    LOOP
        EXECUTE format('DROP FUNCTION %s CASCADE', ours);
    END LOOP;
END $$;

-- name: record
INSERT INTO mq_migrations (number, name, checksum) VALUES (%s, %s, %s);
