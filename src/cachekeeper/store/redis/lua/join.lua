#!lua flags=allow-oom
-- A node joins with an empty memory: from here on a strict invalidation waits for it, and if it is
-- silent, for as long as its lease may last.
--
-- KEYS  acks, renewals, clock, leases
-- ARGV  node, its lease with the drift of clocks (s)
-- returns {incarnation, epoch} that it starts from
local clock = redis.call('HMGET', KEYS[3], 'incarnation', 'epoch')
if not clock[1] then
  return redis.error_reply('NOCLOCK the server has lost its clock')
end
-- Never over what it acknowledged since: a join that was sent again may arrive twice, and late.
redis.call('ZADD', KEYS[1], 'NX', clock[2], ARGV[1])
redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[1])
redis.call('HSET', KEYS[4], ARGV[1], ARGV[2])
return {tonumber(clock[1]), tonumber(clock[2])}
