-- Take the entries of lowest rank out of a manifest until enough bytes are named, 500 at most: the
-- caller deletes the files, releases the token and comes back. Entries being fetched are passed over.
--
-- KEYS  the device's (parts/device.lua)
-- ARGV  bytes wanted, token, deadline (s), policy, quota
-- returns {bytes, paths, files}
local paths, scores, entries, bytes = lowest(tonumber(ARGV[1]), AT_ONCE)
redis.call('HSET', device.ledger, 'quota', ARGV[5])
if #paths == 0 then
  return {0, {}, {}}
end
let_go(ARGV[4], paths, scores, entries, tonumber(ARGV[5]))
redis.call('HINCRBY', device.stats, 'evictions', #paths)
local event = string.format('%sevicted:%.0f ', stamp(), tonumber(ARGV[1]))
return {whole(bytes), paths, take_out(paths, entries, ARGV[2], ARGV[3], event)}
