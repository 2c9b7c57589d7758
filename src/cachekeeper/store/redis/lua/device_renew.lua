-- Keep a reservation while its download goes on.
--
-- KEYS  the device's (parts/device.lua)
-- ARGV  path, token, deadline (s)
-- returns 1, or 0 when the reservation is gone
local bytes = reserved(ARGV[1], ARGV[2])
if not bytes then
  return 0
end
redis.call('HSET', device.reservations, ARGV[1], ARGV[2] .. ' ' .. bytes .. ' ' .. ARGV[3])
return 1
