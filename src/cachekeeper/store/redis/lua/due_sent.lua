-- Work was sent: forget it, unless it has been claimed by another or has failed again since.
--
-- KEYS  due, work, claims, bytes
-- ARGV  token, id
-- returns 1 when it was still this token's, else 0
if redis.call('HGET', KEYS[3], ARGV[2]) ~= ARGV[1] then
  return 0
end
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('DECRBY', KEYS[4], redis.call('HSTRLEN', KEYS[2], ARGV[2]))
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
return 1
