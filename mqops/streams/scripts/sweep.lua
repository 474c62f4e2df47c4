#!lua flags=allow-oom
-- Looks after the timers of a bucket: expired leases are offered again or dead-lettered, due retries announced, and
-- messages whose time has come are stored in their partitions.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 bell channel · then ids for dead letters: as many entries as there are ids are moved at most.
-- Returns {next timer (ms of the server's clock; -1 for none), now, entries moved}.
-- include: bucket
-- include: append
-- include: message
-- include: backlog
-- include: lane
-- include: dead
-- include: delay
-- include: promote

local POSTPONED_MS = 5000  -- when the dead-letter topic cannot take an entry
local PROMOTED_OF_TOPIC, PROMOTED = 200, 500  -- at most, in a call
local used, budget, promoted = 0, #ARGV - 1, 0

local function expire(lane)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', lane.lease, '-inf', text(now), 'LIMIT', 0, budget - used)) do
    used = used + 1
    local record = read_record(redis.call('HGET', lane.flight, id)) or {token = '0', attempt = 1, losses = 0}
    if record.attempt < lane.max_attempts then
      -- The token stays: who settles late, but before anyone else was handed the message, still succeeds.
      park(lane, id, now, write_record(record.token, record.attempt, record.losses, '-'))
    elseif not dead_letter(lane, id, record.attempt, ARGV[1 + used], 'lease_expired',
        'it was not settled before its deadline') then
      redis.call('ZADD', lane.lease, text(now + POSTPONED_MS), id)
    end
  end
end

local function look_after_lane(name)
  local subscription, partition = string.match(name, '^(.*):(%d+)$')
  local lane = subscription and open_lane(subscription, partition)
  if lane then
    expire(lane)
    if keep_timer(lane) then wake(prefix, name) end
  else
    redis.call('ZREM', prefix .. 'due', name)
  end
end

for _, name in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'due', '-inf', text(now), 'LIMIT', 0, 100)) do
  local topic = string.match(name, '^(.*):delay$')
  if used >= budget or promoted >= PROMOTED then break end
  if topic then
    promoted = promoted + promote(topic, math.min(PROMOTED_OF_TOPIC, PROMOTED - promoted))
  else
    look_after_lane(name)
  end
end
write_back(ARGV[1])
local head = redis.call('ZRANGE', prefix .. 'due', 0, 0, 'WITHSCORES')
return {head[2] and tonumber(head[2]) or -1, now, used + promoted}
