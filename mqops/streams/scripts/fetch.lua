#!lua flags=allow-oom
-- Hands out entries of a lane: retries that are due, then new ones; each leased under a new token. What has expired is
-- dead-lettered in place of that.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 subscription uid · 2 partition · 3 consumer · 4 how many (at most 100) · 5 lease (ms) · 6 bytes at most ·
--   7 bell channel.
-- Returns {status, more, entry…}: status OK, GONE (no such subscription or stream, or no
--   group where the lane stands: ring the reconciler) or
--   CLOSED; more 1 when the lane has work left, 2 when it has and some had expired; an entry is {id, token, attempt, fields}.
-- include: bucket
-- include: append
-- include: lane
-- include: gaps
-- include: dead

local EXPIRED_AT_ONCE = 100  -- dead-lettered by a call, or a few more: it must not take long
local POSTPONED_MS = 5000  -- when the dead-letter topic cannot take an entry

local lane = open_lane(ARGV[1], ARGV[2])
if not lane then return {'GONE', 0} end
if lane.closing then return {'CLOSED', 0} end
local consumer, wanted, deadline, room = ARGV[3], tonumber(ARGV[4]), now + tonumber(ARGV[5]), tonumber(ARGV[6])
local taken, bytes = {'OK', 0}, 0
local leases, records = {}, {}
local expired, is_gone, position = 0, false, lane.position

local function size_of(fields)
  local size = 0
  for i = 2, #fields, 2 do size = size + #fields[i] end
  return size
end

local function has_expired(fields)
  return fields[9] == 't' and tonumber(fields[10]) <= now
end

-- An id (a UUIDv7, but for time and place) for the dead letter, another one for each entry and reader.
local function letter_id(id)
  local digest = redis.sha1hex(lane.subscription .. ' ' .. lane.partition .. ' ' .. id)
  local bytes = {}
  for i = 1, 16 do bytes[i] = tonumber(string.sub(digest, 2 * i - 1, 2 * i), 16) end
  bytes[7] = 112 + bytes[7] % 16
  return string.char(unpack(bytes))
end

local function expire(id, attempts, losses)
  expired = expired + 1
  if not dead_letter(lane, id, attempts, letter_id(id), 'expired', 'its time to live ended before it was handed out') then
    park(lane, id, now + POSTPONED_MS, write_record('0', attempts, losses, '-'))
  end
end

local function hand_out(id, fields, attempt, losses)
  if has_expired(fields) then return expire(id, attempt - 1, losses) end
  local token = text(redis.call('HINCRBY', lane.meta, 'token', 1))
  leases[#leases + 1], leases[#leases + 2] = text(deadline), id
  records[#records + 1], records[#records + 2] = id, write_record(token, attempt, losses, consumer)
  taken[#taken + 1] = {id, token, attempt, fields}
  bytes = bytes + size_of(fields)
end

-- The body comes back from the stream, unless it is carried; an entry that is no longer there is counted as lost, not
-- waited for.
local function hand_out_again(id)
  local fields = carried_by(lane, id)
  if not fields then
    local claimed = redis.pcall('XCLAIM', lane.stream, lane.subscription, consumer, 0, id, 'FORCE')
    if claimed.err then return false end
    fields = claimed[1] and claimed[1][2]
  end
  local record = read_record(redis.call('HGET', lane.flight, id))
  redis.call('ZREM', lane.retry, id)
  if fields then
    hand_out(id, fields, record and record.attempt + 1 or 1, record and record.losses or 0)
  else
    forget(lane, id)
    redis.call('HINCRBY', lane.meta, 'done', 1)
    redis.call('HINCRBY', lane.meta, 'lost', 1)
  end
  return true
end

local function has_room()
  return #taken - 2 < wanted and bytes < room and expired < EXPIRED_AT_ONCE and not is_gone
end

while has_room() do
  local due = redis.call('ZRANGEBYSCORE', lane.retry, '-inf', text(now), 'LIMIT', 0, wanted - (#taken - 2))
  for _, id in ipairs(due) do
    if not has_room() then break end
    is_gone = not hand_out_again(id)
  end
  if #due == 0 then break end
end

-- New entries, no more at a time than fit if each were as large as the topic's largest.
local largest = tonumber(redis.call('HGET', lane.topic .. ':meta', 'largest')) or 0
while has_room() do
  local count = math.min(wanted - (#taken - 2), math.max(1, math.floor((room - bytes) / math.max(1, largest))))
  local entries = read_next(lane, consumer, count)
  is_gone = not entries
  for _, entry in ipairs(entries or {}) do hand_out(entry[1], entry[2], 1, 0) end
  if not entries or #entries < count then break end
end

if #taken > 2 then
  redis.call('ZADD', lane.lease, unpack(leases))
  redis.call('HSET', lane.flight, unpack(records))
  redis.call('SADD', prefix .. 'held:' .. consumer, lane.name)
elseif is_gone and expired == 0 then
  return {'GONE', 0}
end
if lane.position ~= position then redis.call('HSET', lane.meta, 'pos:' .. lane.partition, lane.position) end
if keep_lane(lane) then taken[2] = expired > 0 and 2 or 1 end
write_back(ARGV[7])
return taken
