#!lua flags=allow-oom
-- A push worker says that it is alive. Passes when memory is full: without heartbeats nothing would drain the backlog.
-- KEYS: 1 the workers' zset. ARGV: 1 the worker's incarnation. Returns the server's clock (ms).
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
redis.call('ZADD', KEYS[1], now, ARGV[1])
return now
