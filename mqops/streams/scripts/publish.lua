#!lua
-- Stores messages of one bucket, each with an outcome of its own.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 bell channel · then for each run of messages to one partition: topic uid, generation known to the publisher,
--   partition, number of messages · and for each of these: id, key, envelope, payload, when it expires (ms; with a "+" in
--   front from now on; empty: never), idempotency token (empty: none), and after a token a digest of the content, and
--   how long the token holds (ms).
-- Returns an element per message: its entry id "<ms>-<offset>"; or "=<id> <partition> <entry id>" for a repeated
--   idempotency token; or "!<REASON> <detail>" when it is not stored. {"!FLUSHED"} alone: this server lost its data.
-- include: bucket
-- include: append
-- include: message
-- include: backlog
-- include: admission

if redis.call('EXISTS', KEYS[1]) == 0 then return {'!FLUSHED'} end
local bell = ARGV[1]

local function store(partition, at)
  local topic, token = partition.topic, ARGV[at + 5]
  if token ~= '' then
    local earlier = repeated(topic.base, token, ARGV[at + 6])
    if earlier then return earlier end
  end
  local holder = topic.max_backlog and held_up_by(topic)
  if holder then return '!BACKLOG ' .. holder end
  local entry, problem = append_message(partition, unpack(ARGV, at, at + 4))
  if not entry then return '!DAMAGED ' .. problem end
  if token ~= '' then
    redis.call('SET', topic.base .. ':dedup:' .. token, ARGV[at + 6] .. ARGV[at] .. partition.number .. ' ' .. entry,
      'PX', ARGV[at + 7])
  end
  return entry
end

local outcomes, count, at, past = {}, 0, 2, #ARGV + 1
while at < past do
  local number, last = ARGV[at + 2], count + ARGV[at + 3]
  local topic = open_topic(prefix .. ARGV[at], number)
  local refused = refusal(topic, tonumber(ARGV[at + 1]), tonumber(number))
  local partition = not refused and open_partition(topic, number)
  at = at + 4
  while count < last do
    count = count + 1
    outcomes[count] = refused or store(partition, at)
    at = at + (ARGV[at + 5] == '' and 6 or 8)
  end
end
write_back(bell)
return outcomes
