-- A claimed request can't be done: it becomes a dead letter. Only its claimer may say so.
--
-- KEYS  inflight, requests, attempts, order, letters and figures of the dead letters
-- ARGV  strategy, token, id, letter, now (s), letters kept, bytes kept
-- returns 1 buried, 0 no longer claimed under this token
if redis.call('ZREM', KEYS[1], ARGV[1] .. '|' .. ARGV[2] .. '|' .. ARGV[3]) == 0 then
  return 0
end
redis.call('HDEL', KEYS[2], ARGV[3])
redis.call('HDEL', KEYS[3], ARGV[3])
bury({order = KEYS[4], letters = KEYS[5], figures = KEYS[6]}, ARGV[4], ARGV[5], ARGV[6], ARGV[7])
return 1
