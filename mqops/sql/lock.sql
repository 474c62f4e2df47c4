-- One apply at a time per source: advisory locks of the session, under one class of ours and the hash of a name.
-- Who holds one, and since when, is in the holder's application_name.

-- name: try
SELECT pg_try_advisory_lock(hashtext('mq_apply'), hashtext(%(source)s))

-- name: release
SELECT pg_advisory_unlock(hashtext('mq_apply'), hashtext(%(source)s))

-- name: holder
-- classid and objid are the two halves as unsigned numbers; objsubid 2 marks a lock of two numbers.
SELECT a.pid, a.application_name, a.usename::text
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = (hashtext('mq_apply')::bigint & 4294967295)::oid
  AND l.objid = (hashtext(%(source)s)::bigint & 4294967295)::oid

-- name: introduce
SELECT set_config('application_name', %(name)s, false)

-- name: introduced
SELECT current_setting('application_name')

-- name: ping
SELECT 1

-- name: end
-- Only the very session that was shown, and only while it holds the lock.
SELECT pg_terminate_backend(a.pid)
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = (hashtext('mq_apply')::bigint & 4294967295)::oid
  AND l.objid = (hashtext(%(source)s)::bigint & 4294967295)::oid
  AND a.pid = %(pid)s AND a.application_name = %(application_name)s
