-- Take one entry out of a manifest, if it is still the copy that the caller means and is not being
-- fetched anew: the caller deletes the file and releases the token.
--
-- KEYS  the device's (parts/device.lua)
-- ARGV  path, copy, token, deadline (s), what happened, for the events
-- returns 1, or 0 when there was nothing to take out
local path = ARGV[1]
local entry = redis.call('HGET', device.manifest, path)
if not entry or string.match(entry, '^%d+ (%S+)') ~= ARGV[2]
  or redis.call('HEXISTS', device.reservations, path) == 1 then
  return 0
end
if is_pinned(path) then
  pin(path, 0)
end
take_out_entries({path}, {entry}, ARGV[3], ARGV[4], ARGV[5])
return 1
