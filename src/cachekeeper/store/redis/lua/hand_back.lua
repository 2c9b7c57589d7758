-- Put claimed requests back into their pending set; only their claimer may, which is told to stop.
--
-- That is no failure of theirs, so it is not among the attempts that they are allowed.
--
-- KEYS  inflight, pending
-- ARGV  strategy, token, now (s), id ...
-- returns how many were still claimed under this token
local back = 0
for i = 4, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[1] .. '|' .. ARGV[2] .. '|' .. ARGV[i]) == 1 then
    redis.call('ZADD', KEYS[2], ARGV[3], ARGV[i])
    back = back + 1
  end
end
return back
