#!lua flags=allow-oom
-- Elects a process, or prolongs its term. Passes when memory is full: somebody has to sweep then, too.
-- KEYS: 1 the office. ARGV: 1 the candidate · 2 the term (ms). Returns 1 when the candidate holds the office, else 0.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
