-- What the data plane reads of the catalog. It writes none of it.

-- name: instance
-- With when the catalog was made, which tells it from an earlier one of the installation, and whether that is lost and
-- nothing was applied since. And what tells the overrides that are in force from others: they change without a revision.
SELECT installation::text, environment, revision, created_at::text, recovering_since IS NOT NULL,
       (SELECT coalesce(md5(string_agg(concat_ws('|', uid, override_state, override_by, override_since, override_reason,
                                                 override_until), ',' ORDER BY uid)), '')
        FROM mq_runtime
        WHERE override_state IS NOT NULL AND (override_until IS NULL OR override_until > now()))
FROM mq_instance

-- name: one_view
-- Begins a transaction's reading: all its queries see one state.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: changed
-- Rows that are new or different since the revision that is known; all of them since 0.
SELECT uid::text, kind, tenant, name, generation, revision, implied_by::text, spec::text,
       labels::text, annotations::text, managed_by,
       (extract(epoch FROM created_at) * 1000)::bigint, (extract(epoch FROM updated_at) * 1000)::bigint
FROM mq_resources
WHERE revision > %(known)s

-- name: deleted
-- What went since then. A uid that came back since is also among the changed.
SELECT DISTINCT coalesce(replaced, uid)::text FROM mq_changes
WHERE revision > %(known)s AND action IN ('delete', 'replace') AND error IS NULL

-- name: count
SELECT count(*) FROM mq_resources
