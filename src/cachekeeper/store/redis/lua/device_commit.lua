-- Turn a reservation into a manifest entry. The copy that it replaces leaves: its bytes count until
-- its file is deleted and the token released.
--
-- What nobody waits for is stored only while it is fresh, as any fill is.
--
-- KEYS  the device's (parts/device.lua), clock, marks
-- ARGV  path, token, entry, worth, state, expires (s), demand, prefetch or warm, deadline (s)
-- returns  {}  the reservation is gone | {-1}  it was invalidated meanwhile | {''}  done
--          {the file that it replaces}
local path, token = ARGV[1], ARGV[2]
local bytes = reserved(path, token)
if not bytes then
  return {}
end
local held = cjson.decode(string.match(ARGV[3], '{.*$'))
if ARGV[7] ~= 'demand' and not is_fresh(KEYS[14], KEYS[15], held.incarnation, held.as_of, held.sources) then
  return {-1}
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
if #held.sources > 3 then
  redis.call('HSET', device.ledger, 'wide', 1)  -- since an entry had sources beside its own
end
note_changes({path})
if ARGV[7] ~= 'demand' then
  redis.call('HINCRBY', device.stats, ARGV[7] == 'warm' and 'warmed' or 'prefetched', 1)
end
return {replaced}
