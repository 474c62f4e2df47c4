-- Replacing: another resource takes the place of one, under a uid of its own.

ALTER TABLE mq_changes ADD COLUMN replaced uuid;       -- of what went, which the change's own uid is not

CREATE INDEX mq_changes_replaced ON mq_changes (replaced) WHERE replaced IS NOT NULL;
