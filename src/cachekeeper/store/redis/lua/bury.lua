-- A claimed request can't be done: it becomes a dead letter. Only its claimer may say so.
--
-- KEYS  inflight, requests, attempts, dead
-- ARGV  strategy, token, id, letter, letters kept
-- returns 1 buried, 0 no longer claimed under this token
if redis.call('ZREM', KEYS[1], ARGV[1] .. '|' .. ARGV[2] .. '|' .. ARGV[3]) == 0 then
  return 0
end
redis.call('HDEL', KEYS[2], ARGV[3])
redis.call('HDEL', KEYS[3], ARGV[3])
redis.call('LPUSH', KEYS[4], ARGV[4])
redis.call('LTRIM', KEYS[4], 0, ARGV[5] - 1)
return 1
