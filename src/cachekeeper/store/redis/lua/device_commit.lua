-- Turn a reservation into a manifest entry. The copy that it replaces leaves: its bytes count until
-- its file is deleted and the token released.
--
-- KEYS  the device's (parts/device.lua)
-- ARGV  path, token, entry, worth, state, expires (s), demand or prefetch, deadline (s)
-- returns  {}  the reservation is gone | {''}  done | {the file that it replaces}
local path, token = ARGV[1], ARGV[2]
local bytes = reserved(path, token)
if not bytes then
  return {}
end
local size = tonumber((string.match(ARGV[3], '^%d+')))
redis.call('HDEL', device.reservations, path)
redis.call('HINCRBY', device.ledger, 'reserved', whole(-bytes))
local old = redis.call('HGET', device.manifest, path)
local replaced = ''
if old then
  local old_size
  old_size, replaced = string.match(old, '^(%d+) (%S+)')
  redis.call('HINCRBY', device.ledger, 'used', whole(-old_size))
  redis.call('HINCRBY', device.ledger, 'reserved', old_size)
  redis.call('HSET', device.leaving, token, ARGV[8] .. ' ' .. old_size .. ' ' .. replaced)
end
redis.call('HINCRBY', device.ledger, 'used', whole(size))
redis.call('HSET', device.manifest, path, ARGV[3])
redis.call('HSET', device.state, path, ARGV[5])
if is_pinned(path) then
  pin(path, size)
  redis.call('ZREM', device.expires, path)  -- of a copy that it had before it was pinned
else
  redis.call('ZADD', device.expires, ARGV[6], path)
  -- Else it is in the order of another policy still.
  if not old or redis.call('ZSCORE', device.rank, path) then
    redis.call('ZADD', device.rank, ARGV[4], path)
  end
end
if #cjson.decode(string.match(ARGV[3], '{.*$')).sources > 3 then
  redis.call('HSET', device.ledger, 'wide', 1)  -- since an entry had sources beside its own
end
note_changes({path})
if ARGV[7] == 'prefetch' then
  redis.call('HINCRBY', device.stats, 'prefetched', 1)
end
return {replaced}
