-- Appending to partitions of topics: the counters, and waking the readers that had run dry. `write_back` must be the
-- last thing that a script does after it appended.
local topics, partitions, rung = {}, {}, {}

local function remember_partition(topic, number, last, armed)
  local key = topic.base .. ':' .. number
  local ms, offset = string.match(last or '0-0', '^(%d+)-(%d+)$')
  partitions[key] = {
    topic = topic, number = number, key = key, stream = key .. ':s',
    ms = tonumber(ms), offset = tonumber(offset), armed = armed, added = 0,
  }
  return partitions[key]
end

-- The topic whose keys begin with `base`, or nil when it is not prepared here. Its partition `number`, which will be
-- wanted, is read along.
local function open_topic(base, number)
  local topic = topics[base]
  if topic == nil then
    local meta = redis.call('HMGET', base .. ':meta', 'partitions', 'state', 'closing', 'min_generation', 'max_backlog',
      'total', 'low', 'largest', 'last:' .. number, 'armed:' .. number)
    topic = meta[1] and {
      base = base, partitions = tonumber(meta[1]), state = meta[2], closing = meta[3],
      min_generation = tonumber(meta[4]), max_backlog = tonumber(meta[5]), total = tonumber(meta[6]) or 0,
      low = tonumber(meta[7]), largest = tonumber(meta[8]) or 0, added = 0,
    } or false
    topics[base] = topic
    if topic then remember_partition(topic, number, meta[9], meta[10]) end
  end
  return topic or nil
end

local function open_partition(topic, number)
  local partition = partitions[topic.base .. ':' .. number]
  if partition then return partition end
  local meta = redis.call('HMGET', topic.base .. ':meta', 'last:' .. number, 'armed:' .. number)
  return remember_partition(topic, number, meta[1], meta[2])
end

-- Appends an entry of `size` bytes; answers its id, or nil and why: the stream is gone, or holds ids beyond our
-- counters.
local function append(partition, size, ...)
  local ms, offset = math.max(partition.ms, now), partition.offset + 1
  local id = string.format('%d-%d', ms, offset)
  local stored = redis.pcall('XADD', partition.stream, 'NOMKSTREAM', id, ...)
  if not stored then return nil, 'the stream is gone' end
  if type(stored) == 'table' then return nil, stored.err end
  partition.ms, partition.offset, partition.added = ms, offset, partition.added + 1
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

local function wake_readers(partition)
  local bucket_prefix = string.match(partition.key, '^(.*:)[^:]+:%d+$')
  for _, subscription in ipairs(redis.call('SMEMBERS', partition.key .. ':armed')) do
    wake(bucket_prefix, subscription .. ':' .. partition.number)
  end
  redis.call('DEL', partition.key .. ':armed')
  redis.call('HDEL', partition.topic.base .. ':meta', 'armed:' .. partition.number)
end

local function write_back(bell)
  local changed = {}
  for _, partition in pairs(partitions) do
    if partition.added > 0 then
      local topic = partition.topic
      local fields = changed[topic]
      if not fields then
        fields = {'total', string.format('%d', topic.total + topic.added)}
        -- What a fetch goes by, so that it never reads more bodies than it may carry.
        if topic.grown then fields[3], fields[4] = 'largest', topic.largest end
        changed[topic] = fields
      end
      fields[#fields + 1] = 'last:' .. partition.number
      fields[#fields + 1] = string.format('%d-%d', partition.ms, partition.offset)
    end
  end
  for topic, fields in pairs(changed) do redis.call('HSET', topic.base .. ':meta', unpack(fields)) end
  for _, partition in pairs(partitions) do
    if partition.added > 0 and partition.armed then wake_readers(partition) end
  end
  ring(bell)
end
