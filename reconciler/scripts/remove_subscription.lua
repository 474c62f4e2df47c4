#!lua flags=allow-oom
-- Removes a subscription: its groups, its leases and retries, its meta.
-- KEYS: 1 the bucket's epoch key. ARGV: 1 uid · 2 "closed" when it is to go only while it is closed.
-- Returns the number of groups destroyed.
-- include: bucket

local uid, base = ARGV[1], prefix .. ARGV[1]
local meta, destroyed = base .. ':meta', 0
if ARGV[2] == 'closed' and redis.call('HEXISTS', meta, 'closing') == 0 then return 0 end
local topic = redis.call('HGET', meta, 'topic')
for _, field in ipairs(redis.call('HKEYS', meta)) do
  local number = string.match(field, '^pos:(%d+)$')
  if number then
    local partition = prefix .. (topic or '') .. ':' .. number
    if redis.call('EXISTS', partition .. ':s') == 1 then
      destroyed = destroyed + redis.call('XGROUP', 'DESTROY', partition .. ':s', uid)
    end
    redis.call('SREM', partition .. ':armed', uid)
    redis.call('ZREM', prefix .. 'ready', uid .. ':' .. number)
    redis.call('ZREM', prefix .. 'due', uid .. ':' .. number)
    redis.call('UNLINK', base .. ':' .. number .. ':lease', base .. ':' .. number .. ':retry',
      base .. ':' .. number .. ':flight', base .. ':' .. number .. ':carried', base .. ':' .. number .. ':redriven')
  end
end
if topic then
  redis.call('HDEL', prefix .. topic .. ':groups', uid)
  redis.call('HDEL', prefix .. topic .. ':meta', 'low')
end
redis.call('UNLINK', meta)
redis.call('HDEL', prefix .. 'index', uid)
return destroyed
