-- Turn a reservation into a manifest entry; the old copy's bytes are free from here on.
--
-- KEYS  ledger, reservations, manifest, rank, accesses, stats, pins, changes
-- ARGV  path, token, entry, rank, size, who (demand or prefetch)
-- returns 1, or 0 when the reservation is gone
local held = redis.call('HGET', KEYS[2], ARGV[1])
if not held then
  return 0
end
local token, bytes = string.match(held, '^(%S+) (%d+)')
if token ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'reserved', -bytes)
local old = redis.call('HGET', KEYS[3], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'used', ARGV[5] - (old and cjson.decode(old).size or 0))
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
if not still_pinned(ARGV[1], ARGV[5]) then
  redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
end
note_sources(ARGV[3])
note_changes({ARGV[1]})
if ARGV[6] == 'prefetch' then
  redis.call('HDEL', KEYS[5], ARGV[1])
  redis.call('HINCRBY', KEYS[6], 'prefetched', 1)
else
  redis.call('HSET', KEYS[5], ARGV[1], 1)
end
return 1
