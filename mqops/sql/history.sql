-- What was applied, when and by whom: one row an apply, one row a change.

-- name: record_revision
INSERT INTO mq_revisions (revision, actor, trigger, summary, branch, commit_id, is_dirty, sources, note)
VALUES (%(revision)s, %(actor)s, %(trigger)s, %(summary)s::jsonb, %(branch)s, %(commit_id)s, %(is_dirty)s,
        %(sources)s, %(note)s)

-- name: record_changes
INSERT INTO mq_changes (revision, sequence, action, uid, kind, tenant, name, managed_by, before, after, error, reason,
                        implied_by, replaced)
SELECT %(revision)s, sequence, action, uid, kind, tenant, name, managed_by, before, after, error, reason, implied_by,
       replaced
FROM jsonb_to_recordset(%(changes)s::jsonb) AS c (sequence integer, action text, uid uuid, kind text, tenant text,
       name text, managed_by text, before jsonb, after jsonb, error text, reason text, implied_by uuid, replaced uuid)

-- name: of_resource
-- The latest changes of one resource, the latest first: by its uid, which renames do not change; and those of its name
-- that are of nothing which exists, for a resource that was deleted and made anew.
SELECT c.revision, c.action, r.applied_at, r.actor, r.trigger, c.before::text, c.after::text, c.error
FROM mq_changes c JOIN mq_revisions r USING (revision)
WHERE c.uid = (SELECT uid FROM mq_resources WHERE (kind, tenant, name) = (%(kind)s, %(tenant)s, %(name)s))
   OR (c.kind, c.tenant, c.name) = (%(kind)s, %(tenant)s, %(name)s)
      AND NOT EXISTS (SELECT FROM mq_resources r WHERE r.uid = c.uid)
ORDER BY c.revision DESC, c.sequence DESC
LIMIT %(limit)s

-- name: revisions
-- The latest first; those of one source, those before one, when these are given.
SELECT revision, applied_at, actor, trigger, branch, commit_id, is_dirty, note, sources, summary::text
FROM mq_revisions
WHERE (%(before)s::bigint IS NULL OR revision < %(before)s)
  AND (%(source)s::text IS NULL OR %(source)s = ANY(sources))
ORDER BY revision DESC
LIMIT %(limit)s

-- name: changes
-- Of one revision, in the order in which they were made.
SELECT c.action, c.reason, c.uid::text, c.kind, c.tenant, c.name, c.before::text, c.after::text, c.error,
       c.replaced::text, parent.kind, parent.tenant, parent.name
FROM mq_changes c
LEFT JOIN LATERAL (
    SELECT p.kind, p.tenant, p.name FROM mq_changes p
    WHERE p.uid = c.implied_by AND p.revision <= c.revision
    ORDER BY p.revision DESC, p.sequence DESC LIMIT 1
) AS parent ON true
WHERE c.revision = %(revision)s
ORDER BY c.sequence

-- name: state
-- What the catalog held at a revision: of each resource the last change until then, unless that was its end, or
-- another had taken its place.
SELECT uid::text, kind, tenant, name, after::text, implied_by::text
FROM (SELECT DISTINCT ON (uid) uid, kind, tenant, name, action, after, implied_by
      FROM mq_changes
      WHERE revision <= %(revision)s AND error IS NULL
      ORDER BY uid, revision DESC, sequence DESC) AS last
WHERE action <> 'delete'
  AND NOT EXISTS (SELECT FROM mq_changes WHERE replaced = last.uid AND revision <= %(revision)s)
ORDER BY kind, tenant, name
