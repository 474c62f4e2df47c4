#!lua flags=allow-oom
-- Removes a group that no subscription claims from a stream, unless it holds what somebody has not acknowledged.
-- KEYS: 1 the bucket's epoch key. ARGV: 1 topic uid · 2 partition · 3 the group.
-- Returns 1 when it is gone, else 0.
-- include: bucket

local stream = prefix .. ARGV[1] .. ':' .. ARGV[2] .. ':s'
if redis.call('HGET', prefix .. ARGV[3] .. ':meta', 'topic') == ARGV[1] then return 0 end
local pending = redis.pcall('XPENDING', stream, ARGV[3])
if pending.err then return 1 end
if pending[1] > 0 then return 0 end
redis.call('XGROUP', 'DESTROY', stream, ARGV[3])
return 1
