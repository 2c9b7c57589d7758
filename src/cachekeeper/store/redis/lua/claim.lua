-- Claim the oldest pending requests of a strategy under a token, until a deadline: so many, or so many
-- bytes, whichever is met first.
--
-- KEYS  pending, inflight, requests, contents, contents by id
-- ARGV  strategy, token, at most, deadline (s), bytes at most
-- returns {id, request or an empty text, ...}
local claimed, bytes = {}, 0
while #claimed < 2 * tonumber(ARGV[3]) and bytes < tonumber(ARGV[5]) do
  local id = redis.call('ZPOPMIN', KEYS[1])[1]
  if not id then
    break
  end
  local content = redis.call('HGET', KEYS[5], id)
  if content then  -- from here on no other request is merged into it
    redis.call('HDEL', KEYS[5], id)
    if redis.call('HGET', KEYS[4], content) == id then
      redis.call('HDEL', KEYS[4], content)
    end
  end
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1] .. '|' .. ARGV[2] .. '|' .. id)
  local request = redis.call('HGET', KEYS[3], id) or ''
  bytes = bytes + #request
  claimed[#claimed + 1] = id
  claimed[#claimed + 1] = request
end
return claimed
