-- Reserve room on a device before a download starts, so that concurrent ones can't overshoot.
-- One reservation a path: two fetches of one file at a time would fight over its name.
-- What is being replaced still counts until the new copy is committed.
--
-- KEYS  ledger, reservations, devices
-- ARGV  path, bytes, quota, token, deadline (s), device
-- returns  {1}  reserved | {0, bytes that are missing} | {-1}  the path is busy
local held = redis.call('HGET', KEYS[2], ARGV[1])
if held then
  return {-1}
end
local used = tonumber(redis.call('HGET', KEYS[1], 'used') or '0')
local reserved = tonumber(redis.call('HGET', KEYS[1], 'reserved') or '0')
local size = tonumber(ARGV[2])
local missing = used + reserved + size - tonumber(ARGV[3])
if missing > 0 then
  return {0, missing}
end
redis.call('SADD', KEYS[3], ARGV[6])
redis.call('HINCRBY', KEYS[1], 'reserved', size)
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4] .. ' ' .. ARGV[2] .. ' ' .. ARGV[5])
return {1}
