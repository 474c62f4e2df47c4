#!lua
-- Marks a bucket of this server as prepared.
-- KEYS: 1 the bucket's epoch key. ARGV: none. Returns 1 when it was not prepared before, else 0.
return redis.call('SET', KEYS[1], redis.call('TIME')[1], 'NX') and 1 or 0
