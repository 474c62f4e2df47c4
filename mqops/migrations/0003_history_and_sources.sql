-- History that can be gone back to, and sources that can be held.

ALTER TABLE mq_revisions
    ADD COLUMN branch    text NOT NULL DEFAULT '',     -- of the manifests' checkout; empty outside git
    ADD COLUMN commit_id text NOT NULL DEFAULT '',     -- the latest that touched the manifests; empty outside git
    ADD COLUMN is_dirty  boolean NOT NULL DEFAULT false,
    ADD COLUMN sources   text[] NOT NULL DEFAULT '{}', -- whose resources changed, or which source was acted on
    ADD COLUMN note      text NOT NULL DEFAULT '';     -- why it was suspended; what a rollback went back to

ALTER TABLE mq_changes
    ADD COLUMN reason     text,                        -- null for what was recorded before this column was
    ADD COLUMN implied_by uuid;                        -- the resource that brought this one along

UPDATE mq_changes SET implied_by = mq_resources.implied_by FROM mq_resources WHERE mq_resources.uid = mq_changes.uid;

UPDATE mq_revisions SET sources = changed.sources
FROM (SELECT revision, array_agg(DISTINCT managed_by ORDER BY managed_by) AS sources FROM mq_changes GROUP BY revision)
     AS changed
WHERE changed.revision = mq_revisions.revision;

-- What is known of each source beside its manifests. Written under the source's apply lock.
CREATE TABLE mq_sources (
    name             text PRIMARY KEY,
    branch           text NOT NULL DEFAULT '',         -- of the manifests that were last reconciled, as are:
    commit_id        text NOT NULL DEFAULT '',
    is_dirty         boolean NOT NULL DEFAULT false,
    tree             text NOT NULL DEFAULT '',         -- what git calls the source's committed content
    digest           text NOT NULL DEFAULT '',         -- SHA-256 of the source's content; empty when none was yet
    reconciled_at    timestamptz,
    suspended_at     timestamptz,
    suspended_by     text,
    suspended_reason text,
    pinned_at        timestamptz,
    pinned_by        text,
    pinned_revision  bigint,
    pinned_tree      text,                             -- the pin ends when something else is committed or, where
    pinned_digest    text,                             -- either is not in git, when the content is another
    CHECK ((suspended_at IS NULL) = (suspended_by IS NULL)),
    CHECK ((pinned_at IS NULL) = (pinned_by IS NULL) AND (pinned_at IS NULL) = (pinned_revision IS NULL))
);
