-- A request that failed begins anew: its receipt makes room for another. One that has not failed
-- stays. Whoever waits no longer hears of the failure.
--
-- KEYS  records, receipt, bell
-- ARGV  keep (s), id, time (s), new receipt
-- returns 1 when it did, 0 when another receipt stays
local before = redis.call('GET', KEYS[2])
if before and cjson.decode(before).status ~= 'failed' then
  return 0
end
redis.call('DEL', KEYS[3])
redis.call('SET', KEYS[2], ARGV[4], 'EX', ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
