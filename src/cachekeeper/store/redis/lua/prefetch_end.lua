-- A file was fetched, or was not: give the places back. What will be tried again keeps its claim for
-- so long. An origin that is away is left alone for a while, the longer the more often in a row.
--
-- KEYS  claim, places of the device, places of the origin, what says that the origin is away, how often
--       it was, the device's stats
-- ARGV  token, '' or why it was not fetched, keep the claim for (ms; 0: no longer)
-- returns nothing
local FIRST_MS, LONGEST_MS, REMEMBERED_S = 1000, 120000, 600
local token, why = ARGV[1], ARGV[2]
redis.call('ZREM', KEYS[2], token)
redis.call('ZREM', KEYS[3], token)
local holder = redis.call('GET', KEYS[1])
if tonumber(ARGV[3]) > 0 then
  if not holder or holder == token then
    redis.call('SET', KEYS[1], token, 'PX', ARGV[3])
  end
elseif holder == token then
  redis.call('DEL', KEYS[1])
end
if why == '' then
  redis.call('DEL', KEYS[5])
elseif why == 'origin_away' and redis.call('EXISTS', KEYS[4]) == 0 then
  local times = redis.call('INCR', KEYS[5])
  redis.call('EXPIRE', KEYS[5], REMEMBERED_S)
  redis.call('SET', KEYS[4], times, 'PX', math.min(LONGEST_MS, FIRST_MS * 2 ^ math.min(times, 16)))
end
if why ~= '' and tonumber(ARGV[3]) == 0 then
  redis.call('HINCRBY', KEYS[6], 'prefetch_dropped_' .. why, 1)
end
