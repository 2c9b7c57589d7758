#!lua flags=allow-oom
-- Release what is still prepared after its deadline, and give out what was released and not done
-- in time. What is given out comes again after a while, unless it is forgotten. Works when the
-- server is full.
--
-- KEYS  prepared, released, prepared requests
-- ARGV  at most, seconds until it comes again
-- returns the requests
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('ZADD', KEYS[2], now, id)
end
local requests = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local request = redis.call('HGET', KEYS[3], id)
  if request then
    redis.call('ZADD', KEYS[2], now + ARGV[2], id)
    requests[#requests + 1] = request
  else
    redis.call('ZREM', KEYS[2], id)
  end
end
return requests
