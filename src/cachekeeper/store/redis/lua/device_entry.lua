-- One entry of a manifest as its device is told it.
--
-- KEYS  ledger, manifest, pins, clock, marks, changes
-- ARGV  path
-- returns {row}
local rows = {}
add_row(rows, ARGV[1], redis.call('HGET', KEYS[2], ARGV[1]))
return rows
