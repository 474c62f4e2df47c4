#!lua flags=no-writes
-- In which partitions something has outlived its topic's retention, so that `trim` finds something to do.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: topic uid, partition; for each partition.
-- Returns their places among those asked for, from 1.
-- include: bucket

local cuts = {}

-- Everything before this (ms) is too old; nothing is of a topic that is not there.
local function cut_of(base)
  if not cuts[base] then
    local retention = tonumber(redis.call('HGET', base .. ':meta', 'retention_ms'))
    cuts[base] = retention and now - retention or 0
  end
  return cuts[base]
end

local found = {}
for place = 1, #ARGV / 2 do
  local base, number = prefix .. ARGV[2 * place - 1], ARGV[2 * place]
  -- What is unfinished is never trimmed, so the first entry is as old as anything there is to end.
  local first = redis.call('XRANGE', base .. ':' .. number .. ':s', '-', '+', 'COUNT', 1)[1]
  if first and tonumber(string.match(first[1], '^%d+')) < cut_of(base) then found[#found + 1] = place end
end
return found
