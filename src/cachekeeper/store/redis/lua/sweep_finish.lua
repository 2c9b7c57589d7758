-- A pass of the sweep has ended. In vain (with an error) it has learnt nothing, and what was held
-- back before is held still.
--
-- KEYS  lease, state, todo, suspects, figures
-- ARGV  token, now, files that are held back, error
-- returns whether another pass has begun, since somebody asked for it meanwhile
local state = KEYS[2]
local lease = redis.call('GET', KEYS[1])
if lease and lease ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[3], KEYS[4])
redis.call('HSET', state, 'phase', '', 'error', ARGV[4])
if ARGV[4] ~= '' then
  redis.call('HSET', state, 'failed', ARGV[2])
  redis.call('HDEL', state, 'wanted')  -- whoever asked for it will ask again
  return 0
end
redis.call('HSET', state, 'finished', ARGV[2], 'learnt', 1)
redis.call('HDEL', state, 'accepted', 'failed')
if tonumber(ARGV[3]) > 0 then
  redis.call('HSET', state, 'held', ARGV[3])
  redis.call('HSETNX', state, 'held_since', ARGV[2])
else
  redis.call('HDEL', state, 'held', 'held_since')
end
if redis.call('HGET', state, 'wanted') then
  begin(state, KEYS[3], KEYS[4], KEYS[5], ARGV[2])
  return 1
end
return 0
