-- Rank by one policy what was ranked by another, in the other's order, 500 entries a call.
--
-- KEYS  the device's (parts/device.lua), with the rank of the new policy; the rank of the old one
-- ARGV  new policy, now (s)
-- returns how many entries were moved
local old = redis.call('ZPOPMIN', KEYS[12], AT_ONCE)
for i = 1, #old, 2 do
  local path = old[i]
  local state = redis.call('HGET', device.state, path)
  if state then
    local seen, worth = seen_of(state), nil
    if ARGV[1] == 'lru' then
      worth = redis.call('HINCRBY', device.figures, 'accesses', 1)
    elseif ARGV[1] == 'retention' then
      worth = retention(tonumber(ARGV[2]), seen.reads, seen.weight)
    else
      seen.f, seen.halvings, seen.again = math.max(1, seen.reads), figure('halvings', 0), seen.reads > 1
      redis.call('HSET', device.state, path, state_of(seen, copy_of(state)))
      worth = gdga.value(seen, seen.again and 1 or figure('w1', 0.3))
    end
    redis.call('ZADD', device.rank, exact(worth), path)
  end
end
return #old / 2
