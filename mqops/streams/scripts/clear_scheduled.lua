#!lua flags=allow-oom
-- Forgets all that waits in a topic for its time.
-- KEYS: 1 the bucket's epoch key. ARGV: 1 topic uid. Returns how many there were.
-- include: bucket
-- include: delay

local count = redis.call('ZCARD', delay_key(ARGV[1]))
redis.call('UNLINK', delay_key(ARGV[1]), delay_key(ARGV[1]) .. ':b')
keep_delay(ARGV[1])
return count
