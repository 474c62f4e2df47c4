#!lua flags=no-writes
-- In which partitions something has outlived its topic's retention, so that `trim` finds something to do.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: topic uid, partition; for each partition.
-- Returns their places among those asked for, from 1.
-- include: bucket

local cuts, readers = {}, {}

-- Everything before this (ms) is too old; nothing is of a topic that is not there.
local function cut_of(base)
  if not cuts[base] then
    local retention = tonumber(redis.call('HGET', base .. ':meta', 'retention_ms'))
    cuts[base] = retention and now - retention or 0
  end
  return cuts[base]
end

local function is_old(base, id)
  return tonumber(string.match(id, '^%d+')) < cut_of(base)
end

-- What was redriven is in no stream.
local function carries_what_is_old(base, number)
  readers[base] = readers[base] or redis.call('HKEYS', base .. ':groups')
  for _, subscription in ipairs(readers[base]) do
    local carried = prefix .. subscription .. ':' .. number .. ':carried'
    if redis.call('EXISTS', carried) == 1 then
      for _, id in ipairs(redis.call('HKEYS', carried)) do
        if is_old(base, id) then return true end
      end
    end
  end
  return false
end

local found = {}
for place = 1, #ARGV / 2 do
  local base, number = prefix .. ARGV[2 * place - 1], ARGV[2 * place]
  -- What is unfinished is never trimmed, so the first entry is as old as anything in the stream that there is to end.
  local first = redis.call('XRANGE', base .. ':' .. number .. ':s', '-', '+', 'COUNT', 1)[1]
  if (first and is_old(base, first[1])) or carries_what_is_old(base, number) then found[#found + 1] = place end
end
return found
