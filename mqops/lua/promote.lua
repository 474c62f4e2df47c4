-- Moving messages whose time has come from where they wait into their partitions. Needs bucket, append, message, backlog
-- and delay.
local WAIT_MS = 1000  -- before a topic that takes nothing is tried again
local PROMOTED_BYTES = 1048576
local HEAD_BYTES = 9

-- What is to be stored: after partition (2 bytes) and the lengths of key (2), envelope (4) and when it expires (1), all
-- big-endian, these three and the payload.
local function read_body(body)
  local number, key_bytes, envelope_bytes, expires_bytes = struct.unpack('>I2I2I4I1', body)
  local envelope_at = HEAD_BYTES + key_bytes + 1
  local expires_at = envelope_at + envelope_bytes
  local payload_at = expires_at + expires_bytes
  return number, string.sub(body, HEAD_BYTES + 1, envelope_at - 1), string.sub(body, envelope_at, expires_at - 1),
    string.sub(body, payload_at), string.sub(body, expires_at, payload_at - 1)
end

-- Whether the message was stored. One whose body is gone is not there any more, and not waited for.
local function promote_one(uid, topic, member, body)
  if not body or #body < HEAD_BYTES then
    drop_delayed(uid, member)
    redis.call('HINCRBY', topic.base .. ':meta', 'lost', 1)
    return true
  end
  if topic.max_backlog and held_up_by(topic) then return false end
  local number, key, envelope, payload, expires = read_body(body)
  local partition = open_partition(topic, string.format('%d', number % topic.partitions))
  if not append_message(partition, id_of_member(member), key, envelope, payload, expires) then return false end
  drop_delayed(uid, member)
  return true
end

-- Stores what is due in a topic, `most` messages and about 1 MiB at most, in the order of their times; then sets its
-- place in `due`, behind whatever else waits for the sweeper. Answers how many.
local function promote(uid, most)
  local topic, count, bytes, is_blocked = open_topic(prefix .. uid, '0'), 0, 0, true
  if topic and not topic.closing and topic.state == 'active' then
    is_blocked = false
    local members = redis.call('ZRANGEBYSCORE', delay_key(uid), '-inf', string.format('%.0f', now), 'LIMIT', 0, most)
    for _, member in ipairs(members) do
      if bytes >= PROMOTED_BYTES then break end
      local _, body = find_delayed(uid, id_of_member(member))
      if not promote_one(uid, topic, member, body) then
        is_blocked = true
        break
      end
      count, bytes = count + 1, bytes + (body and #body or 0)
    end
  end
  redis.call('ZREM', prefix .. 'due', delay_name(uid))
  local first = keep_delay(uid)
  if first and first <= now then
    local again = is_blocked and now + WAIT_MS or now
    redis.call('ZADD', prefix .. 'due', string.format('%.0f', again), delay_name(uid))
  end
  return count
end
