-- What waits in a topic for its time: the zset `delay` (a number that counts up, and the message's id → due, ms) and the
-- hash `delay:b` (id → the number, and the body). So what is due at one time comes in the order that it was sent in. The bucket's `due` has the topic as "<topic>:delay", at the time of its first one or, while that cannot be
-- stored, when to try again. Needs bucket.

local function delay_key(uid)
  return prefix .. uid .. ':delay'
end

local function delay_name(uid)
  return uid .. ':delay'
end

-- Sets the topic's place in `due`; `newest` is when a message that was just put there is due. Answers when the sweeper
-- has to come, if that is now earlier than it was.
local function keep_delay(uid, newest)
  local head = redis.call('ZRANGE', delay_key(uid), 0, 0, 'WITHSCORES')
  if not head[2] then
    redis.call('ZREM', prefix .. 'due', delay_name(uid))
    return nil
  end
  local first = tonumber(head[2])
  local known = tonumber(redis.call('ZSCORE', prefix .. 'due', delay_name(uid)) or nil)
  local wanted = known and math.max(known, first) or first
  if newest and newest < wanted then wanted = newest end
  if wanted ~= known then redis.call('ZADD', prefix .. 'due', string.format('%.0f', wanted), delay_name(uid)) end
  return (not known or wanted < known) and wanted or nil
end

-- Wakes whoever sweeps, when this bucket's next timer is at `time` by now: it may be asleep until a later one.
local function ring_for_timer(bell, time)
  local head = redis.call('ZRANGE', prefix .. 'due', 0, 0, 'WITHSCORES')
  if time and tonumber(head[2]) == time then
    redis.call('PUBLISH', bell, string.match(prefix, '{b(%d+)}') .. ' @' .. string.format('%.0f', time))
  end
end

local NUMBER_BYTES = 6

local function add_delayed(uid, id, due, body)
  local number = struct.pack('>I6', redis.call('HINCRBY', prefix .. uid .. ':meta', 'scheduled', 1))
  redis.call('ZADD', delay_key(uid), due, number .. id)
  redis.call('HSET', delay_key(uid) .. ':b', id, number .. body)
end

-- The member of the zset that a message has while it waits, or nil; and its body.
local function find_delayed(uid, id)
  local stored = redis.call('HGET', delay_key(uid) .. ':b', id)
  if not stored then return nil end
  return string.sub(stored, 1, NUMBER_BYTES) .. id, string.sub(stored, NUMBER_BYTES + 1)
end

local function id_of_member(member)
  return string.sub(member, NUMBER_BYTES + 1)
end

local function drop_delayed(uid, member)
  redis.call('ZREM', delay_key(uid), member)
  redis.call('HDEL', delay_key(uid) .. ':b', id_of_member(member))
end
