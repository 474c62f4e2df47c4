#!lua
-- Makes a subscription as it should be: its consumer groups and its meta. A group that is gone comes back where it
-- left off, one that was moved is set back there; leases and retries are kept. Messages that somebody removed are
-- written off as lost. Safe to repeat. Its topic must have been prepared.
-- KEYS: 1 the bucket's epoch key (of the topic's tenant).
-- ARGV: 1 uid · 2 tenant · 3 name · 4 topic uid · 5 "1" when the topic is of the same tenant · 6 attempts at most ·
--   7 key base of the dead-letter topic ("" for none) · 8 state · 9 start from: latest or earliest ·
--   10 "closed" when it is to stay closed until it is prepared again without this.
-- Returns the number of groups it had to create, or -1 when the topic is not prepared.
-- include: bucket
-- include: lane
-- include: gaps

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

-- Where a group begins that reads everything: before the first entry that there is. What was trimmed before it came is
-- not missing to it.
local function before_first(stream, last)
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if not first then return last end
  local offset = offset_of(first[1]) - 1
  return offset == 0 and '0-0' or string.match(first[1], '^%d+') .. '-' .. text(offset)
end

-- Sets the group where it has to stand: where the meta remembers, never beyond what the stream has generated.
local function place_group(number, last)
  local stream = topic .. ':' .. number .. ':s'
  local known = redis.call('HGET', meta, 'pos:' .. number)
  local delivered = delivered_by_group(stream)
  local position = known or delivered or (ARGV[9] == 'earliest' and before_first(stream, last) or last)
  if offset_of(position) > offset_of(last) then position = last end
  if not delivered then
    redis.call('XGROUP', 'CREATE', stream, uid, position)
    created = created + 1
  elseif delivered ~= position then
    redis.call('XGROUP', 'SETID', stream, uid, position)
  end
  if known ~= position then redis.call('HSET', meta, 'pos:' .. number, position) end
end

-- What is missing when a subscription begins is nothing that it lost.
local function begin(lane, last)
  local present = count_after(lane.stream, lane.position)
  local gap = offset_of(last) - offset_of(lane.position) - present
  if gap > 0 then redis.call('HSET', meta, 'gone:' .. lane.partition, gap) end
  unread = unread + present + redis.call('HLEN', lane.flight)
end

-- What somebody has removed before it was handled counts as done, and as lost.
local function settle(lane, last)
  local missing = count_missing(lane, last)
  if missing > 0 then
    write_off(lane, missing)
    redis.call('HINCRBY', meta, 'gone:' .. lane.partition, missing)
    if count_after(lane.stream, lane.position) == 0 then pass_over(lane, last, 0) end
  end
  for _, id in ipairs(retries_without_body(lane)) do
    forget(lane, id)
    write_off(lane, 1)
  end
end

local is_new = redis.call('HEXISTS', meta, 'base') == 0
redis.call('HSET', meta, 'kind', 'Subscription', 'tenant', ARGV[2], 'name', ARGV[3], 'topic', ARGV[4],
  'own', ARGV[5], 'max_attempts', ARGV[6], 'dead', ARGV[7], 'state', ARGV[8])
if ARGV[10] == 'closed' then
  redis.call('HSET', meta, 'closing', text(now))
else
  redis.call('HDEL', meta, 'closing')
end
redis.call('HSETNX', meta, 'done', 0)
for number = 0, partitions - 1 do
  local last = redis.call('HGET', topic .. ':meta', 'last:' .. number) or '0-0'
  place_group(number, last)
  local lane = open_lane(uid, text(number))
  if is_new then begin(lane, last) else settle(lane, last) end
end

redis.call('HSETNX', meta, 'base', (tonumber(redis.call('HGET', topic .. ':meta', 'total')) or 0) - unread)
-- Tokens start at the clock: should the counter ever be lost, no token is given twice.
redis.call('HSETNX', meta, 'token', text(now))
redis.call('HSET', topic .. ':groups', uid, ARGV[5] == '1' and 'own' or 'foreign')
redis.call('HDEL', topic .. ':meta', 'low')
redis.call('HSET', prefix .. 'index', uid, 'Subscription')
for number = 0, partitions - 1 do keep_lane(open_lane(uid, text(number))) end
return created
