-- What the reconciler noted of resources. It changes without a revision: no process loads its catalog anew for it.

-- name: all
SELECT uid::text, reason, message, observed_generation, ready, reconciling, stalled,
       (extract(epoch FROM ready_since) * 1000)::bigint, (extract(epoch FROM reconciling_since) * 1000)::bigint,
       (extract(epoch FROM stalled_since) * 1000)::bigint
FROM mq_conditions

-- name: of
SELECT uid::text, reason, message, observed_generation, ready, reconciling, stalled,
       (extract(epoch FROM ready_since) * 1000)::bigint, (extract(epoch FROM reconciling_since) * 1000)::bigint,
       (extract(epoch FROM stalled_since) * 1000)::bigint
FROM mq_conditions
WHERE uid = ANY(%(uids)s::uuid[])

-- name: note
-- A condition that is what it was keeps its time. Of a resource of which nothing was noted, it was ready since it was
-- created.
INSERT INTO mq_conditions (uid, reason, message, observed_generation, ready, reconciling, stalled, ready_since,
                           reconciling_since, stalled_since)
SELECT uid, c.reason, c.message, c.observed_generation, c.ready, c.reconciling, c.stalled,
       CASE WHEN c.ready THEN r.created_at ELSE now() END,
       CASE WHEN c.reconciling THEN now() ELSE r.created_at END,
       CASE WHEN c.stalled THEN now() ELSE r.created_at END
FROM jsonb_to_recordset(%(found)s::jsonb) AS c (uid uuid, reason text, message text, observed_generation bigint,
       ready boolean, reconciling boolean, stalled boolean)
JOIN mq_resources r USING (uid)
ON CONFLICT (uid) DO UPDATE
SET reason = excluded.reason, message = excluded.message, observed_generation = excluded.observed_generation,
    ready = excluded.ready, reconciling = excluded.reconciling, stalled = excluded.stalled,
    ready_since = CASE WHEN mq_conditions.ready = excluded.ready THEN mq_conditions.ready_since ELSE now() END,
    reconciling_since = CASE WHEN mq_conditions.reconciling = excluded.reconciling
                             THEN mq_conditions.reconciling_since ELSE now() END,
    stalled_since = CASE WHEN mq_conditions.stalled = excluded.stalled THEN mq_conditions.stalled_since ELSE now() END

-- name: forget
DELETE FROM mq_conditions WHERE uid = ANY(%(uids)s::uuid[])
