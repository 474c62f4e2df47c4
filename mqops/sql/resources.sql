-- The catalog as the reconciler reads and writes it. Every change takes the lock of mq_instance's row first.

-- name: one_view
-- Begins a transaction's reading: all its queries see one state.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: revision
SELECT revision FROM mq_instance

-- name: all
SELECT uid::text, kind, tenant, name, labels::text, annotations::text, spec::text, generation, managed_by,
       implied_by::text, file, line, renamed_from, revision
FROM mq_resources

-- name: of_tenant
-- One tenant's, with all tenants, what it reads of others and who of them reads its own. The names of what a
-- subscription reads begin with the tenant's name and a slash when the topic is another tenant's.
SELECT uid::text, kind, tenant, name, labels::text, annotations::text, spec::text, generation, managed_by,
       implied_by::text, file, line, renamed_from, revision
FROM mq_resources
WHERE tenant = %(tenant)s OR kind = 'Tenant'
   OR (kind = 'Subscription' AND starts_with(spec ->> 'topic', %(tenant)s || '/'))
   OR (kind = 'Topic' AND spec ->> 'public' = 'true')

-- name: uids
SELECT uid::text FROM mq_resources

-- name: foreign_digests
SELECT DISTINCT key ->> 'sha256' FROM mq_resources, jsonb_array_elements(spec -> 'keys') AS key
WHERE kind = 'Credential' AND tenant <> %(tenant)s

-- name: lost
-- Of resources without a row, the last thing that the history knows; one whose last change is not a delete was
-- removed by hand. A name that was given away by a rename is not missed, nor is what another has taken the place of.
SELECT DISTINCT ON (kind, tenant, name) kind, tenant, name, uid::text,
       coalesce((coalesce(c.after, c.before) ->> 'generation')::bigint, 1), action
FROM mq_changes c
JOIN unnest(%(kinds)s::text[], %(tenants)s::text[], %(names)s::text[]) AS missing (kind, tenant, name)
     USING (kind, tenant, name)
WHERE error IS NULL
  AND NOT EXISTS (SELECT FROM mq_changes another WHERE another.replaced = c.uid)
  AND NOT EXISTS (
      SELECT FROM mq_changes later
      WHERE later.uid = c.uid AND later.error IS NULL
        AND (later.revision, later.sequence) > (c.revision, c.sequence)
        AND (later.tenant, later.name) <> (c.tenant, c.name))
ORDER BY kind, tenant, name, c.revision DESC, c.sequence DESC

-- name: ages
SELECT uid::text, created_at, updated_at FROM mq_resources

-- name: lock
-- Held until the transaction ends, so that revisions become visible in their order.
SELECT revision FROM mq_instance FOR UPDATE

-- name: advance
UPDATE mq_instance SET revision = revision + 1 RETURNING revision

-- name: write
-- Rows that are new, and rows that changed. One that exists keeps its created_at. Names may trade places: they have to
-- be unique when the transaction ends.
INSERT INTO mq_resources (uid, kind, tenant, name, labels, annotations, spec, generation, managed_by, implied_by,
                          file, line, renamed_from, revision)
SELECT uid, kind, tenant, name, labels, annotations, spec, generation, managed_by, implied_by, file, line,
       renamed_from, %(revision)s
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (uid uuid, kind text, tenant text, name text, labels jsonb,
       annotations jsonb, spec jsonb, generation bigint, managed_by text, implied_by uuid, file text, line integer,
       renamed_from text)
ON CONFLICT (uid) DO UPDATE
SET tenant = excluded.tenant, name = excluded.name, renamed_from = excluded.renamed_from,
    labels = excluded.labels, annotations = excluded.annotations, spec = excluded.spec,
    generation = excluded.generation, managed_by = excluded.managed_by, implied_by = excluded.implied_by,
    file = excluded.file, line = excluded.line, revision = excluded.revision, updated_at = now()

-- name: delete
DELETE FROM mq_resources WHERE uid = ANY(%(uids)s::uuid[])

-- name: move
-- Where resources stand in the manifests is not configuration: neither revision nor generation changes with it.
UPDATE mq_resources SET file = moved.file, line = moved.line, renamed_from = moved.renamed_from
FROM unnest(%(uids)s::uuid[], %(files)s::text[], %(lines)s::integer[], %(former)s::text[])
     AS moved (uid, file, line, renamed_from)
WHERE mq_resources.uid = moved.uid
