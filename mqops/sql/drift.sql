-- What reconcilers know to have been changed outside.

-- name: all
SELECT kind, tenant, name, uid, managed_by, reason, fields::text, message, changed_by, changed_at, first_seen_at
FROM mq_drift

-- name: forget
-- Of the owners that were looked at, or of all, what has not drifted any more.
DELETE FROM mq_drift
WHERE (%(owners)s::text[] IS NULL OR managed_by = ANY(%(owners)s::text[]))
  AND NOT EXISTS (SELECT FROM jsonb_to_recordset(%(found)s::jsonb) AS f (kind text, tenant text, name text, uid text)
                  WHERE (f.kind, f.tenant, f.name, f.uid)
                        = (mq_drift.kind, mq_drift.tenant, mq_drift.name, mq_drift.uid))

-- name: note
-- It is known since it was first seen, whatever else has come to it.
INSERT INTO mq_drift (kind, tenant, name, uid, managed_by, reason, fields, message, changed_by, changed_at)
SELECT kind, tenant, name, uid, managed_by, reason, fields, message, changed_by, changed_at
FROM jsonb_to_recordset(%(found)s::jsonb) AS f (kind text, tenant text, name text, uid text, managed_by text,
     reason text, fields jsonb, message text, changed_by text, changed_at timestamptz)
ON CONFLICT (kind, tenant, name, uid) DO UPDATE
SET managed_by = excluded.managed_by, reason = excluded.reason, fields = excluded.fields,
    message = excluded.message, changed_by = excluded.changed_by, changed_at = excluded.changed_at
WHERE (mq_drift.managed_by, mq_drift.reason, mq_drift.fields, mq_drift.message, mq_drift.changed_by,
       mq_drift.changed_at)
      IS DISTINCT FROM (excluded.managed_by, excluded.reason, excluded.fields, excluded.message, excluded.changed_by,
                        excluded.changed_at)
