#!lua flags=allow-oom
-- Moves entries of a lane to its dead-letter topic, where the caller still holds them.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 bell channel · 2 subscription uid · 3 partition · 4 reason · 5 detail · then three per entry: id, token,
--   id of the dead letter.
-- Returns an element per entry: 1 moved; 0 lost (the token is not the current one; nothing changed); -1 the
--   dead-letter topic cannot take it (nothing changed: try again).
-- include: bucket
-- include: append
-- include: lane
-- include: dead

local lane = open_lane(ARGV[2], ARGV[3])
local results = {}
for at = 6, #ARGV, 3 do
  local record = lane and read_record(redis.call('HGET', lane.flight, ARGV[at]))
  if record and record.token == ARGV[at + 1] and record.token ~= '0' then
    local moved = dead_letter(lane, ARGV[at], record.attempt, ARGV[at + 2], ARGV[4], ARGV[5])
    results[#results + 1] = moved and 1 or -1
  else
    results[#results + 1] = 0
  end
end
if lane and keep_timer(lane) then wake(prefix, lane.name) end
write_back(ARGV[1])
return results
