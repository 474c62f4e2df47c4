-- Dead-lettering an entry of a lane, in one step: into the dead-letter topic, out of the lane. Needs bucket, append
-- and lane. Answers false when the dead-letter topic cannot take it; then nothing has changed.
local function dead_letter(lane, id, attempts, dead_id, reason, detail)
  local entry = redis.call('XRANGE', lane.stream, id, id)[1]
  local counter = 'lost'
  if entry and lane.dead == '' then
    counter = 'dropped'  -- a reader of a dead-letter topic: the dead letter itself stays where it is
  elseif entry then
    local topic = open_topic(lane.dead, 0)
    if not topic or topic.closing then return false end  -- a closed one is about to go with all it holds
    local field = {}
    for i = 1, #entry[2], 2 do field[entry[2][i]] = entry[2][i + 1] end
    local ms, offset = string.match(id, '^(%d+)-(%d+)$')
    local source = redis.call('HMGET', lane.topic .. ':meta', 'tenant', 'name')
    local record = cjson.encode({
      id = (string.gsub(field['i'], '.', function(c) return string.format('%02x', string.byte(c)) end)),
      topic = (source[1] or '') .. '/' .. (source[2] or ''), partition = tonumber(lane.partition),
      offset = tonumber(offset), timestamp = tonumber(ms), subscription = lane.label,
      reason = reason, detail = detail, attempts = attempts, failedAt = now,
    })
    local partition = open_partition(topic, tonumber(lane.partition) % topic.partitions)
    local size = #field['k'] + #field['e'] + #field['d'] + #record
    if not append(partition, size, 'i', dead_id, 'k', field['k'], 'e', field['e'], 'd', field['d'], 'x', record) then
      return false
    end
    counter = 'dead_lettered'
  end
  forget(lane, id)
  redis.call('HINCRBY', lane.meta, 'done', 1)
  redis.call('HINCRBY', lane.meta, counter, 1)
  return true
end
