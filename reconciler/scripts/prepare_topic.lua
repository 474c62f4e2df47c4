#!lua
-- Makes a topic or queue as it should be: its streams and its meta. Safe to repeat; counters are kept.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 uid · 2 kind · 3 tenant · 4 name · 5 partitions · 6 min_generation · 7 state · 8 max_backlog ("" for none) ·
--   9 retention (ms) · 10 "closed" when it is to stay closed until it is prepared again without this.
-- Returns the number of streams it had to create.
-- include: bucket
-- include: delay

local uid, base = ARGV[1], prefix .. ARGV[1]
local meta = base .. ':meta'
local created = 0

local function last_generated(stream)
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
end

-- The stream is gone and with it what nobody had read: the subscriptions go on after it, and count it as lost.
local function write_off(number, last)
  for _, subscription in ipairs(redis.call('HKEYS', base .. ':groups')) do
    local own = prefix .. subscription .. ':meta'
    local position = redis.call('HGET', own, 'pos:' .. number)
    local known = tonumber(redis.call('HGET', own, 'gone:' .. number)) or 0
    local missing = position and offset_of(last) - offset_of(position) - known or 0
    if missing > 0 then
      redis.call('HINCRBY', own, 'done', missing)
      redis.call('HINCRBY', own, 'lost', missing)
    end
    if position then redis.call('HSET', own, 'pos:' .. number, last) end
    redis.call('HDEL', own, 'gone:' .. number)
    redis.call('ZREM', prefix .. 'ready', subscription .. ':' .. number)
  end
end

for number = 0, tonumber(ARGV[5]) - 1 do
  local stream, field = base .. ':' .. number .. ':s', 'last:' .. number
  local last = redis.call('HGET', meta, field)
  if redis.call('EXISTS', stream) == 0 then
    redis.call('XGROUP', 'CREATE', stream, 'prepare', '$', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', stream, 'prepare')
    created = created + 1
    if last then write_off(number, last) end
  else
    local generated = last_generated(stream)
    if offset_of(generated) > offset_of(last) then
      redis.call('HINCRBY', meta, 'total', offset_of(generated) - offset_of(last))
      redis.call('HSET', meta, field, generated)
    end
  end
end

redis.call('HSET', meta, 'kind', ARGV[2], 'tenant', ARGV[3], 'name', ARGV[4], 'partitions', ARGV[5],
  'min_generation', ARGV[6], 'state', ARGV[7], 'max_backlog', ARGV[8], 'retention_ms', ARGV[9])
redis.call('HDEL', meta, 'low')
if ARGV[10] == 'closed' then
  redis.call('HSET', meta, 'closing', string.format('%.0f', now))
else
  redis.call('HDEL', meta, 'closing')
end
redis.call('HSET', prefix .. 'index', uid, ARGV[2])
keep_delay(uid)
return created
