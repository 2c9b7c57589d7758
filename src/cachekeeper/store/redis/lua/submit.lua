-- Put a request into the pending set of its strategy; the same id twice is one request.
--
-- KEYS  pending, requests, receipt
-- ARGV  id, request, time (s), receipt, keep (s)
-- returns the number of requests that wait
if redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2]) == 1 then
  if redis.call('EXISTS', KEYS[3]) == 1 then
    redis.call('HDEL', KEYS[2], ARGV[1])  -- it has ended already
  else
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
    redis.call('SET', KEYS[3], ARGV[4], 'EX', ARGV[5])
  end
end
return redis.call('ZCARD', KEYS[1])
