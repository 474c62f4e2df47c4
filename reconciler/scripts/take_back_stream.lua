#!lua
-- Puts a stream back that somebody renamed, with all it holds and all its groups.
-- KEYS: 1 the bucket's epoch key. ARGV: 1 the key that it is under · 2 topic uid · 3 partition.
-- Returns 1, also when it is back already; 0 when it is nowhere, or something else stands in its place.
-- include: bucket

local home = prefix .. ARGV[2] .. ':' .. ARGV[3] .. ':s'
local is_home, is_away = redis.call('EXISTS', home) == 1, redis.call('EXISTS', ARGV[1]) == 1
if is_home == is_away then return 0 end
if is_away then redis.call('RENAME', ARGV[1], home) end
return 1
