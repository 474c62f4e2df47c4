-- Why a message is not taken, before anything is written. Needs bucket and append.

local function repeated(base, token, digest)
  local first = redis.call('GET', base .. ':dedup:' .. token)
  if not first then return nil end
  if string.sub(first, 1, #digest) == digest then return '=' .. string.sub(first, #digest + 1) end
  return '!CONFLICT the idempotency key was used with another message'
end

-- Why nothing that is sent to a partition of the topic can be stored, or nil.
local function refusal(topic, generation, number)
  if not topic or topic.closing then return '!GONE' end
  if generation < topic.min_generation then return '!STALE' end
  if topic.state ~= 'active' then return '!PAUSED ' .. topic.state end
  if number >= topic.partitions then return '!STALE' end
end
