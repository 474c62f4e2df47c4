-- Which installation and environment a database belongs to.

-- name: exists
SELECT to_regclass('mq_instance') IS NOT NULL;

-- name: read
SELECT installation::text, environment FROM mq_instance;

-- name: stamp
-- The first stamp stays.
INSERT INTO mq_instance (installation, environment, recovering_since)
VALUES (%(installation)s, %(environment)s, CASE WHEN %(is_lost)s THEN now() END)
ON CONFLICT (singleton) DO NOTHING;

-- name: recovering
SELECT recovering_since FROM mq_instance;

-- name: recovered
UPDATE mq_instance SET recovering_since = NULL WHERE recovering_since IS NOT NULL;
