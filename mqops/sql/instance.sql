-- Which installation and environment a database belongs to.

-- name: exists
SELECT to_regclass('mq_instance') IS NOT NULL;

-- name: read
SELECT installation::text, environment FROM mq_instance;

-- name: stamp
-- The first stamp stays.
INSERT INTO mq_instance (installation, environment) VALUES (%s, %s) ON CONFLICT (singleton) DO NOTHING;
