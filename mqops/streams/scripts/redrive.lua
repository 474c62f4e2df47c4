#!lua
-- Puts dead letters back into a lane of the subscription that failed: each waits there, due at once, as if it had never
-- been tried, and carries its fields, since its stream may have trimmed them. Nobody else's backlog knows of it. A
-- letter that was put back before is not put back again, for as long as that is remembered.
-- KEYS: 1 the bucket's epoch key (of the topic that the subscription reads).
-- ARGV: 1 bell channel · 2 subscription uid · 3 partition · 4 how long it is remembered (ms) · then seven per letter: its
--   token, and of the message the offset to hand it out with (0: none of this lane), id, key, envelope, payload, and
--   the letter's record.
-- Returns an element per letter: 1 put back, 0 was put back before; {-1} alone: the lane cannot take anything.
-- include: bucket
-- include: append
-- include: lane

local lane = open_lane(ARGV[2], ARGV[3])
if not lane or lane.closing then return {-1} end
local partitions = tonumber(redis.call('HGET', lane.topic .. ':meta', 'partitions')) or 0
if tonumber(ARGV[3]) >= partitions then return {-1} end
local remembered = lane.base .. ':' .. lane.partition .. ':redriven'
redis.call('ZREMRANGEBYSCORE', remembered, '-inf', text(now))

-- An id that nothing in flight has. Its time is now, so retention counts from the redrive.
local function free_id(offset)
  local ms = now
  while redis.call('HEXISTS', lane.flight, text(ms) .. '-' .. offset) == 1 do ms = ms + 1 end
  return text(ms) .. '-' .. offset
end

local results, count = {}, 0
for at = 5, #ARGV, 7 do
  local letter = ARGV[at]
  if redis.call('ZSCORE', remembered, letter) then
    results[#results + 1] = 0
  else
    local id = free_id(ARGV[at + 1])
    redis.call('ZADD', lane.retry, text(now), id)
    redis.call('HSET', lane.flight, id, write_record('0', 0, 0, '-'))
    redis.call('HSET', lane.carried, id, cmsgpack.pack({'i', ARGV[at + 2], 'k', ARGV[at + 3], 'e', ARGV[at + 4],
      'd', ARGV[at + 5], 'o', ARGV[at + 6]}))
    redis.call('ZADD', remembered, text(now + tonumber(ARGV[4])), letter)
    results[#results + 1], count = 1, count + 1
  end
end
if count > 0 then
  redis.call('HINCRBY', lane.meta, 'done', -count)
  redis.call('HDEL', lane.topic .. ':meta', 'low')
  if keep_timer(lane) then wake(prefix, lane.name) end
end
write_back(ARGV[1])
return results
