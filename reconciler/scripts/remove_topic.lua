#!lua flags=allow-oom
-- Removes a topic or queue: its streams with all they hold, what waits for its time, and its meta. Its subscriptions
-- must be gone.
-- KEYS: 1 the bucket's epoch key. ARGV: 1 uid · 2 "closed" when it is to go only while it is closed.
-- Returns the number of streams removed.
-- include: bucket
-- include: delay

local base = prefix .. ARGV[1]
if ARGV[2] == 'closed' and redis.call('HEXISTS', base .. ':meta', 'closing') == 0 then return 0 end
local partitions = tonumber(redis.call('HGET', base .. ':meta', 'partitions')) or 0
local removed = 0
for number = 0, partitions - 1 do
  removed = removed + redis.call('UNLINK', base .. ':' .. number .. ':s')
  redis.call('UNLINK', base .. ':' .. number .. ':armed')
end
redis.call('UNLINK', delay_key(ARGV[1]), delay_key(ARGV[1]) .. ':b')
keep_delay(ARGV[1])
redis.call('UNLINK', base .. ':meta', base .. ':groups')
redis.call('HDEL', prefix .. 'index', ARGV[1])
return removed
