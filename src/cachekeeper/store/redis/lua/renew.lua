#!lua flags=allow-oom
-- A node says how far it has applied the log, and may serve from memory for another lease.
-- Refused to one that was fenced, or that followed another history than this server's: it has to
-- join again, empty. Who waits for the last node to come as far is rung, with what there is to
-- know: at this moment every node has applied what the waiter asked for.
--
-- KEYS  acks, renewals, fenced, clock, waiting
-- ARGV  node, incarnation, epoch applied, prefix of the bells, ring (s)
-- returns 1 renewed, 0 refused
local clock = redis.call('HMGET', KEYS[4], 'incarnation', 'epoch')
if clock[1] ~= ARGV[2] or tonumber(clock[2]) < tonumber(ARGV[3])
  or not redis.call('ZSCORE', KEYS[1], ARGV[1])
  or redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 1 then
  return 0
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[1])
if redis.call('EXISTS', KEYS[5]) == 1 then
  local lowest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
  local bells = redis.call('ZRANGE', KEYS[5], '-inf', lowest, 'BYSCORE')
  if #bells > 0 then
    local known = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
    local said = clock[1] .. '\n' .. table.concat(known, '\n')
    for _, bell in ipairs(bells) do
      redis.call('LPUSH', ARGV[4] .. bell, said)
      redis.call('EXPIRE', ARGV[4] .. bell, ARGV[5])
      redis.call('ZREM', KEYS[5], bell)
    end
  end
end
return 1
