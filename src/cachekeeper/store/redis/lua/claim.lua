-- Claim the oldest pending requests of a strategy under a token, until a deadline.
--
-- KEYS  pending, inflight, requests
-- ARGV  strategy, token, at most, deadline (s)
-- returns {id, request or an empty text, ...}
local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[3])
local claimed = {}
for i = 1, #popped, 2 do
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1] .. '|' .. ARGV[2] .. '|' .. popped[i])
  claimed[#claimed + 1] = popped[i]
  claimed[#claimed + 1] = redis.call('HGET', KEYS[3], popped[i]) or ''
end
return claimed
