-- Take the entries of lowest rank out of a manifest until enough bytes are named, 500 at most: the
-- caller deletes the files, releases the token and comes back. Entries being fetched are passed over.
--
-- KEYS  the device's (parts/device.lua)
-- ARGV  bytes wanted, token, deadline (s), policy, quota, token to release or ''
-- returns {bytes, paths, one on a line, files, parted by spaces}
local wanted, quota = tonumber(ARGV[1]), tonumber(ARGV[5])
if ARGV[6] ~= '' then
  release(ARGV[6])
end
redis.call('HSET', device.ledger, 'quota', ARGV[5])
local found = lowest(wanted)
if #found.paths == 0 then
  return {0, '', ''}
end
local copies = let_go(ARGV[4], found, quota, ARGV[2], ARGV[3], wanted)
return {whole(found.bytes), table.concat(found.paths, '\n'), copies}
