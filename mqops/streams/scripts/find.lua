#!lua flags=no-writes
-- Looks for a message among entries of a partition, no more of them at a time than may be read at once.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 topic uid · 2 partition · 3 message id · 4 first and 5 last entry to look at, as XRANGE takes them ·
--   6 entries and 7 bytes at most.
-- Returns {} when it is not there; {entry id} to go on after that entry; {entry id, fields} of the message.

local base = string.sub(KEYS[1], 1, -6) .. ARGV[1]
local largest = tonumber(redis.call('HGET', base .. ':meta', 'largest')) or 0
local count = math.max(1, math.min(tonumber(ARGV[6]), math.floor(tonumber(ARGV[7]) / math.max(1, largest))))
local entries = redis.call('XRANGE', base .. ':' .. ARGV[2] .. ':s', ARGV[4], ARGV[5], 'COUNT', count)
for _, entry in ipairs(entries) do
  if entry[2][1] == 'i' and entry[2][2] == ARGV[3] then return entry end
end
return #entries == count and {entries[count][1]} or {}
