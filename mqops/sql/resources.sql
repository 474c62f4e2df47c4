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

-- name: mark
-- Another one whenever somebody has written a row of what `all`, `edited` and `lost` read, past the reconciler too: which
-- transaction wrote each row tells. (Who rewrites the history by hand is found when everything is read anew.)
SELECT (SELECT (count(*), sum(hashtextextended(uid::text || xmin::text, 0)))::text FROM mq_resources),
       (SELECT (count(*), sum(hashtextextended(uid::text || xmin::text, 0)))::text FROM mq_row_edits),
       (SELECT (revision, xmin::text)::text FROM mq_instance)

-- name: of_tenant
-- One tenant's, with all tenants, what it reads of others and who of them reads its own. The names of what a
-- subscription reads begin with the tenant's name and a slash when the topic is another tenant's.
SELECT uid::text, kind, tenant, name, labels::text, annotations::text, spec::text, generation, managed_by,
       implied_by::text, file, line, renamed_from, revision
FROM mq_resources
WHERE tenant = %(tenant)s OR kind = 'Tenant'
   OR (kind = 'Subscription' AND starts_with(spec ->> 'topic', %(tenant)s || '/'))
   OR (kind = 'Topic' AND spec ->> 'public' = 'true')

-- name: named
-- Some resources, with the subscriptions and queues whose dead letters go to those of them that are topics.
SELECT uid::text, r.kind, r.tenant, r.name, labels::text, annotations::text, spec::text, generation, managed_by,
       implied_by::text, file, line, renamed_from, revision
FROM mq_resources r
WHERE EXISTS (SELECT FROM unnest(%(kinds)s::text[], %(tenants)s::text[], %(names)s::text[]) AS named (kind, tenant, name)
              WHERE named.tenant = r.tenant
                AND ((named.kind, named.name) = (r.kind, r.name)
                     OR (named.kind = 'Topic' AND r.kind IN ('Subscription', 'Queue')
                         AND r.spec ->> 'deadLetter' = named.name)))

-- name: uids
SELECT uid::text FROM mq_resources

-- name: foreign_digests
SELECT DISTINCT key ->> 'sha256' FROM mq_resources, jsonb_array_elements(spec -> 'keys') AS key
WHERE kind = 'Credential' AND tenant <> %(tenant)s

-- name: edited
-- Rows that are not as the history recorded them last, with what it recorded; nothing of those it does not know. Of
-- some alone, when they are given. The hash spares asking the history of each.
SELECT r.uid::text, c.kind, c.tenant, c.name, c.after::text, c.implied_by::text, e.edited_by, e.edited_at
FROM mq_resources r
LEFT JOIN LATERAL (
    SELECT * FROM mq_changes c WHERE c.uid = r.uid AND c.error IS NULL
    ORDER BY c.revision DESC, c.sequence DESC LIMIT 1) AS c ON true
LEFT JOIN mq_row_edits e ON e.uid = r.uid
WHERE (%(uids)s::uuid[] IS NULL OR r.uid = ANY(%(uids)s::uuid[]))
  AND r.recorded_hash IS DISTINCT FROM hash_record_extended(
          ROW(r.uid, r.kind, r.tenant, r.name, r.generation, r.managed_by, r.implied_by, r.spec, r.labels,
              r.annotations), 0)
  AND (c.after IS NULL
       OR (r.kind, r.tenant, r.name, r.generation, r.managed_by, r.implied_by, r.spec, r.labels, r.annotations)
          IS DISTINCT FROM
          (c.kind, c.tenant, c.name, (c.after ->> 'generation')::bigint, c.after ->> 'managedBy', c.implied_by,
           c.after -> 'spec', c.after -> 'labels', c.after -> 'annotations'))

-- name: lost
-- Of resources without a row, the last thing that the history recorded, the latest last: one whose last change is not
-- a delete was removed by hand, unless another has taken its place. Of one tenant alone, when it is given.
SELECT c.uid::text, c.kind, c.tenant, c.name, c.after::text, c.implied_by::text, e.edited_by, e.edited_at
FROM (SELECT DISTINCT uid FROM mq_changes AS every
      WHERE NOT EXISTS (SELECT FROM mq_resources r WHERE r.uid = every.uid)
        AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s OR (kind = 'Tenant' AND name = %(tenant)s))) AS gone
CROSS JOIN LATERAL (
    SELECT * FROM mq_changes c WHERE c.uid = gone.uid AND c.error IS NULL
    ORDER BY c.revision DESC, c.sequence DESC LIMIT 1) AS c
LEFT JOIN mq_row_edits e ON e.uid = c.uid
WHERE c.after IS NOT NULL
  AND NOT EXISTS (SELECT FROM mq_changes another WHERE another.replaced = c.uid AND another.error IS NULL)
  AND (%(tenant)s::text IS NULL OR c.tenant = %(tenant)s OR (c.kind = 'Tenant' AND c.name = %(tenant)s))
ORDER BY c.revision, c.sequence

-- name: writing
-- Within a transaction: what is written now is the reconciler's doing, and no edit by hand.
SELECT set_config('mqops.writer', 'reconciler', true)

-- name: settled
-- What was written anew is as recorded, whoever had written it before.
DELETE FROM mq_row_edits WHERE uid = ANY(%(uids)s::uuid[])

-- name: ages
SELECT uid::text, created_at, updated_at FROM mq_resources

-- name: lock
-- Held until the transaction ends, so that revisions become visible in their order.
SELECT revision FROM mq_instance FOR UPDATE

-- name: advance
UPDATE mq_instance SET revision = revision + 1 RETURNING revision

-- name: write
-- Rows that are new, and rows that changed. One that exists keeps its created_at, one that somebody deleted by hand has
-- it back from its first change in the history. Names may trade places: they have to be unique when the transaction
-- ends.
INSERT INTO mq_resources (uid, kind, tenant, name, labels, annotations, spec, generation, managed_by, implied_by,
                          file, line, renamed_from, revision, recorded_hash, created_at)
SELECT uid, kind, tenant, name, labels, annotations, spec, generation, managed_by, implied_by, file, line,
       renamed_from, %(revision)s,
       hash_record_extended(
           ROW(uid, kind, tenant, name, generation, managed_by, implied_by, spec, labels, annotations), 0),
       coalesce((SELECT first.applied_at FROM mq_changes c JOIN mq_revisions AS first USING (revision)
                 WHERE c.uid = r.uid AND c.error IS NULL ORDER BY c.revision LIMIT 1), now())
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (uid uuid, kind text, tenant text, name text, labels jsonb,
       annotations jsonb, spec jsonb, generation bigint, managed_by text, implied_by uuid, file text, line integer,
       renamed_from text)
ON CONFLICT (uid) DO UPDATE
SET kind = excluded.kind, tenant = excluded.tenant, name = excluded.name, renamed_from = excluded.renamed_from,
    labels = excluded.labels, annotations = excluded.annotations, spec = excluded.spec,
    generation = excluded.generation, managed_by = excluded.managed_by, implied_by = excluded.implied_by,
    file = excluded.file, line = excluded.line, revision = excluded.revision, recorded_hash = excluded.recorded_hash,
    updated_at = now()

-- name: delete
DELETE FROM mq_resources WHERE uid = ANY(%(uids)s::uuid[])

-- name: move
-- Where resources stand in the manifests is not configuration: neither revision nor generation changes with it.
UPDATE mq_resources SET file = moved.file, line = moved.line, renamed_from = moved.renamed_from
FROM unnest(%(uids)s::uuid[], %(files)s::text[], %(lines)s::integer[], %(former)s::text[])
     AS moved (uid, file, line, renamed_from)
WHERE mq_resources.uid = moved.uid
