-- Let a path be evicted again: what is held goes back into the order, and expires.
--
-- KEYS  the device's (parts/device.lua)
-- ARGV  path, policy, now (s), '1' for only if it is not held
-- returns 1, or 0 when it was not pinned
local path = ARGV[1]
local entry = redis.call('HGET', device.manifest, path)
if not is_pinned(path) or (ARGV[4] == '1' and entry) then
  return 0
end
pin(path, 0)
redis.call('HDEL', device.pins, path)
if entry then
  redis.call('ZADD', device.expires, string.match(entry, '^%d+ %S+ (%S+)'), path)
  rank_anew(ARGV[2], path, redis.call('HGET', device.state, path), tonumber(ARGV[3]))
  note_changes({path})
end
return 1
