#!lua flags=allow-oom
-- Mark sources as invalidated: the one thing that makes old values stale, whatever the strategy.
-- A request that was marked before is not marked again, so a redelivered one has its effect once.
-- Works when the server is full.
--
-- KEYS  epoch, marks, log, marked
-- ARGV  remember (s), request, time (s), strategy, reason, source ...
-- returns the epoch
local before = redis.call('GET', KEYS[4])
if before then
  return tonumber(before)
end
local epoch = redis.call('INCR', KEYS[1])
local scored = {}
for i = 6, #ARGV do
  scored[#scored + 1] = epoch
  scored[#scored + 1] = ARGV[i]
end
redis.call('ZADD', KEYS[2], unpack(scored))
redis.call('XADD', KEYS[3], epoch .. '-0', 'request', ARGV[2], 'at', ARGV[3], 'strategy', ARGV[4],
  'reason', ARGV[5], 'sources', table.concat({unpack(ARGV, 6)}, '\n'))
redis.call('SET', KEYS[4], epoch, 'EX', ARGV[1])
return epoch
