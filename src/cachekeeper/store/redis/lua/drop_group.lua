-- Forget a group that no value names any more.
--
-- KEYS  groups, members of the group, its subgroups
-- ARGV  group, now (s), prefix of the memberships
-- returns 1 forgotten, 0 still needed
local expires = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not expires or tonumber(expires) > tonumber(ARGV[2]) then
  return 0
end
for _, member in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  redis.call('SREM', ARGV[3] .. member, ARGV[1])
end
redis.call('UNLINK', KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[1], ARGV[1])
return 1
