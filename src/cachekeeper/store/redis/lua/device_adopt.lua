-- Rank by one policy what was ranked by another, in the other's order, 500 entries a call.
--
-- KEYS  the device's (parts/device.lua), with the rank of the new policy; the rank of the old one
-- ARGV  new policy, now (s), old policy
-- returns how many entries were moved
if ARGV[3] == 'gdga' then  -- its memory would be outdated when it comes back
  redis.call('UNLINK', device.ghosts, device.ghost_order)
  redis.call('HDEL', device.figures, 'ghost_bytes', 'once', 'again')
end
local old = redis.call('ZPOPMIN', KEYS[15], AT_ONCE)
for i = 1, #old, 2 do
  local path = old[i]
  local entry, state = redis.call('HGET', device.manifest, path), redis.call('HGET', device.state, path)
  if entry and state then
    rank_anew(ARGV[1], path, entry, state, tonumber(ARGV[2]))
  end
end
return #old / 2
