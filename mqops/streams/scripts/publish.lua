#!lua
-- Stores messages of one bucket, each with an outcome of its own.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 bell channel · then for each run of messages to one partition: topic uid, generation known to the publisher,
--   partition, number of messages · and for each of these: id, key, envelope, payload, idempotency token (empty: none),
--   and after a token a digest of the content, and how long the token holds (ms).
-- Returns an element per message: its entry id "<ms>-<offset>"; or "=<id> <partition> <entry id>" for a repeated
--   idempotency token; or "!<REASON> <detail>" when it is not stored. {"!FLUSHED"} alone: this server lost its data.
-- include: bucket
-- include: append

if redis.call('EXISTS', KEYS[1]) == 0 then return {'!FLUSHED'} end
local bell = ARGV[1]

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

local function repeated(base, token, digest)
  local first = redis.call('GET', base .. ':dedup:' .. token)
  if not first then return nil end
  if string.sub(first, 1, #digest) == digest then return '=' .. string.sub(first, #digest + 1) end
  return '!CONFLICT the idempotency key was used with another message'
end

-- Why nothing that is sent to a partition of the topic can be stored, or nil.
local function refusal(topic, generation, number)
  if not topic or topic.closing then return '!GONE' end
  if generation < topic.min_generation then return '!STALE' end
  if topic.state ~= 'active' then return '!PAUSED ' .. topic.state end
  if number >= topic.partitions then return '!STALE' end
end

local function store(partition, at)
  local topic, id, payload, token = partition.topic, ARGV[at], ARGV[at + 3], ARGV[at + 4]
  if token ~= '' then
    local earlier = repeated(topic.base, token, ARGV[at + 5])
    if earlier then return earlier end
  end
  local holder = topic.max_backlog and held_up_by(topic)
  if holder then return '!BACKLOG ' .. holder end
  local key, envelope = ARGV[at + 1], ARGV[at + 2]
  local entry, problem = append(partition, #key + #envelope + #payload, 'i', id, 'k', key, 'e', envelope, 'd', payload)
  if not entry then return '!DAMAGED ' .. problem end
  if token ~= '' then
    redis.call('SET', topic.base .. ':dedup:' .. token, ARGV[at + 5] .. id .. partition.number .. ' ' .. entry,
      'PX', ARGV[at + 6])
  end
  return entry
end

local outcomes, count, at, past = {}, 0, 2, #ARGV + 1
while at < past do
  local number, last = ARGV[at + 2], count + ARGV[at + 3]
  local topic = open_topic(prefix .. ARGV[at], number)
  local refused = refusal(topic, tonumber(ARGV[at + 1]), tonumber(number))
  local partition = not refused and open_partition(topic, number)
  at = at + 4
  while count < last do
    count = count + 1
    outcomes[count] = refused or store(partition, at)
    at = at + (ARGV[at + 4] == '' and 5 or 7)
  end
end
write_back(bell)
return outcomes
