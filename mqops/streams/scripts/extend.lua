#!lua flags=allow-oom
-- Sets anew until when entries of a lane are leased, where the caller still holds them; their tokens stay. One whose
-- lease has run out is the caller's again, as long as nobody else was handed it.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 subscription uid · 2 partition · 3 consumer · 4 lease from now on (ms) · then two per entry: id, token.
-- Returns an element per entry: 1 extended, 0 lost (the token is not the current one; nothing changed).
-- include: bucket
-- include: lane

local lane = open_lane(ARGV[1], ARGV[2])
local consumer, deadline = ARGV[3], now + tonumber(ARGV[4])
local results, is_changed = {}, false

local function hold_again(id, record)
  redis.call('ZREM', lane.retry, id)
  redis.call('HSET', lane.flight, id, write_record(record.token, record.attempt, record.losses, consumer))
  redis.call('SADD', prefix .. 'held:' .. consumer, lane.name)
  redis.pcall('XCLAIM', lane.stream, lane.subscription, consumer, 0, id, 'JUSTID')
end

for at = 5, #ARGV, 2 do
  local id = ARGV[at]
  local record = lane and read_record(redis.call('HGET', lane.flight, id))
  if record and record.token == ARGV[at + 1] and record.token ~= '0' then
    if not redis.call('ZSCORE', lane.lease, id) then hold_again(id, record) end
    redis.call('ZADD', lane.lease, text(deadline), id)
    is_changed = true
    results[#results + 1] = 1
  else
    results[#results + 1] = 0
  end
end
if is_changed then keep_lane(lane) end
return results
