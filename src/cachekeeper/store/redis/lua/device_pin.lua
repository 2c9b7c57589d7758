-- Pin what a device holds: it leaves the order of eviction. Pins never take more than the quota.
--
-- KEYS  ledger, manifest, rank, pins, changes
-- ARGV  path, quota (bytes)
-- returns {1, bytes}  pinned | {0}  not held | {-1, bytes, bytes of all other pins}  beyond the quota
local entry = redis.call('HGET', KEYS[2], ARGV[1])
if not entry then
  return {0}
end
local size = cjson.decode(entry).size
if is_pinned(ARGV[1]) then
  return {1, size}
end
local others = tonumber(redis.call('HGET', KEYS[1], 'pinned') or '0')
if others + size > tonumber(ARGV[2]) then
  return {-1, size, others}
end
redis.call('HSET', KEYS[4], ARGV[1], string.format('%d', size))
redis.call('HINCRBY', KEYS[1], 'pinned', size)
redis.call('ZREM', KEYS[3], ARGV[1])
note_changes({ARGV[1]})
return {1, size}
