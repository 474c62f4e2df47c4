#!lua flags=allow-oom
-- Gives a message that waits for its time another one.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 bell channel · 2 topic uid · 3 message id · 4 "in" or "at" · 5 how long from now, or when (ms).
-- Returns when it is due (ms), or -1 when it does not wait there (any more).
-- include: bucket
-- include: delay

local bell, uid = ARGV[1], ARGV[2]
local member = find_delayed(uid, ARGV[3])
if not member then return -1 end
local due = ARGV[4] == 'in' and now + tonumber(ARGV[5]) or tonumber(ARGV[5])
redis.call('ZADD', delay_key(uid), string.format('%.0f', due), member)
ring_for_timer(bell, keep_delay(uid, due))
return due
