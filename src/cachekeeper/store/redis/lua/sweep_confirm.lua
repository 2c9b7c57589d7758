-- The second phase of the sweep: what has lost something is looked at once more.
--
-- KEYS  lease, state, todo, suspects
-- ARGV  token, lease (ms)
-- returns whether it has begun; not if the lease is another's
local held = redis.call('GET', KEYS[1])
if (held and held ~= ARGV[1]) or redis.call('EXISTS', KEYS[4]) == 0 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('RENAME', KEYS[4], KEYS[3])
redis.call('HSET', KEYS[2], 'phase', 'confirming')
return 1
