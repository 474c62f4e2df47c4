#!lua
-- Stores messages of one bucket, each with an outcome of its own.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 bell channel · 2 how long an idempotency token holds (ms) · then nine per message: topic uid, generation
--   known to the publisher, partition, id, key, envelope, payload, idempotency token, digest of the content.
-- Returns an element per message: its entry id "<ms>-<offset>"; or "=<id> <partition> <entry id>" for a repeated
--   idempotency token; or "!<REASON> <detail>" when it is not stored. {"!FLUSHED"} alone: this server lost its data.
-- include: bucket
-- include: append

if redis.call('EXISTS', KEYS[1]) == 0 then return {'!FLUSHED'} end
local bell, window = ARGV[1], ARGV[2]

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

-- The subscription that holds publishing up, or nil while there is room. `low` may lag behind, never run ahead.
local function held_up_by(topic)
  if not topic.max_backlog then return nil end
  local wanted = topic.total + topic.added + 1 - topic.max_backlog
  if topic.low and wanted <= topic.low then return nil end
  if not topic.counted then
    topic.counted, topic.low, topic.holder = true, lowest(topic)
    topic.low = topic.low or math.huge  -- without a subscription of its own, retention alone limits
    redis.call('HSET', topic.base .. ':meta', 'low', topic.low)
  end
  return wanted > topic.low and topic.holder or nil
end

local function repeated(base, token, digest)
  local first = redis.call('GET', base .. ':dedup:' .. token)
  if not first then return nil end
  if string.sub(first, 1, #digest) == digest then return '=' .. string.sub(first, #digest + 1) end
  return '!CONFLICT the idempotency key was used with another message'
end

local function store(at)
  local base, number, token = prefix .. ARGV[at], ARGV[at + 2], ARGV[at + 7]
  local topic = open_topic(base)
  if not topic or topic.closing then return '!GONE' end
  if tonumber(ARGV[at + 1]) < topic.min_generation then return '!STALE' end
  if topic.state ~= 'active' then return '!PAUSED ' .. topic.state end
  if tonumber(number) >= topic.partitions then return '!STALE' end
  if token ~= '' then
    local earlier = repeated(base, token, ARGV[at + 8])
    if earlier then return earlier end
  end
  local holder = held_up_by(topic)
  if holder then return '!BACKLOG ' .. holder end
  local key, envelope, payload = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  local id, problem = append(open_partition(topic, number), #key + #envelope + #payload,
    'i', ARGV[at + 3], 'k', key, 'e', envelope, 'd', payload)
  if not id then return '!DAMAGED ' .. problem end
  if token ~= '' then
    redis.call('SET', base .. ':dedup:' .. token, ARGV[at + 8] .. ARGV[at + 3] .. number .. ' ' .. id, 'PX', window)
  end
  return id
end

local outcomes = {}
for at = 3, #ARGV, 9 do outcomes[#outcomes + 1] = store(at) end
write_back(bell)
return outcomes
