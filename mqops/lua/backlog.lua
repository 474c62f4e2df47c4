-- How much a topic's own subscriptions have unfinished, against its limit. Needs bucket and append.

-- The least that any subscription of the topic's own tenant has finished, and which one that is.
local function lowest(topic)
  local least, holder
  local groups = redis.call('HGETALL', topic.base .. ':groups')
  for i = 1, #groups, 2 do
    if groups[i + 1] == 'own' then
      local meta = redis.call('HMGET', prefix .. groups[i] .. ':meta', 'base', 'done')
      local finished = (tonumber(meta[1]) or 0) + (tonumber(meta[2]) or 0)
      if not least or finished < least then least, holder = finished, groups[i] end
    end
  end
  return least, holder
end

-- The subscription that holds up publishing to a topic with a limit, or nil while there is room. `low` may lag behind, never run ahead.
local function held_up_by(topic)
  local wanted = topic.total + topic.added + 1 - topic.max_backlog
  if topic.low and wanted <= topic.low then return nil end
  if not topic.counted then
    topic.counted, topic.low, topic.holder = true, lowest(topic)
    topic.low = topic.low or math.huge  -- without a subscription of its own, retention alone limits
    redis.call('HSET', topic.base .. ':meta', 'low', topic.low)
  end
  return wanted > topic.low and topic.holder or nil
end
