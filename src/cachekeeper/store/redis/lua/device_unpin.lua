-- Let a path be evicted again: it goes back into the order, if the device still holds it.
--
-- KEYS  ledger, manifest, rank, pins, changes
-- ARGV  path, rank
-- returns 1, or 0 when it was not pinned
local size = redis.call('HGET', KEYS[4], ARGV[1])
if not size then
  return 0
end
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'pinned', -size)
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
  redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
end
note_changes({ARGV[1]})
return 1
