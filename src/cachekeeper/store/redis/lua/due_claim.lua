#!lua flags=allow-oom
-- Claim work that is due, under a token. It is due again at the deadline, unless it was sent. Works
-- when the server is full.
--
-- KEYS  due, work, claims
-- ARGV  now (s), token, deadline (s), at most
-- returns {id, work, ...}
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[4])) do
  redis.call('ZADD', KEYS[1], ARGV[3], id)
  redis.call('HSET', KEYS[3], id, ARGV[2])
  claimed[#claimed + 1] = id
  claimed[#claimed + 1] = redis.call('HGET', KEYS[2], id)
end
return claimed
