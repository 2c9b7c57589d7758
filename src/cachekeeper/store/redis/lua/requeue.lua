-- Put claims whose deadline has passed back into their pending set; their claimer is dead.
--
-- Those claimed too often become dead letters, in the same step; what is no JSON as a text.
--
-- KEYS  inflight, attempts, requests, dead
-- ARGV  now (s), at most, attempts allowed, prefix of the pending sets, reason, letters kept
-- returns {requeued, {request given up, ...}}
local requeued, given_up = 0, {}
for _, claim in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local strategy, id = string.match(claim, '^([^|]*)|[^|]*|(.*)$')
  redis.call('ZREM', KEYS[1], claim)
  if redis.call('HINCRBY', KEYS[2], id, 1) > tonumber(ARGV[3]) then
    local request = redis.call('HGET', KEYS[3], id) or ''
    local kept = pcall(cjson.decode, request) and request or cjson.encode(request)
    redis.call('LPUSH', KEYS[4],
      '{"at": ' .. ARGV[1] .. ', "reason": ' .. cjson.encode(ARGV[5]) .. ', "request": ' .. kept .. '}')
    redis.call('LTRIM', KEYS[4], 0, ARGV[6] - 1)
    given_up[#given_up + 1] = request
    redis.call('HDEL', KEYS[3], id)
    redis.call('HDEL', KEYS[2], id)
  else
    redis.call('ZADD', ARGV[4] .. strategy, ARGV[1], id)
    requeued = requeued + 1
  end
end
return {requeued, given_up}
