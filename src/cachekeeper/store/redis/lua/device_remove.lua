-- Take one entry out of a manifest if it has expired; its bytes stay counted, as a reservation,
-- until the caller has deleted the file and released it. What is pinned stays.
--
-- KEYS  ledger, reservations, manifest, rank, accesses, stats, events, pins, changes
-- ARGV  path, token, deadline (s), now (s), events kept, events' lifetime (s)
-- returns 1 taken out, 0 not expired, pinned, busy or gone
local entry = redis.call('HGET', KEYS[3], ARGV[1])
if not entry or redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
  return 0
end
local held = cjson.decode(entry)
if held.expires > tonumber(ARGV[4]) or is_pinned(ARGV[1]) then
  return 0
end
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[5], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'used', -held.size)
redis.call('HINCRBY', KEYS[1], 'reserved', held.size)
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. string.format('%d', held.size) .. ' ' .. ARGV[3])
redis.call('HINCRBY', KEYS[6], 'expired', 1)
redis.call('LPUSH', KEYS[7], ARGV[4] .. ' expired ' .. ARGV[1])
note_changes({ARGV[1]})
redis.call('LTRIM', KEYS[7], 0, ARGV[5] - 1)
redis.call('EXPIRE', KEYS[7], ARGV[6])
return 1
