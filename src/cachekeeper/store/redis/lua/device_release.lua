-- The files that were leaving under a token are gone: their bytes count no more.
--
-- KEYS  the device's (parts/device.lua)
-- ARGV  token
-- returns 1, or 0 when they were released already
return release(ARGV[1])
