-- Single resources that are left alone.

-- name: all
SELECT uid::text, suspended_by, suspended_at, suspended_reason FROM mq_suspensions

-- name: suspend
INSERT INTO mq_suspensions (uid, suspended_by, suspended_reason) VALUES (%(uid)s, %(actor)s, %(reason)s)

-- name: resume
DELETE FROM mq_suspensions WHERE uid = %(uid)s
