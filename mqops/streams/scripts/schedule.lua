#!lua
-- Keeps messages of one topic until their time, each with an outcome of its own.
-- KEYS: 1 the bucket's epoch key.
-- ARGV: 1 bell channel · 2 topic uid · 3 generation known to the publisher · 4 "in" or "at" · 5 how long from now, or
--   when (ms) · then for each message: id, partition, body (as promote.lua reads it), idempotency token (empty: none),
--   and after a token a digest of the content, and how long the token holds (ms).
-- Returns an element per message: when it is due (ms); or "=<id> <partition> <due>" for a repeated idempotency token;
--   or "!<REASON> <detail>" when it is not kept. {"!FLUSHED"} alone: this server lost its data.
-- include: bucket
-- include: append
-- include: admission
-- include: delay

if redis.call('EXISTS', KEYS[1]) == 0 then return {'!FLUSHED'} end
local bell, uid, generation = ARGV[1], ARGV[2], tonumber(ARGV[3])
local due = string.format('%.0f', ARGV[4] == 'in' and now + tonumber(ARGV[5]) or tonumber(ARGV[5]))
local topic = open_topic(prefix .. uid, '0')
local kept = 0

local function keep(id, number, body, token, digest, window)
  local refused = refusal(topic, generation, tonumber(number))
  if refused then return refused end
  local dedup = topic.base .. ':dedup:' .. token
  local earlier = token ~= '' and repeated(topic.base, token, digest)
  if earlier then return earlier end
  add_delayed(uid, id, due, body)
  if token ~= '' then redis.call('SET', dedup, digest .. id .. number .. ' ' .. due, 'PX', window) end
  kept = kept + 1
  return due
end

local outcomes, at = {}, 6
while at <= #ARGV do
  local token = ARGV[at + 3]
  outcomes[#outcomes + 1] = keep(ARGV[at], ARGV[at + 1], ARGV[at + 2], token, ARGV[at + 4], ARGV[at + 5])
  at = at + (token == '' and 4 or 6)
end
if kept > 0 then ring_for_timer(bell, keep_delay(uid, tonumber(due))) end
return outcomes
