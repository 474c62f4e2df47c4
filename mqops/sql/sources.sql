-- What is known of each source beside its manifests: what it was reconciled from, and whether it is held.
-- Every write is made under the source's apply lock.

-- name: all
SELECT name, branch, commit_id, is_dirty, tree, digest, reconciled_at, suspended_at, suspended_by, suspended_reason,
       pinned_at, pinned_by, pinned_revision, pinned_tree, pinned_digest
FROM mq_sources

-- name: owners
-- Every source that is known, the counts being of what it owns.
SELECT name, coalesce(count, 0)
FROM mq_sources FULL JOIN (SELECT managed_by AS name, count(*) FROM mq_resources GROUP BY managed_by) AS owned
     USING (name)

-- name: declared
SELECT name, spec FROM mq_resources WHERE kind = 'Source'

-- name: reconciled
-- A pin that there was has ended, or these manifests would not be reconciled.
INSERT INTO mq_sources (name, branch, commit_id, is_dirty, tree, digest, reconciled_at)
SELECT name, %(branch)s, %(commit_id)s, %(is_dirty)s, tree, digest, now()
FROM unnest(%(names)s::text[], %(trees)s::text[], %(digests)s::text[]) AS content (name, tree, digest)
ON CONFLICT (name) DO UPDATE
SET branch = excluded.branch, commit_id = excluded.commit_id, is_dirty = excluded.is_dirty, tree = excluded.tree,
    digest = excluded.digest, reconciled_at = excluded.reconciled_at,
    pinned_at = NULL, pinned_by = NULL, pinned_revision = NULL, pinned_tree = NULL, pinned_digest = NULL

-- name: pin
-- To what it was last reconciled from; with nothing known of that, until it is resumed.
INSERT INTO mq_sources (name, pinned_at, pinned_by, pinned_revision)
SELECT name, now(), %(actor)s, %(revision)s FROM unnest(%(names)s::text[]) AS name
ON CONFLICT (name) DO UPDATE
SET pinned_at = excluded.pinned_at, pinned_by = excluded.pinned_by, pinned_revision = excluded.pinned_revision,
    pinned_tree = mq_sources.tree, pinned_digest = mq_sources.digest

-- name: suspend
INSERT INTO mq_sources (name, suspended_at, suspended_by, suspended_reason)
VALUES (%(name)s, now(), %(actor)s, %(reason)s)
ON CONFLICT (name) DO UPDATE
SET suspended_at = excluded.suspended_at, suspended_by = excluded.suspended_by,
    suspended_reason = excluded.suspended_reason

-- name: resume
UPDATE mq_sources
SET suspended_at = NULL, suspended_by = NULL, suspended_reason = NULL,
    pinned_at = NULL, pinned_by = NULL, pinned_revision = NULL, pinned_tree = NULL, pinned_digest = NULL
WHERE name = %(name)s
