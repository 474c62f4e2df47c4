#!lua flags=allow-oom
-- Settles entries of a lane as done, where the caller still holds them.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 subscription uid · 2 partition · then two per entry: id, token.
-- Returns an element per entry: 1 settled, 0 lost (the token is not the current one; nothing changed).
-- include: bucket
-- include: lane

local lane = open_lane(ARGV[1], ARGV[2])
local results, done, ids = {}, 0, {}
for at = 3, #ARGV, 2 do ids[#ids + 1] = ARGV[at] end
if not lane then
  for i = 1, #ids do results[i] = 0 end
  return results
end
local records, settled = redis.call('HMGET', lane.flight, unpack(ids)), {}
for i, id in ipairs(ids) do
  local record = read_record(records[i])
  if record and record.token == ARGV[2 + 2 * i] and record.token ~= '0' and not settled[id] then
    settled[id] = true
    done = done + 1
    settled[done] = id
    results[i] = 1
  else
    results[i] = 0
  end
end
if done > 0 then
  local gone = {unpack(settled, 1, done)}
  redis.call('ZREM', lane.lease, unpack(gone))
  redis.call('ZREM', lane.retry, unpack(gone))
  redis.call('HDEL', lane.flight, unpack(gone))
  redis.call('HDEL', lane.carried, unpack(gone))
  redis.pcall('XACK', lane.stream, lane.subscription, unpack(gone))
  redis.call('HINCRBY', lane.meta, 'done', done)
  keep_lane(lane)
end
return results
