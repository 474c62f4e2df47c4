#!lua
-- Looks at the groups of a partition, all at one moment. Changes nothing.
-- KEYS: 1 the bucket's epoch key. ARGV: 1 topic uid · 2 partition.
-- Returns an element per group: {name, last delivered id, position of its subscription ("" for none), pending entries,
--   1 when a subscription of this topic claims it else 0, entries that it has not handled and that are gone}; none when
--   there is no stream.
-- include: bucket
-- include: lane
-- include: gaps

local topic, number = ARGV[1], ARGV[2]
local stream = prefix .. topic .. ':' .. number .. ':s'
local found = {}
if redis.call('EXISTS', stream) == 0 then return found end
local last = redis.call('HGET', prefix .. topic .. ':meta', 'last:' .. number) or '0-0'
for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local info = {}
  for i = 1, #group, 2 do info[group[i]] = group[i + 1] end
  local lane = open_lane(info['name'], number)
  local is_claimed = lane ~= nil and lane.topic == prefix .. topic
  local position = is_claimed and redis.call('HGET', lane.meta, 'pos:' .. number) or ''
  local missing = 0
  if position ~= '' then missing = count_missing(lane, last) + #retries_without_body(lane) end
  found[#found + 1] = {
    info['name'], info['last-delivered-id'], position, info['pending'], is_claimed and 1 or 0, missing,
  }
end
return found
