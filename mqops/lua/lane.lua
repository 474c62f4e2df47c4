-- A lane is one partition as one subscription reads it. Its truth: `lease` (handed out), `retry` (to be tried again),
-- `flight` (a record for each of both) and the subscription's `pos:<p>` (read up to here). The group's pending list
-- mirrors lease and retry. `ready` and `due` of the bucket are kept from these by the functions below and nowhere else.
-- What was redriven is in no stream: it has an id that no stream gives, and its fields with it in `carried`.
local PARKED = 'waiting'  -- the consumer that owns, in the group, what nobody holds

local function open_lane(subscription, partition)
  local base = prefix .. subscription
  local meta = redis.call('HMGET', base .. ':meta',
    'topic', 'max_attempts', 'dead', 'closing', 'pos:' .. partition, 'tenant', 'name')
  if not meta[1] then return nil end
  local key = base .. ':' .. partition
  return {
    name = subscription .. ':' .. partition, subscription = subscription, partition = partition, base = base,
    topic = prefix .. meta[1], stream = prefix .. meta[1] .. ':' .. partition .. ':s', meta = base .. ':meta',
    max_attempts = tonumber(meta[2]), dead = meta[3], closing = meta[4], position = meta[5] or '0-0',
    is_placed = meta[5] ~= false,
    label = (meta[6] or '') .. '/' .. (meta[7] or ''),
    lease = key .. ':lease', retry = key .. ':retry', flight = key .. ':flight', carried = key .. ':carried',
  }
end

-- A flight record: the token of the current hand-out ("0": none), attempts, workers lost, and who holds it.
local function read_record(text)
  if not text then return nil end
  local token, attempt, losses, owner = string.match(text, '^(%d+):(%d+):(%d+):(.*)$')
  return {token = token, attempt = tonumber(attempt), losses = tonumber(losses), owner = owner}
end

local function write_record(token, attempt, losses, owner)
  return string.format('%s:%d:%d:%s', token, attempt, losses, owner)
end

local function text(milliseconds)
  return string.format('%.0f', milliseconds)
end

-- Whether there are entries in the stream that this lane has not read. Those that were written off (see gaps) are not.
local function has_undelivered(lane)
  local last = redis.call('HGET', lane.topic .. ':meta', 'last:' .. lane.partition)
  local unread = offset_of(last) - offset_of(lane.position)
  return unread > 0 and unread > (tonumber(redis.call('HGET', lane.meta, 'gone:' .. lane.partition)) or 0)
end

-- Sets the lane's place in `due` (its next lease deadline or retry to come) and answers whether a retry is due now.
local function keep_timer(lane)
  local lease = redis.call('ZRANGE', lane.lease, 0, 0, 'WITHSCORES')
  local retry = redis.call('ZRANGE', lane.retry, 0, 0, 'WITHSCORES')
  local is_due = retry[2] ~= nil and tonumber(retry[2]) <= now
  if is_due then
    retry = redis.call('ZRANGEBYSCORE', lane.retry, '(' .. text(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  end
  local following = tonumber(lease[2])
  local later = tonumber(retry[2])
  if later and (not following or later < following) then following = later end
  if following then
    redis.call('ZADD', prefix .. 'due', text(following), lane.name)
  else
    redis.call('ZREM', prefix .. 'due', lane.name)
  end
  return is_due
end

-- Sets the lane's place in `due` and in `ready`; with nothing left to read it is armed: the next publish rings.
-- Answers whether there is work now.
local function keep_lane(lane)
  local is_due = keep_timer(lane)
  local undelivered = has_undelivered(lane)
  if not undelivered then
    redis.call('SADD', lane.topic .. ':' .. lane.partition .. ':armed', lane.subscription)
    redis.call('HSET', lane.topic .. ':meta', 'armed:' .. lane.partition, 1)
  end
  if undelivered or is_due then
    redis.call('ZADD', prefix .. 'ready', 'NX', text(now), lane.name)
  else
    redis.call('ZREM', prefix .. 'ready', lane.name)
  end
  return undelivered or is_due
end

-- The fields of an entry that was redriven, or nil for any other.
local function carried_by(lane, id)
  local fields = redis.call('HGET', lane.carried, id)
  return fields and cmsgpack.unpack(fields) or nil
end

-- The fields of an entry, or nil when it is gone.
local function fields_of(lane, id)
  local fields = carried_by(lane, id)
  if fields then return fields end
  local entry = redis.call('XRANGE', lane.stream, id, id)[1]
  return entry and entry[2]
end

-- Moves an entry to where it waits to be tried again.
local function park(lane, id, due, record)
  redis.call('ZREM', lane.lease, id)
  redis.call('ZADD', lane.retry, text(due), id)
  redis.call('HSET', lane.flight, id, record)
  redis.pcall('XCLAIM', lane.stream, lane.subscription, PARKED, 0, id, 'JUSTID')
end

-- Forgets an entry that is done with; the caller counts it.
local function forget(lane, id)
  redis.call('ZREM', lane.lease, id)
  redis.call('ZREM', lane.retry, id)
  redis.call('HDEL', lane.flight, id)
  redis.call('HDEL', lane.carried, id)
  redis.pcall('XACK', lane.stream, lane.subscription, id)
end
