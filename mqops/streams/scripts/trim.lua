#!lua flags=allow-oom
-- Ends what outlived its topic's retention in a partition: unfinished entries are dead-lettered as expired (never
-- under a live lease), then the stream is trimmed below everything that is still unfinished.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 bell channel · 2 topic uid · 3 partition · then ids for dead letters: as many entries as there are ids are
--   dead-lettered at most.
-- Returns {entries trimmed, entries expired}.
-- include: bucket
-- include: append
-- include: lane
-- include: gaps
-- include: dead

local base, number = prefix .. ARGV[2], ARGV[3]
local retention = tonumber(redis.call('HGET', base .. ':meta', 'retention_ms'))
if not retention then return {0, 0} end
local stream = base .. ':' .. number .. ':s'
local cut_ms = now - retention
local used, budget = 0, #ARGV - 3
local POSTPONED_MS = 5000  -- when the dead-letter topic cannot take an entry

local function is_before(a, b)
  local a_ms, b_ms = tonumber(string.match(a, '^%d+')), tonumber(string.match(b, '^%d+'))
  if a_ms ~= b_ms then return a_ms < b_ms end
  return offset_of(a) < offset_of(b)
end

local function expire(lane, id, attempts)
  used = used + 1
  return dead_letter(lane, id, attempts, ARGV[3 + used], 'expired', 'it outlived the retention of its topic unfinished')
end

-- Reads, on behalf of nobody, what the lane has not read and what is too old; a failed one waits as a retry.
local function expire_undelivered(lane)
  local old = redis.call('XRANGE', stream, '(' .. lane.position, '(' .. text(cut_ms) .. '-0', 'COUNT', budget - used)
  if #old == 0 then return end
  local entries = read_next(lane, PARKED, #old)
  if not entries then return end
  for _, entry in ipairs(entries) do
    local is_old = tonumber(string.match(entry[1], '^%d+')) < cut_ms
    if not (is_old and expire(lane, entry[1], 0)) then
      park(lane, entry[1], is_old and now + POSTPONED_MS or now, write_record('0', 0, 0, '-'))
    end
  end
  redis.call('HSET', lane.meta, 'pos:' .. number, lane.position)
end

-- The oldest entry of the lane that is unfinished; on the way, retries that are too old are ended.
local function oldest_unfinished(lane)
  local oldest = string.gsub(lane.position, '%d+$', function(offset) return text(tonumber(offset) + 1) end)
  for _, id in ipairs(redis.call('HKEYS', lane.flight)) do
    local is_old = tonumber(string.match(id, '^%d+')) < cut_ms
    local ended = false
    if is_old and used < budget and not redis.call('ZSCORE', lane.lease, id) then
      local record = read_record(redis.call('HGET', lane.flight, id))
      ended = expire(lane, id, record.attempt)
    end
    if not ended and is_before(id, oldest) then oldest = id end
  end
  return oldest
end

local floor = text(math.max(0, cut_ms)) .. '-0'
for _, subscription in ipairs(redis.call('HKEYS', base .. ':groups')) do
  local lane = open_lane(subscription, number)
  if lane then
    if used < budget then expire_undelivered(lane) end
    local oldest = oldest_unfinished(lane)
    if is_before(oldest, floor) then floor = oldest end
    if keep_lane(lane) and used > 0 then wake(prefix, lane.name) end
  end
end
local trimmed = redis.call('XTRIM', stream, 'MINID', '~', floor)
write_back(ARGV[1])
return {trimmed, used}
