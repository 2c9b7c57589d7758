-- The topmost of what the sweep has to do is done. A lease that has passed while nobody else took it
-- is taken again.
--
-- KEYS  lease, todo, suspects, figures
-- ARGV  token, lease (ms), item, number of items to come, items ..., number of suspects, suspects
--       ..., figure, amount ...
-- returns whether that was noted; not if the lease is another's
local held = redis.call('GET', KEYS[1])
if (held and held ~= ARGV[1]) or redis.call('LINDEX', KEYS[2], 0) ~= ARGV[3] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('LPOP', KEYS[2])
local n = 4
for _, list in ipairs({KEYS[2], KEYS[3]}) do
  local last = n + tonumber(ARGV[n])
  for at = n + 1, last do
    redis.call('LPUSH', list, ARGV[at])
  end
  n = last + 1
end
for at = n, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[4], ARGV[at], ARGV[at + 1])
end
return 1
