-- Which of the files that a device is likely to read are to be fetched, and for how long that is this
-- plan's: a claim keeps other plans from asking for the same, and ends by itself.
--
-- What is predicted and not read throttles the device. A prediction is judged when it was read or has
-- gone, at the latest when GRACE more were fetched; of the last WINDOW or so (each new one ages those
-- before it) the share that was read is its usefulness. Below HALF of it only the likelier ones are
-- fetched; below LEAST none are, but for one at every PROBE-th plan, by which it recovers.
--
-- KEYS  the device's stats, throttle, manifest; clock, marks
-- ARGV  threshold, files at most, lifetime of a claim (ms), prefix of claims, prefix of what says that an
--       origin is away, for each candidate, the likeliest first: path, probability, token, origin
-- returns {incarnation, epoch, for each candidate '' or why not}
local GRACE, WINDOW, ENOUGH, HALF, LEAST, PROBE = 16, 50, 10, 0.5, 0.2, 20
local stats, throttle, manifest, clock, marks = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local threshold, at_most = tonumber(ARGV[1]), tonumber(ARGV[2])

local counted = redis.call('HMGET', stats, 'prefetched', 'prefetch_used', 'prefetch_wasted')
local used = tonumber(counted[2] or 0)
local judged = math.max(used + (counted[3] or 0), (counted[1] or 0) - GRACE)
local known = redis.call('HMGET', throttle, 'judged', 'used', 'recent', 'recent_used')
local more, more_used = judged - (known[1] or 0), used - (known[2] or 0)
local aged = (1 - 1 / WINDOW) ^ math.max(0, more)
local recent = (known[3] or 0) * aged + more
local recent_used = math.min(recent, (known[4] or 0) * aged + more_used)
local usefulness = recent >= ENOUGH and recent_used / recent or 1
local state = usefulness >= HALF and 'open' or usefulness >= LEAST and 'raised' or 'stopped'
if state == 'raised' then
  threshold = threshold + (1 - threshold) * (HALF - usefulness) / (HALF - LEAST)
elseif state == 'stopped' then
  at_most = redis.call('HINCRBY', throttle, 'stopped_plans', 1) % PROBE == 0 and 1 or 0
end
redis.call('HSET', throttle, 'judged', judged, 'used', used, 'recent', string.format('%.17g', recent),
  'recent_used', string.format('%.17g', recent_used), 'usefulness', string.format('%.4f', usefulness),
  'state', state, 'threshold', string.format('%.4f', threshold))

local moment = redis.call('HMGET', clock, 'incarnation', 'epoch')
local found, now, chosen = {tonumber(moment[1] or 0), tonumber(moment[2] or 0)}, server_time(), 0
for i = 6, #ARGV, 4 do
  local path, why = ARGV[i], ''
  if is_good(clock, marks, redis.call('HGET', manifest, path), now) then
    why = 'held'
  elseif tonumber(ARGV[i + 1]) < threshold or at_most == 0 then
    why = 'throttled'
  elseif chosen >= at_most then
    why = state == 'stopped' and 'throttled' or 'enough'
  elseif redis.call('EXISTS', ARGV[5] .. ARGV[i + 3]) == 1 then
    why = 'origin_away'
  elseif not redis.call('SET', ARGV[4] .. path, ARGV[i + 2], 'NX', 'PX', ARGV[3]) then
    why = 'claimed'
  else
    chosen = chosen + 1
  end
  if why ~= '' and why ~= 'held' and why ~= 'enough' then
    redis.call('HINCRBY', stats, 'prefetch_dropped_' .. why, 1)
  end
  found[#found + 1] = why
end
return found
