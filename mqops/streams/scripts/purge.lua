#!lua flags=allow-oom
-- Empties a lane: what waits to be read, is handed out, or waits to be tried again counts as done. Nobody's token is
-- good any more: who settles later hears that the entry is lost.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 subscription uid · 2 partition.
-- Returns the number of entries purged, or -1 when the subscription or its stream is not there (nothing changed).
-- include: bucket
-- include: lane
-- include: gaps

local lane = open_lane(ARGV[1], ARGV[2])
if not lane or lane.closing then return -1 end
local last = redis.call('HGET', lane.topic .. ':meta', 'last:' .. lane.partition) or '0-0'
-- The group is made anew where the stream ends: its pending list goes with the old one.
redis.pcall('XGROUP', 'DESTROY', lane.stream, lane.subscription)
local created = redis.pcall('XGROUP', 'CREATE', lane.stream, lane.subscription, last)
if created.err then return -1 end

-- What somebody removed before is lost, not purged.
local unread = count_after(lane.stream, lane.position)
if offset_of(last) > offset_of(lane.position) then pass_over(lane, last, unread) end
local purged = unread + redis.call('HLEN', lane.flight)
redis.call('UNLINK', lane.lease, lane.retry, lane.flight, lane.carried)
lane.position = last
redis.call('HSET', lane.meta, 'pos:' .. lane.partition, last)
redis.call('HINCRBY', lane.meta, 'done', purged)
keep_lane(lane)
return purged
