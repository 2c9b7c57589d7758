-- Pin a path: what is held leaves the order of eviction, of whatever policy, and expires no more. What is
-- not held is pinned as it comes. Pins never take more than the quota.
--
-- KEYS  the device's (parts/device.lua), the ranks of all policies
-- ARGV  path, quota (bytes)
-- returns {1, bytes}  pinned | {0}  pinned, but not held yet | {-1, bytes, bytes of all other pins}
local path = ARGV[1]
local entry = redis.call('HGET', device.manifest, path)
if not entry then
  redis.call('HSETNX', device.pins, path, 0)
  return {0}
end
local size = tonumber((string.match(entry, '^%d+')))
local others = all_pinned() - (redis.call('HGET', device.pins, path) or 0)
if not is_pinned(path) then
  if others + size > tonumber(ARGV[2]) then
    return {-1, size, others}
  end
  pin(path, size)
  redis.call('ZREM', device.expires, path)
  for i = 14, #KEYS do
    redis.call('ZREM', KEYS[i], path)
  end
  note_changes({path})
end
return {1, size}
