#!lua
-- Makes a subscription as it should be: its consumer groups and its meta. A group that is gone comes back where it
-- left off; leases and retries are kept. Safe to repeat. Its topic must have been prepared.
-- KEYS: 1 the bucket's epoch key (of the topic's tenant).
-- ARGV: 1 uid · 2 tenant · 3 name · 4 topic uid · 5 "1" when the topic is of the same tenant · 6 attempts at most ·
--   7 key base of the dead-letter topic ("" for none) · 8 state · 9 start from: latest or earliest ·
--   10 "closed" when it is to stay closed until it is prepared again without this.
-- Returns the number of groups it had to create, or -1 when the topic is not prepared.
-- include: bucket
-- include: lane

local uid, topic, meta = ARGV[1], prefix .. ARGV[4], prefix .. ARGV[1] .. ':meta'
local partitions = tonumber(redis.call('HGET', topic .. ':meta', 'partitions'))
if not partitions then return -1 end
local created, unread = 0, 0

local function delivered_by_group(stream)
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local named, delivered = false, nil
    for i = 1, #group, 2 do
      if group[i] == 'name' then named = group[i + 1] == uid end
      if group[i] == 'last-delivered-id' then delivered = group[i + 1] end
    end
    if named then return delivered end
  end
end

-- Entries after `position` that the stream still has, by their offsets.
local function count_unread(stream, position, last)
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if not first then return 0 end
  return offset_of(last) - math.max(offset_of(position), offset_of(first[1]) - 1)
end

-- Where the group has to stand: what the meta remembers, never beyond what the stream has generated.
local function position_of(number, stream, last)
  local known = redis.call('HGET', meta, 'pos:' .. number)
  local delivered = delivered_by_group(stream)
  local position = known or delivered or (ARGV[9] == 'earliest' and '0-0' or last)
  if offset_of(position) > offset_of(last) then position = last end
  if not delivered then
    redis.call('XGROUP', 'CREATE', stream, uid, position)
    created = created + 1
  end
  if known ~= position then redis.call('HSET', meta, 'pos:' .. number, position) end
  return position
end

for number = 0, partitions - 1 do
  local stream = topic .. ':' .. number .. ':s'
  local last = redis.call('HGET', topic .. ':meta', 'last:' .. number) or '0-0'
  local position = position_of(number, stream, last)
  unread = unread + count_unread(stream, position, last) +
    redis.call('HLEN', prefix .. uid .. ':' .. number .. ':flight')
end

redis.call('HSETNX', meta, 'base', (tonumber(redis.call('HGET', topic .. ':meta', 'total')) or 0) - unread)
redis.call('HSETNX', meta, 'done', 0)
-- Tokens start at the clock: should the counter ever be lost, no token is given twice.
redis.call('HSETNX', meta, 'token', text(now))
redis.call('HSET', meta, 'kind', 'Subscription', 'tenant', ARGV[2], 'name', ARGV[3], 'topic', ARGV[4],
  'own', ARGV[5], 'max_attempts', ARGV[6], 'dead', ARGV[7], 'state', ARGV[8])
if ARGV[10] == 'closed' then
  redis.call('HSET', meta, 'closing', text(now))
else
  redis.call('HDEL', meta, 'closing')
end
redis.call('HSET', topic .. ':groups', uid, ARGV[5] == '1' and 'own' or 'foreign')
redis.call('HDEL', topic .. ':meta', 'low')
redis.call('HSET', prefix .. 'index', uid, 'Subscription')
for number = 0, partitions - 1 do keep_lane(open_lane(uid, text(number))) end
return created
