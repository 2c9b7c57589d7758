-- End a reservation whose holder failed: it can't be committed any more, and its bytes count as
-- leaving until the caller has deleted the file, if there is one, and released the token.
--
-- KEYS  the device's (parts/device.lua)
-- ARGV  path, token, deadline (s)
-- returns 1, or 0 when the reservation is gone
local bytes = reserved(ARGV[1], ARGV[2])
if not bytes then
  return 0
end
redis.call('HDEL', device.reservations, ARGV[1])
redis.call('HSET', device.leaving, ARGV[2], ARGV[3] .. ' ' .. bytes .. ' ' .. ARGV[2])
return 1
