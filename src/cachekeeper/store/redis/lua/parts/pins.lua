-- Pins: path -> bytes that it takes, 0 while it is not held. What is pinned is in no order of eviction
-- and has no expiry. In the ledger: pinned, the bytes of all pins.

local function is_pinned(path)
  return redis.call('HEXISTS', device.pins, path) == 1
end

local function all_pinned()
  return tonumber(redis.call('HGET', device.ledger, 'pinned') or '0')
end

-- A pinned path takes so many bytes from here on.
local function pin(path, size)
  local before = redis.call('HGET', device.pins, path) or '0'
  redis.call('HSET', device.pins, path, whole(size))
  redis.call('HINCRBY', device.ledger, 'pinned', whole(size - before))
end
