-- Entries that a lane has not read and that its stream has no more, since somebody trimmed or deleted them. Offsets are
-- dense, so what is missing is a subtraction. `gone:<p>` in the subscription's meta is how many of them have been
-- written off before they were come to. Needs bucket and lane.

-- How many entries of the stream come after `position`.
local function count_after(stream, position)
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if not first then return 0 end
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  local from, to = offset_of(first[1]), offset_of(newest[1])
  if redis.call('XLEN', stream) == to - from + 1 then
    return math.max(0, to - math.max(offset_of(position), from - 1))
  end
  local count, cursor = 0, position
  while true do  -- there are holes: nothing but counting tells how many are after the position
    local entries = redis.call('XRANGE', stream, '(' .. cursor, '+', 'COUNT', 500)
    count = count + #entries
    if #entries < 500 then return count end
    cursor = entries[#entries][1]
  end
end

local function written_off(lane)
  return tonumber(redis.call('HGET', lane.meta, 'gone:' .. lane.partition)) or 0
end

-- How many entries that the lane has not read are missing, and not written off.
local function count_missing(lane, last)
  local unread = offset_of(last) - offset_of(lane.position)
  if unread <= 0 then return 0 end
  return math.max(0, unread - count_after(lane.stream, lane.position) - written_off(lane))
end

-- Entries that wait to be tried again and have no body any more.
local function retries_without_body(lane)
  local found = {}
  for _, id in ipairs(redis.call('ZRANGE', lane.retry, 0, -1)) do
    if not fields_of(lane, id) then found[#found + 1] = id end
  end
  return found
end

local function write_off(lane, count)
  redis.call('HINCRBY', lane.meta, 'done', count)
  redis.call('HINCRBY', lane.meta, 'lost', count)
end

-- Whether the group stood elsewhere than the lane: it has given what the lane has read before, or passed over what the
-- lane has not read and the stream still has.
local function was_moved(lane, entries)
  local first = entries[1] and entries[1][1]
  if first and offset_of(first) <= offset_of(lane.position) then return true end
  local to = first and '(' .. first or '+'
  return redis.call('XRANGE', lane.stream, '(' .. lane.position, to, 'COUNT', 1)[1] ~= nil
end

-- Moves the lane and its group to where nothing is left to read before `reached` but `count` entries that were read.
-- What is missing there is lost, unless it was written off before.
local function pass_over(lane, reached, count)
  local missing = offset_of(reached) - offset_of(lane.position) - count
  local known = math.min(missing, written_off(lane))
  if known > 0 then redis.call('HINCRBY', lane.meta, 'gone:' .. lane.partition, -known) end
  if missing > known then write_off(lane, missing - known) end
  lane.position = reached
  redis.call('XGROUP', 'SETID', lane.stream, lane.subscription, reached)
  redis.call('HSET', lane.meta, 'pos:' .. lane.partition, reached)
end

-- Gives back what was read and is in nobody's hands.
local function give_back(lane, entries)
  for _, entry in ipairs(entries) do
    if redis.call('HEXISTS', lane.flight, entry[1]) == 0 then
      redis.call('XACK', lane.stream, lane.subscription, entry[1])
    end
  end
end

-- Removes entries that no publish has made: somebody added them by hand, and what their ids say of offsets is nothing.
-- Answers whether there were any; then nothing has been read.
local function remove_strangers(lane, entries)
  local found = {}
  for _, entry in ipairs(entries) do
    if entry[2][1] ~= 'i' then found[#found + 1] = entry[1] end
  end
  if #found == 0 then return false end
  give_back(lane, entries)
  redis.call('XDEL', lane.stream, unpack(found))
  redis.call('XGROUP', 'SETID', lane.stream, lane.subscription, lane.position)
  return true
end

-- Reads what comes next in the lane, for `consumer`, and moves the lane's position along. Answers the entries; or nil
-- when no group stands where the lane does, as it is gone or was moved: then nothing has been read.
local function read_next(lane, consumer, count)
  local read = redis.pcall('XREADGROUP', 'GROUP', lane.subscription, consumer, 'COUNT', count,
    'STREAMS', lane.stream, '>')
  if read and read.err then return nil end
  local entries = read and read[1] and read[1][2] or {}
  -- Fewer than asked for: the stream has no more.
  local reached = #entries < count and redis.call('HGET', lane.topic .. ':meta', 'last:' .. lane.partition)
    or entries[#entries] and entries[#entries][1] or lane.position
  if not lane.is_placed or offset_of(reached) == offset_of(lane.position) + #entries then
    if #entries > 0 then lane.position = entries[#entries][1] end
  elseif remove_strangers(lane, entries) then
    return read_next(lane, consumer, count)
  elseif was_moved(lane, entries) then
    give_back(lane, entries)
    return nil
  else
    pass_over(lane, reached, #entries)
  end
  return entries
end
