#!lua flags=allow-oom
-- Marks a topic or subscription as closing: publishing to it and fetching from it are refused from now on.
-- KEYS: 1 the bucket's epoch key. ARGV: 1 uid. Returns 1, or 0 when there is nothing of that uid.
-- include: bucket

local meta = prefix .. ARGV[1] .. ':meta'
if redis.call('EXISTS', meta) == 0 then return 0 end
redis.call('HSET', meta, 'closing', string.format('%.0f', now))
return 1
