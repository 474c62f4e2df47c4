#!lua flags=allow-oom
-- Gives entries of a lane back, to be handed out again after a delay, where the caller still holds them.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 bell channel · 2 subscription uid · 3 partition · then four per entry: id, token, delay (ms), and 1 when the
--   hand-out counts as an attempt or 0 when nothing was tried.
-- Returns an element per entry: 1 given back, 0 lost (the token is not the current one; nothing changed).
-- include: bucket
-- include: append
-- include: lane

local lane = open_lane(ARGV[2], ARGV[3])
local results = {}
local is_due = false
for at = 4, #ARGV, 4 do
  local id = ARGV[at]
  local record = lane and read_record(redis.call('HGET', lane.flight, id))
  if record and record.token == ARGV[at + 1] and record.token ~= '0' then
    local attempt = ARGV[at + 3] == '1' and record.attempt or record.attempt - 1
    park(lane, id, now + tonumber(ARGV[at + 2]), write_record('0', attempt, record.losses, '-'))
    results[#results + 1] = 1
  else
    results[#results + 1] = 0
  end
end
if lane and keep_timer(lane) then wake(prefix, lane.name) end
ring(ARGV[1])
return results
