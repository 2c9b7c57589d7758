-- Go on fetching: keep the claim and the places, unless the file was invalidated since the plan.
--
-- KEYS  claim, places of the device, places of the origin, clock, marks
-- ARGV  path, token, incarnation and epoch of the plan, lease (ms)
-- returns '' or why not
local token, lease = ARGV[2], tonumber(ARGV[5])
if not is_fresh(KEYS[4], KEYS[5], ARGV[3], ARGV[4], own_sources(ARGV[1])) then
  return 'invalidated'
elseif redis.call('GET', KEYS[1]) ~= token then
  return 'claimed'
end
redis.call('PEXPIRE', KEYS[1], lease)
for i = 2, 3 do
  redis.call('ZADD', KEYS[i], server_time() + lease / 1000, token)
  redis.call('PEXPIRE', KEYS[i], 2 * lease)
end
return ''
