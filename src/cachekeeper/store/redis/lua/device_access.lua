-- Look a path up in a device's manifest and count the access, in one trip: statistics, events, the
-- order of eviction.
--
-- KEYS  the device's (parts/device.lua), marks, clock
-- ARGV  path, now (s), policy
-- returns {state, its entry or ''}; the state is hit, missing, expired or stale
local path, now, policy = ARGV[1], ARGV[2], ARGV[3]
local marks, clock = KEYS[14], KEYS[15]
local entry = redis.call('HGET', device.manifest, path)
local state, held = 'missing', nil
if entry then
  local expires, json = string.match(entry, '^%d+ %S+ (%S+) (.*)$')
  held = cjson.decode(json)
  state = tonumber(expires) > tonumber(now) and 'hit' or 'expired'
  if held.incarnation ~= tonumber(redis.call('HGET', clock, 'incarnation')) then
    state = 'stale'
  end
  for first = 1, #held.sources, 1000 do  -- unpack has its limits
    local final = math.min(first + 999, #held.sources)
    for _, mark in ipairs(redis.call('ZMSCORE', marks, unpack(held.sources, first, final))) do
      if mark and tonumber(mark) > held.as_of then
        state = 'stale'
      end
    end
  end
end
tell(now, state, {path})
if state ~= 'hit' then
  redis.call('HINCRBY', device.stats, 'misses', 1)
  return {state, entry or ''}
end
redis.call('HINCRBY', device.stats, 'hits', 1)
local known = redis.call('HGET', device.state, path)
local seen = seen_of(known)
if held.by == 'prefetch' and seen.reads == 0 then
  redis.call('HINCRBY', device.stats, 'prefetch_used', 1)
end
local worth = touched(policy, seen, tonumber(now), held.by)
redis.call('HSET', device.state, path, state_of(seen, copy_of(known)))
redis.call('ZADD', device.rank, 'XX', exact(worth), path)  -- what is not ranked can't be evicted
return {state, entry}
