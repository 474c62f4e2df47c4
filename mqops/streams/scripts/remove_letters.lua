#!lua flags=allow-oom
-- Removes dead letters from a partition, as redriven or discarded. Whoever reads the partition is done with them in the
-- same step: what it has not read is written off (not as lost), what it holds is nobody's any more.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 topic uid · 2 partition · 3 the counter that they go to: redriven or discarded · then their entry ids.
-- Returns an element per letter: 1 removed, 0 it was not there.
-- include: bucket
-- include: lane

local base = prefix .. ARGV[1]
local stream = base .. ':' .. ARGV[2] .. ':s'
local lanes = {}
for _, subscription in ipairs(redis.call('HKEYS', base .. ':groups')) do
  lanes[#lanes + 1] = open_lane(subscription, ARGV[2])
end

local function be_done_with(lane, id)
  if offset_of(id) > offset_of(lane.position) then
    redis.call('HINCRBY', lane.meta, 'gone:' .. lane.partition, 1)
  elseif redis.call('HEXISTS', lane.flight, id) == 1 then
    forget(lane, id)
  else
    return
  end
  redis.call('HINCRBY', lane.meta, 'done', 1)
end

local results, removed = {}, 0
for at = 4, #ARGV do
  local is_gone = redis.call('XDEL', stream, ARGV[at])
  results[#results + 1] = is_gone
  if is_gone == 1 then
    removed = removed + 1
    for _, lane in ipairs(lanes) do be_done_with(lane, ARGV[at]) end
  end
end
if removed > 0 then
  redis.call('HINCRBY', base .. ':meta', ARGV[3], removed)
  for _, lane in ipairs(lanes) do keep_lane(lane) end
end
return results
