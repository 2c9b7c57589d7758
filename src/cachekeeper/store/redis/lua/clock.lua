#!lua flags=allow-oom
-- The moment. A new incarnation begins if this server is not the one that the last one began on,
-- or is behind what the caller has seen: it has lost something, so nothing older is to be trusted.
--
-- KEYS  clock
-- ARGV  run id of the server, incarnation seen, epoch seen
-- returns {incarnation, epoch}
local clock = redis.call('HMGET', KEYS[1], 'incarnation', 'epoch', 'run')
local incarnation, epoch = tonumber(clock[1] or '0'), tonumber(clock[2] or '0')
local seen, seen_epoch = tonumber(ARGV[2]), tonumber(ARGV[3])
if clock[3] == ARGV[1] and not (seen == incarnation and seen_epoch > epoch) then
  return {incarnation, epoch}
end
local first = incarnation == 0 and seen == 0
local time = redis.call('TIME')
-- Named by the microsecond, so that no two have one name and a later one has a later name.
incarnation = math.max(incarnation + 1, seen + 1, time[1] * 1000000 + time[2])
epoch = math.max(epoch, seen_epoch) + (first and 0 or 1)
redis.call('HSET', KEYS[1], 'incarnation', string.format('%.0f', incarnation),
  'epoch', string.format('%.0f', epoch), 'run', ARGV[1])
return {incarnation, epoch}
