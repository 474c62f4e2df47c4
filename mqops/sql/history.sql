-- What was applied, when and by whom: one row an apply, one row a change.

-- name: record_revision
INSERT INTO mq_revisions (revision, actor, trigger, summary)
VALUES (%(revision)s, %(actor)s, %(trigger)s, %(summary)s::jsonb)

-- name: record_changes
INSERT INTO mq_changes (revision, sequence, action, uid, kind, tenant, name, managed_by, before, after, error)
SELECT %(revision)s, sequence, action, uid, kind, tenant, name, managed_by, before, after, error
FROM jsonb_to_recordset(%(changes)s::jsonb) AS c (sequence integer, action text, uid uuid, kind text, tenant text,
       name text, managed_by text, before jsonb, after jsonb, error text)

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
