-- Begin to fetch a file that was planned, if it is still to be had: nobody else does, it was not
-- invalidated since the plan, and the device and the origin have a place for one more. A place is
-- kept by renewing it (prefetch_keep), and ends by itself when its holder has died.
--
-- KEYS  claim, places of the device, places of the origin, what says that the origin is away,
--       the device's manifest, clock, marks
-- ARGV  path, token, incarnation and epoch of the plan, places of a device, of an origin, lease (ms)
-- returns '' or why not
local path, token, lease = ARGV[1], ARGV[2], tonumber(ARGV[7])
local clock, marks, now = KEYS[6], KEYS[7], server_time()
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= token then
  return 'claimed'
elseif not is_fresh(clock, marks, ARGV[3], ARGV[4], own_sources(path)) then
  return 'invalidated'
elseif is_good(clock, marks, redis.call('HGET', KEYS[5], path), now) then
  return 'held'
elseif redis.call('EXISTS', KEYS[4]) == 1 then
  return 'origin_away'
end
for i = 2, 3 do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  if redis.call('ZCARD', KEYS[i]) >= tonumber(ARGV[i + 3]) and not redis.call('ZSCORE', KEYS[i], token) then
    return i == 2 and 'device_busy' or 'origin_busy'
  end
end
for i = 2, 3 do
  redis.call('ZADD', KEYS[i], now + lease / 1000, token)
  redis.call('PEXPIRE', KEYS[i], 2 * lease)
end
redis.call('SET', KEYS[1], token, 'PX', lease)
return ''
