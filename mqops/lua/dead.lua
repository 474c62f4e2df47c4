-- Dead-lettering an entry of a lane, in one step: into the dead-letter topic, out of the lane. Needs bucket, append
-- and lane. Answers false when the dead-letter topic cannot take it; then nothing has changed.

-- `id` (a UUIDv7) as the id of an entry stored at `ms` in partition `number`: it is found again by that.
local function placed_id(id, ms, number)
  local bytes = {string.byte(id, 1, 16)}
  for i = 6, 1, -1 do
    bytes[i] = ms % 256
    ms = math.floor(ms / 256)
  end
  bytes[9] = 128 + math.floor(number / 16)
  bytes[10] = number % 16 * 16 + bytes[10] % 16
  return string.char(unpack(bytes))
end

local function hex(id)
  return (string.gsub(id, '.', function(c) return string.format('%02x', string.byte(c)) end))
end

-- What a dead letter says of its message. One that failed again after a redrive keeps saying where it came from first.
local function describe(lane, id, field)
  if field['o'] then
    local origin = cjson.decode(field['o'])
    origin.redrives = (origin.redrives or 0) + 1
    return origin
  end
  local ms, offset = string.match(id, '^(%d+)-(%d+)$')
  local source = redis.call('HMGET', lane.topic .. ':meta', 'tenant', 'name')
  return {
    id = hex(field['i']), topic = (source[1] or '') .. '/' .. (source[2] or ''),
    topicId = string.match(lane.topic, '[^:]+$'), partition = tonumber(lane.partition),
    offset = tonumber(offset), timestamp = tonumber(ms), redrives = 0,
  }
end

local function dead_letter(lane, id, attempts, dead_id, reason, detail)
  local fields = fields_of(lane, id)
  local counter = 'lost'
  if fields and lane.dead == '' then
    counter = 'dropped'  -- a reader of a dead-letter topic: the dead letter itself stays where it is
  elseif fields then
    local topic = open_topic(lane.dead, 0)
    if not topic or topic.closing then return false end  -- a closed one is about to go with all it holds
    local field = {}
    for i = 1, #fields, 2 do field[fields[i]] = fields[i + 1] end
    local letter = describe(lane, id, field)
    letter.subscription, letter.subscriptionId = lane.label, lane.subscription
    letter.reason, letter.detail, letter.attempts, letter.failedAt = reason, detail, attempts, now
    local record = cjson.encode(letter)
    local number = tonumber(lane.partition) % topic.partitions
    local partition = open_partition(topic, number)
    local size = #field['k'] + #field['e'] + #field['d'] + #record
    local own_id = placed_id(dead_id, math.max(partition.ms, now), number)
    if not append(partition, size, 'i', own_id, 'k', field['k'], 'e', field['e'], 'd', field['d'], 'x', record) then
      return false
    end
    counter = 'dead_lettered'
  end
  forget(lane, id)
  redis.call('HINCRBY', lane.meta, 'done', 1)
  redis.call('HINCRBY', lane.meta, counter, 1)
  return true
end
