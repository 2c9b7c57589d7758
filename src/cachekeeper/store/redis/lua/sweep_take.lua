-- Take the lease of the sweep through the origin, and begin a pass if none is under way.
--
-- KEYS  lease, state, todo, suspects, figures
-- ARGV  token, lease (ms), now, 1 to begin a pass, 1 if the one under way will not do
-- returns whether it was taken
local lease, state = KEYS[1], KEYS[2]
local under_way = (redis.call('HGET', state, 'phase') or '') ~= ''
if under_way then
  if ARGV[5] == '1' then
    redis.call('HSET', state, 'wanted', 1)
  end
  if not redis.call('SET', lease, ARGV[1], 'NX', 'PX', ARGV[2]) then
    return 0
  end
elseif ARGV[4] == '1' then
  -- Whoever has the lease still is about to give it back: its pass has ended.
  redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
  begin(state, KEYS[3], KEYS[4], KEYS[5], ARGV[3])
else
  return 0
end
return 1
