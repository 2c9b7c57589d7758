-- Record what a transaction is about to make stale. If nobody says how the transaction ended, it
-- is done at its deadline (overdue.lua), which the server's clock alone decides.
--
-- KEYS  prepared, prepared requests
-- ARGV  seconds until the deadline, requests recorded at most, then for each: id, request
-- returns 1; or 0, when there would be too many, and nothing was recorded
local more = (#ARGV - 2) / 2
if redis.call('HLEN', KEYS[2]) + more > tonumber(ARGV[2]) then
  return 0
end
local time = redis.call('TIME')
local deadline = time[1] + time[2] / 1e6 + ARGV[1]
for i = 3, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], deadline, ARGV[i])
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
return 1
