#!lua flags=allow-oom
-- Declare after the fact that a value was made from other keys: the value becomes a group that
-- they belong to, so that marking one of them marks it too. What it is made of lives as long as it.
--
-- KEYS  groups, marks
-- ARGV  source of the value, its as_of, expires (s), prefixes of a source's groups, a group's
--       members and its subgroups, source ...
-- returns 1 declared, 0 declared, but the value is stale for it: a source was marked since, or is
--         a group that has gone and vouches for nothing any more
local fresh = 1
local expires = tonumber(ARGV[3])
for _, above in ipairs(redis.call('SMEMBERS', ARGV[4] .. ARGV[1])) do  -- what lives on through it
  expires = math.max(expires, tonumber(redis.call('ZSCORE', KEYS[1], above) or '0'))
end
for i = 7, #ARGV do
  local mark = redis.call('ZSCORE', KEYS[2], ARGV[i])
  local gone = string.sub(ARGV[i], 1, 2) == 'g:' and not redis.call('ZSCORE', KEYS[1], ARGV[i])
  if gone or mark and tonumber(mark) > tonumber(ARGV[2]) then
    fresh = 0
  end
  redis.call('SADD', ARGV[4] .. ARGV[i], ARGV[1])
  redis.call('SADD', ARGV[5] .. ARGV[1], ARGV[i])
  redis.call('SADD', ARGV[6] .. ARGV[1], ARGV[i])
end
redis.call('ZADD', KEYS[1], 'GT', expires, ARGV[1])
local extended = {}
local function extend(named)  -- and the groups that it is made of
  if extended[named] then
    return
  end
  extended[named] = true
  redis.call('ZADD', KEYS[1], 'XX', 'GT', expires, named)
  for _, subgroup in ipairs(redis.call('SMEMBERS', ARGV[6] .. named)) do
    extend(subgroup)
  end
end
extend(ARGV[1])
return fresh
