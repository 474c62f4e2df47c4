-- A catalog that was made anew beside a Redis server of the same installation: the one of before is lost.

-- Since when that is known; null once manifests were applied to it as a whole. Until then running processes keep to the
-- catalog that they know.
ALTER TABLE mq_instance ADD COLUMN recovering_since timestamptz;
