-- What runs beside the configuration. Only the data plane writes it, but for what goes with what is deleted or replaced.

-- name: overrides
-- Those in force.
SELECT uid::text, override_state, override_by, (extract(epoch FROM override_since) * 1000)::bigint,
       coalesce(override_reason, ''), (extract(epoch FROM override_until) * 1000)::bigint
FROM mq_runtime
WHERE override_state IS NOT NULL AND (override_until IS NULL OR override_until > now())

-- name: override
-- Nothing for a resource that is not there. Its row may not be deleted in between: the lock is let go with the commit.
INSERT INTO mq_runtime (uid, override_state, override_by, override_since, override_reason, override_until)
SELECT uid, %(state)s, %(by)s, now(), %(reason)s, to_timestamp(%(until_ms)s::bigint / 1000.0)
FROM mq_resources WHERE uid = %(uid)s FOR KEY SHARE
ON CONFLICT (uid) DO UPDATE
SET override_state = excluded.override_state, override_by = excluded.override_by,
    override_since = excluded.override_since, override_reason = excluded.override_reason,
    override_until = excluded.override_until
RETURNING uid

-- name: lift
UPDATE mq_runtime
SET override_state = NULL, override_by = NULL, override_since = NULL, override_reason = NULL, override_until = NULL
WHERE uid = %(uid)s

-- name: consumed
-- What is being deleted is passed over, and rows are taken in one order, so that no two of these wait for each other.
INSERT INTO mq_runtime (uid, last_consumed_at)
SELECT r.uid, to_timestamp(c.ms / 1000.0)
FROM unnest(%(uids)s::uuid[], %(ms)s::bigint[]) AS c (uid, ms) JOIN mq_resources r USING (uid)
ORDER BY r.uid
FOR KEY SHARE OF r SKIP LOCKED
ON CONFLICT (uid) DO UPDATE
SET last_consumed_at = greatest(mq_runtime.last_consumed_at, excluded.last_consumed_at)

-- name: hand_on
-- Of what is replaced, to what takes its place. That has consumed nothing yet.
UPDATE mq_runtime SET uid = given.taking, last_consumed_at = NULL
FROM unnest(%(gone)s::uuid[], %(taking)s::uuid[]) AS given (gone, taking)
WHERE mq_runtime.uid = given.gone

-- name: forget
DELETE FROM mq_runtime WHERE uid = ANY(%(uids)s::uuid[])
