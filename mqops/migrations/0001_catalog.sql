-- The catalog: what is declared and applied, and the history of how it came to be.
-- The database may be shared: every name starts with mq_.

-- Which installation and environment this database belongs to, and the catalog's current revision. One row.
-- Every change of mq_resources takes this row's lock and the next revision, so revisions become visible in order.
CREATE TABLE mq_instance (
    singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    installation  uuid NOT NULL,
    environment   text NOT NULL,
    revision      bigint NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE mq_resources (
    uid           uuid PRIMARY KEY,
    kind          text NOT NULL,
    tenant        text NOT NULL DEFAULT '',        -- empty for kinds without a tenant
    name          text NOT NULL,
    labels        jsonb NOT NULL DEFAULT '{}',
    annotations   jsonb NOT NULL DEFAULT '{}',
    spec          jsonb NOT NULL,                  -- complete: defaults are filled in
    generation    bigint NOT NULL DEFAULT 1,       -- rises with every change of spec
    managed_by    text NOT NULL,                   -- a Source's name
    implied_by    uuid,                            -- the resource that brought this one along
    file          text NOT NULL DEFAULT '',
    line          integer NOT NULL DEFAULT 0,
    revision      bigint NOT NULL,                 -- of the catalog, when this row last changed
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, tenant, name)
);

CREATE INDEX mq_resources_revision ON mq_resources (revision);

-- History: one row an apply, one row a change.
CREATE TABLE mq_revisions (
    revision      bigint PRIMARY KEY,
    actor         text NOT NULL,
    trigger       text NOT NULL,                   -- apply, watch, repair
    summary       jsonb NOT NULL,                  -- {"create": n, "update": n, …}
    applied_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE mq_changes (
    revision      bigint NOT NULL REFERENCES mq_revisions,
    sequence      integer NOT NULL,
    action        text NOT NULL,                   -- create, update, delete, repair
    uid           uuid NOT NULL,
    kind          text NOT NULL,
    tenant        text NOT NULL,
    name          text NOT NULL,
    managed_by    text NOT NULL,
    before        jsonb,
    after         jsonb,
    error         text,                            -- null when it was applied
    PRIMARY KEY (revision, sequence)
);

CREATE INDEX mq_changes_uid ON mq_changes (uid, revision);
CREATE INDEX mq_changes_identity ON mq_changes (kind, tenant, name, revision);
