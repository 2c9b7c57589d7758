#!lua flags=allow-oom
-- Keep work until it is due. The same id again is the same work: the latest attempt counts, and a
-- claim of the one before is void. Works when the server is full: what failed must not be lost.
--
-- KEYS  due, work, claims, bytes
-- ARGV  id, work, due (s), most pieces, most bytes
-- returns 1 when it is kept, 0 when there is no room
local before = redis.call('HSTRLEN', KEYS[2], ARGV[1])
if before == 0 then
  local bytes = tonumber(redis.call('GET', KEYS[4]) or 0)
  if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) or bytes + #ARGV[2] > tonumber(ARGV[5]) then
    return 0
  end
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('INCRBY', KEYS[4], #ARGV[2] - before)
return 1
