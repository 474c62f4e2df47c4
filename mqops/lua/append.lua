-- Appending to partitions of topics: the counters, and waking the readers that had run dry. `write_back` must be the
-- last thing that a script does after it appended.
local topics, partitions, rung = {}, {}, {}

-- The topic whose keys begin with `base`, or nil when it is not prepared here.
local function open_topic(base)
  local topic = topics[base]
  if topic == nil then
    local meta = redis.call('HMGET', base .. ':meta',
      'partitions', 'state', 'closing', 'min_generation', 'max_backlog', 'total', 'low', 'largest')
    topic = meta[1] and {
      base = base, partitions = tonumber(meta[1]), state = meta[2], closing = meta[3],
      min_generation = tonumber(meta[4]), max_backlog = tonumber(meta[5]), total = tonumber(meta[6]) or 0,
      low = tonumber(meta[7]), largest = tonumber(meta[8]) or 0, added = 0,
    } or false
    topics[base] = topic
  end
  return topic or nil
end

local function open_partition(topic, number)
  local key = topic.base .. ':' .. number
  local partition = partitions[key]
  if not partition then
    local meta = redis.call('HMGET', topic.base .. ':meta', 'last:' .. number, 'armed:' .. number)
    local ms, offset = string.match(meta[1] or '0-0', '^(%d+)-(%d+)$')
    partition = {
      topic = topic, number = number, key = key, stream = key .. ':s',
      ms = tonumber(ms), offset = tonumber(offset), armed = meta[2], added = 0,
    }
    partitions[key] = partition
  end
  return partition
end

-- Appends an entry of `size` bytes; answers its id, or nil and why: the stream is gone, or holds ids beyond our
-- counters.
local function append(partition, size, ...)
  local ms = math.max(partition.ms, now)
  local id = string.format('%.0f-%.0f', ms, partition.offset + 1)
  local stored = redis.pcall('XADD', partition.stream, 'NOMKSTREAM', id, ...)
  if not stored then return nil, 'the stream is gone' end
  if type(stored) == 'table' then return nil, stored.err end
  partition.ms, partition.offset, partition.added = ms, partition.offset + 1, partition.added + 1
  local topic = partition.topic
  topic.added = topic.added + 1
  if size > topic.largest then topic.largest, topic.grown = size, true end
  return id
end

-- Puts a lane where workers look for work, and remembers to ring for it.
local function wake(bucket_prefix, lane)
  redis.call('ZADD', bucket_prefix .. 'ready', 'NX', now, lane)
  local rings = rung[bucket_prefix]
  if rings then rings[#rings + 1] = lane else rung[bucket_prefix] = {lane} end
end

local function ring(bell)
  for bucket_prefix, lanes in pairs(rung) do
    redis.call('PUBLISH', bell, string.match(bucket_prefix, '{b(%d+)}') .. ' ' .. table.concat(lanes, ' '))
  end
  rung = {}
end

local function write_back(bell)
  for _, topic in pairs(topics) do
    if topic and topic.added > 0 then
      redis.call('HINCRBY', topic.base .. ':meta', 'total', topic.added)
      -- What a fetch goes by, so that it never reads more bodies than it may carry.
      if topic.grown then redis.call('HSET', topic.base .. ':meta', 'largest', topic.largest) end
    end
  end
  for _, partition in pairs(partitions) do
    if partition.added > 0 then
      local meta = partition.topic.base .. ':meta'
      redis.call('HSET', meta, 'last:' .. partition.number,
        string.format('%.0f-%.0f', partition.ms, partition.offset))
      if partition.armed then
        local bucket_prefix = string.match(partition.key, '^(.*:)[^:]+:%d+$')
        for _, subscription in ipairs(redis.call('SMEMBERS', partition.key .. ':armed')) do
          wake(bucket_prefix, subscription .. ':' .. partition.number)
        end
        redis.call('DEL', partition.key .. ':armed')
        redis.call('HDEL', meta, 'armed:' .. partition.number)
      end
    end
  end
  ring(bell)
end
