-- A source that is a group has to live as long as any value that names it, and so have the groups
-- that it is made of. Sources that are no groups are left alone.
--
-- groups: name of their zset; subgroups: prefix of their sets; seen: those that were told already
local function live_on(groups, subgroups, named, expires, seen)
  if seen[named] then
    return
  end
  seen[named] = true
  redis.call('ZADD', groups, 'XX', 'GT', expires, named)
  for _, subgroup in ipairs(redis.call('SMEMBERS', subgroups .. named)) do
    live_on(groups, subgroups, subgroup, expires, seen)
  end
end

