-- A claimed request is done; only its claimer may say so.
--
-- KEYS  inflight, requests, attempts
-- ARGV  strategy, token, id ...
-- returns how many were still claimed under this token
local done = 0
for i = 3, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[1] .. '|' .. ARGV[2] .. '|' .. ARGV[i]) == 1 then
    redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('HDEL', KEYS[3], ARGV[i])
    done = done + 1
  end
end
return done
