#!lua flags=allow-oom
-- Mark sources as invalidated: the one thing that makes old values stale, whatever the strategy.
-- The groups that a source belongs to are marked with it, and the groups they belong to.
-- A request that was marked before in this incarnation is not marked again, so that a redelivered
-- one has its effect once; an id that stood for other sources is refused, not taken for done.
-- Works when the server is full.
--
-- KEYS  clock, marks, log, marked, groups
-- ARGV  remember (s), request, time (s), strategy, reason, who asked, content of the request, prefix of
--       the memberships, source ...
-- returns {incarnation, epoch}, nil when refused
local incarnation = redis.call('HGET', KEYS[1], 'incarnation')
if not incarnation then
  return redis.error_reply('NOCLOCK the server has lost its clock')
end
local before = redis.call('HMGET', KEYS[4], 'incarnation', 'epoch', 'of')
if before[3] and before[3] ~= ARGV[7] then
  return nil
end
if before[1] and before[1] == incarnation then
  return {tonumber(incarnation), tonumber(before[2])}
end
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
local sources = {unpack(ARGV, 9)}
if redis.call('EXISTS', KEYS[5]) == 1 then  -- else there is no group to look for
  local seen, i = {}, 1
  for _, source in ipairs(sources) do
    seen[source] = true
  end
  while i <= #sources do
    for _, group in ipairs(redis.call('SMEMBERS', ARGV[8] .. sources[i])) do
      if not seen[group] then
        seen[group] = true
        sources[#sources + 1] = group
      end
    end
    i = i + 1
  end
end
for first = 1, #sources, 1000 do  -- unpack has its limits
  local scored = {}
  for j = first, math.min(first + 999, #sources) do
    scored[#scored + 1] = epoch
    scored[#scored + 1] = sources[j]
  end
  redis.call('ZADD', KEYS[2], unpack(scored))
end
redis.call('XADD', KEYS[3], epoch .. '-0', 'request', ARGV[2], 'at', ARGV[3], 'strategy', ARGV[4],
  'reason', ARGV[5], 'by', ARGV[6], 'sources', table.concat(sources, '\n'))
redis.call('HSET', KEYS[4], 'incarnation', incarnation, 'epoch', epoch, 'of', ARGV[7])
redis.call('EXPIRE', KEYS[4], ARGV[1])
return {tonumber(incarnation), epoch}
