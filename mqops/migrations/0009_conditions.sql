-- What the reconciler noted of resources, one row for each that was ever something else than as applied. Keyed by uid
-- without a foreign key, as what else is beside the configuration; whoever deletes a resource deletes its row with it.
CREATE TABLE mq_conditions (
    uid                 uuid PRIMARY KEY,
    reason              text NOT NULL,
    message             text NOT NULL,
    observed_generation bigint NOT NULL,
    ready               boolean NOT NULL,
    reconciling         boolean NOT NULL,
    stalled             boolean NOT NULL,
    ready_since         timestamptz NOT NULL,
    reconciling_since   timestamptz NOT NULL,
    stalled_since       timestamptz NOT NULL
);
