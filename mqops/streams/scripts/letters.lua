#!lua flags=no-writes
-- Looks for dead letters among the next entries of a partition: no more than about 1 MiB of them, and 100.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 topic uid · 2 partition · 3 from · 4 to, as XRANGE takes them · 5 how many letters at most · 6 "1" with
--   bodies, "0" without · 7 reason · 8 topic they come from · 9 key ("" for any; of a key, after a "=") · then any
--   number of names and uids of subscriptions that failed; none for any.
-- Returns {now, where to go on ("" at the end), entry…}; an entry is {id, fields}.
-- include: bucket

local ENTRIES, BYTES = 100, 1048576
local base = prefix .. ARGV[1]
local largest = tonumber(redis.call('HGET', base .. ':meta', 'largest')) or 0
local count = math.max(1, math.min(ENTRIES, math.floor(BYTES / math.max(1, largest))))
local wanted, reason, topic, key = tonumber(ARGV[5]), ARGV[7], ARGV[8], ARGV[9]
local failed = {}
for at = 10, #ARGV do failed[ARGV[at]] = true end

local function is_wanted(field)
  local letter = field['x'] and cjson.decode(field['x'])
  return letter and (reason == '' or letter.reason == reason) and (topic == '' or letter.topic == topic)
    and (key == '' or '=' .. field['k'] == key)
    and (next(failed) == nil or failed[letter.subscription] or failed[letter.subscriptionId or ''])
end

local entries = redis.call('XRANGE', base .. ':' .. ARGV[2] .. ':s', ARGV[3], ARGV[4], 'COUNT', count)
local found, reached = {string.format('%.0f', now), ''}, nil
for _, entry in ipairs(entries) do
  if #found - 2 >= wanted then break end
  local field = {}
  for i = 1, #entry[2], 2 do field[entry[2][i]] = entry[2][i + 1] end
  reached = entry[1]
  if is_wanted(field) then
    if ARGV[6] == '0' then field['d'] = '' end
    found[#found + 1] = {entry[1], {'i', field['i'], 'k', field['k'], 'e', field['e'], 'd', field['d'], 'x', field['x']}}
  end
end
if reached and (#entries == count or reached ~= entries[#entries][1]) then found[2] = reached end
return found
