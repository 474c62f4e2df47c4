-- What a row held when it was recorded, as a hash: only where it is another now, the history has to be asked.
-- Null is asked, too.
ALTER TABLE mq_resources ADD COLUMN recorded_hash bigint;

SELECT set_config('mqops.writer', 'reconciler', true);

UPDATE mq_resources r
SET recorded_hash = hash_record_extended(
        ROW(r.uid, r.kind, r.tenant, r.name, r.generation, r.managed_by, r.implied_by, r.spec, r.labels,
            r.annotations), 0)
FROM (SELECT DISTINCT ON (uid) * FROM mq_changes WHERE error IS NULL ORDER BY uid, revision DESC, sequence DESC) AS c
WHERE c.uid = r.uid
  AND (r.kind, r.tenant, r.name, r.generation, r.managed_by, r.spec, r.labels, r.annotations)
      = (c.kind, c.tenant, c.name, (c.after ->> 'generation')::bigint, c.after ->> 'managedBy', c.after -> 'spec',
         c.after -> 'labels', c.after -> 'annotations')
  AND r.implied_by IS NOT DISTINCT FROM c.implied_by;
