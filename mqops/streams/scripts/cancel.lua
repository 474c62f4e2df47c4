#!lua flags=allow-oom
-- Forgets a message that waits for its time.
-- KEYS: 1 the bucket's epoch key. ARGV: 1 topic uid · 2 message id.
-- Returns 1, or 0 when it does not wait there (any more).
-- include: bucket
-- include: delay

local member = find_delayed(ARGV[1], ARGV[2])
if not member then return 0 end
drop_delayed(ARGV[1], member)
keep_delay(ARGV[1])
return 1
