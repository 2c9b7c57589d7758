-- Put claims whose deadline has passed back into their pending set; their claimer is dead.
--
-- KEYS  inflight, attempts, requests, dead
-- ARGV  now (s), at most, attempts allowed, prefix of the pending sets, dead letters kept
-- returns {requeued, buried}
local requeued, buried = 0, 0
for _, claim in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local strategy, id = string.match(claim, '^([^|]*)|[^|]*|(.*)$')
  redis.call('ZREM', KEYS[1], claim)
  if redis.call('HINCRBY', KEYS[2], id, 1) > tonumber(ARGV[3]) then
    local request = redis.call('HGET', KEYS[3], id)
    redis.call('LPUSH', KEYS[4], cjson.encode({at = ARGV[1], reason = 'claimed too often', request = request}))
    redis.call('LTRIM', KEYS[4], 0, ARGV[5] - 1)
    redis.call('HDEL', KEYS[3], id)
    redis.call('HDEL', KEYS[2], id)
    buried = buried + 1
  else
    redis.call('ZADD', ARGV[4] .. strategy, ARGV[1], id)
    requeued = requeued + 1
  end
end
return {requeued, buried}
