-- Give a reservation back: its bytes are not on the disk, or not any more.
--
-- KEYS  ledger, reservations
-- ARGV  path, token
-- returns 1, or 0 when it is not ours
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
return 1
