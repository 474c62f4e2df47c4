-- What runs beside the configuration. The data plane writes it, and whoever deletes a resource deletes its row with it.
-- Keyed by uid without a foreign key: a row of mq_resources that a hand deleted comes back, and its override with it.
CREATE TABLE mq_runtime (
    uid               uuid PRIMARY KEY,
    override_state    text CHECK (override_state IN ('active', 'paused')), -- goes before what spec says; null for none
    override_by       text,
    override_since    timestamptz,
    override_reason   text,
    override_until    timestamptz,                                         -- null: until it is taken back
    last_consumed_at  timestamptz,                                         -- noted every few seconds
    CHECK ((override_state IS NULL) = (override_by IS NULL) AND (override_state IS NULL) = (override_since IS NULL))
);

CREATE INDEX mq_runtime_overrides ON mq_runtime (uid) WHERE override_state IS NOT NULL;
