#!lua flags=no-writes
-- Lists what waits in a topic for its time, in the order of times; or shows one.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 topic uid · 2 how many at most · 3 bytes, after which there are no more · then, to go on after a message: 4
--   its time (ms) and 5 its place; or to show one: 4 "one" and 5 its id.
-- Returns {how many wait in all, 1 when there are more after these, {place, due (ms), body}…}; a place is 6 bytes and the
--   id.
-- include: bucket
-- include: delay

local key, most, room = delay_key(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local total = redis.call('ZCARD', key)

-- By bytes: Lua compares texts by the rules of a language.
local function is_after(member, other)
  for at = 1, math.min(#member, #other) do
    local one, two = string.byte(member, at), string.byte(other, at)
    if one ~= two then return one > two end
  end
  return #member > #other
end

-- The rank of the first one after a place that may be nobody's any more.
local function rank_after(due, member)
  local low, high = 0, total
  while low < high do
    local middle = math.floor((low + high) / 2)
    local entry = redis.call('ZRANGE', key, middle, middle, 'WITHSCORES')
    local at = tonumber(entry[2])
    if at > due or (at == due and is_after(entry[1], member)) then high = middle else low = middle + 1 end
  end
  return low
end

if ARGV[4] == 'one' then
  local member, body = find_delayed(ARGV[1], ARGV[5])
  local due = member and redis.call('ZSCORE', key, member)
  return due and {total, 0, {member, due, body}} or {total, 0}
end

local from = ARGV[4] and rank_after(tonumber(ARGV[4]), ARGV[5]) or 0
local entries = redis.call('ZRANGE', key, from, from + most - 1, 'WITHSCORES')
local found, bytes = {total, 0}, 0
for at = 1, #entries, 2 do
  local _, body = find_delayed(ARGV[1], id_of_member(entries[at]))
  if bytes > 0 and bytes + (body and #body or 0) > room then
    found[2] = 1
    break
  end
  from, bytes = from + 1, bytes + (body and #body or 0)
  if body then found[#found + 1] = {entries[at], entries[at + 1], body} end
end
if from < total then found[2] = 1 end
return found
