-- Take entries whose lifetime has passed out of a manifest, 500 at most: the caller deletes the
-- files, releases the token and comes back. Entries being fetched anew are passed over.
--
-- KEYS  the device's (parts/device.lua)
-- ARGV  now (s), token, deadline (s)
-- returns {how many were looked at, paths, files}
local due = redis.call('ZRANGE', device.expires, '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, AT_ONCE)
if #due == 0 then
  return {0, {}, {}}
end
local paths, entries = {}, {}
local manifest = redis.call('HMGET', device.manifest, unpack(due))
for i, path in ipairs(due) do
  if not manifest[i] then
    redis.call('ZREM', device.expires, path)
  elseif redis.call('HEXISTS', device.reservations, path) == 0 then
    paths[#paths + 1], entries[#entries + 1] = path, manifest[i]
  end
end
if #paths == 0 then
  return {#due, {}, {}}
end
redis.call('HINCRBY', device.stats, 'expired', #paths)
return {#due, paths, take_out(paths, entries, ARGV[2], ARGV[3], ARGV[1] .. ' expired ')}
