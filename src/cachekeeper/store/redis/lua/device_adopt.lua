-- Rank by one policy what was ranked by another, in the other's order, 500 entries a call.
--
-- KEYS  the device's (parts/device.lua), with the rank of the new policy; the rank of the old one
-- ARGV  new policy, now (s)
-- returns how many entries were moved
local old = redis.call('ZPOPMIN', KEYS[14], AT_ONCE)
for i = 1, #old, 2 do
  local path = old[i]
  local state = redis.call('HGET', device.state, path)
  if state then
    rank_anew(ARGV[1], path, state, tonumber(ARGV[2]))
  end
end
return #old / 2
