#!lua flags=allow-oom
-- A node says how far it has applied the log, and may serve from memory for another lease.
-- Refused to one that was fenced, or that followed another history than this server's: it has to
-- join again, empty.
--
-- KEYS  acks, renewals, fenced, clock
-- ARGV  node, incarnation, epoch applied
-- returns 1 renewed, 0 refused
local clock = redis.call('HMGET', KEYS[4], 'incarnation', 'epoch')
if clock[1] ~= ARGV[2] or tonumber(clock[2]) < tonumber(ARGV[3])
  or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0
  or redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[1])
return 1
