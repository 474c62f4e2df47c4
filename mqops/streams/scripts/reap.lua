#!lua flags=allow-oom
-- Takes over what a dead worker held in a bucket: offered again at once, its tokens void.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 bell channel · 2 the worker's consumer name · 3 losses after which a message is dead-lettered · then ids for
--   dead letters: as many entries as there are ids are moved at most.
-- Returns {entries taken over, 1 when something is left for another call}.
-- include: bucket
-- include: append
-- include: lane
-- include: dead

local consumer, patience = ARGV[2], tonumber(ARGV[3])
local held = prefix .. 'held:' .. consumer
local used, budget = 0, #ARGV - 3

-- Losing its worker is not the message's fault: the attempt does not count, until it has cost several workers.
local function take_over(lane, id, record)
  used = used + 1
  if record.losses + 1 < patience
      or not dead_letter(lane, id, record.attempt, ARGV[3 + used], 'worker_lost',
        'the workers it was handed to did not survive it') then
    park(lane, id, now, write_record('0', math.max(0, record.attempt - 1), record.losses + 1, '-'))
  end
end

local function reap(lane)
  local ids = redis.call('ZRANGE', lane.lease, 0, -1)
  for _, id in ipairs(ids) do
    if used >= budget then return false end
    local record = read_record(redis.call('HGET', lane.flight, id))
    if record and record.owner == consumer then take_over(lane, id, record) end
  end
  local pending = redis.pcall('XPENDING', lane.stream, lane.subscription, '-', '+', 1, consumer)
  if #pending == 0 and not pending.err then
    redis.call('XGROUP', 'DELCONSUMER', lane.stream, lane.subscription, consumer)
  end
  return true
end

for _, name in ipairs(redis.call('SMEMBERS', held)) do
  local lane = open_lane(string.match(name, '^(.*):(%d+)$'))
  local finished = not lane or reap(lane)
  if lane and keep_timer(lane) then wake(prefix, name) end
  if not finished then break end
  redis.call('SREM', held, name)
end
write_back(ARGV[1])
return {used, redis.call('EXISTS', held)}
