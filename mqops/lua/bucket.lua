-- The bucket that a script works in, and the server's clock (ms). KEYS[1] is the bucket's epoch key; every other key
-- of the bucket is built from its prefix and lies in the same slot.
local prefix = string.sub(KEYS[1], 1, -6)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- The offset in an entry id "<milliseconds>-<offset>"; 0 for none.
local function offset_of(id)
  return id and tonumber(string.match(id, '-(%d+)$')) or 0
end
