-- Put claims whose deadline has passed back into their pending set; their claimer is dead.
--
-- Those claimed too often are taken out for good: whoever calls has to bury them.
--
-- KEYS  inflight, attempts, requests
-- ARGV  now (s), at most, attempts allowed, prefix of the pending sets
-- returns {requeued, {request given up, ...}}
local requeued, given_up = 0, {}
for _, claim in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local strategy, id = string.match(claim, '^([^|]*)|[^|]*|(.*)$')
  redis.call('ZREM', KEYS[1], claim)
  if redis.call('HINCRBY', KEYS[2], id, 1) > tonumber(ARGV[3]) then
    given_up[#given_up + 1] = redis.call('HGET', KEYS[3], id)
    redis.call('HDEL', KEYS[3], id)
    redis.call('HDEL', KEYS[2], id)
  else
    redis.call('ZADD', ARGV[4] .. strategy, ARGV[1], id)
    requeued = requeued + 1
  end
end
return {requeued, given_up}
