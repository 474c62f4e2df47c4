-- Single resources that somebody wants to be left alone; beside mq_sources, which has the sources. Keyed by uid without a
-- foreign key, so that one whose row a hand deleted is still left alone. Written under the apply lock of its owner.
CREATE TABLE mq_suspensions (
    uid               uuid PRIMARY KEY,
    suspended_at      timestamptz NOT NULL DEFAULT now(),
    suspended_by      text NOT NULL,
    suspended_reason  text NOT NULL DEFAULT ''
);
