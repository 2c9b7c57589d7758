-- Take entries whose lifetime has passed out of a manifest, 500 at most: the caller deletes the
-- files, releases the token and comes back. Entries being fetched anew are passed over.
--
-- KEYS  the device's (parts/device.lua)
-- ARGV  now (s), token, deadline (s)
-- returns {1 if there may be more, paths, files}
local due = redis.call('ZRANGE', device.expires, '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, AT_ONCE)
local outdated = {}
if #due == 0 and redis.call('ZCARD', device.expires) > 2 * redis.call('HLEN', device.manifest) + 1000 then
  outdated = redis.call('ZRANDMEMBER', device.expires, AT_ONCE)  -- more than half of them have gone
end
local paths, entries, gone = {}, {}, {}
for _, some in ipairs({due, outdated}) do
  local manifest = #some > 0 and redis.call('HMGET', device.manifest, unpack(some)) or {}
  for i, path in ipairs(some) do
    if not manifest[i] then
      gone[#gone + 1] = path
    elseif some == due and redis.call('HEXISTS', device.reservations, path) == 0 then
      paths[#paths + 1], entries[#entries + 1], gone[#gone + 1] = path, manifest[i], path
    end
  end
end
if #gone > 0 then
  redis.call('ZREM', device.expires, unpack(gone))
end
local copies = {}
if #paths > 0 then
  redis.call('HINCRBY', device.stats, 'expired', #paths)
  copies = take_out_entries(paths, entries, ARGV[2], ARGV[3], 'expired')
end
return {#gone > 0 and 1 or 0, paths, copies}
