-- Begin a warm job. Jobs that have ended are forgotten after a while, the oldest first.
--
-- KEYS  jobs
-- ARGV  prefix of a job's keys, id, now (s), how long ended ones are kept (s), open ones at most, device,
--       some targets as JSON, items that are done already, places ...
-- returns 1, or 0 when too many are open
local jobs, prefix, id, now = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local open = 0
for _, other in ipairs(redis.call('ZRANGE', jobs, 0, -1)) do
  local known = redis.call('HMGET', prefix .. other, 'state', 'last')
  if known[1] == 'running' then
    open = open + 1
  elseif tonumber(known[2] or 0) + ARGV[4] < now then
    for _, part in ipairs({'', ':places', ':items', ':claims'}) do
      redis.call('UNLINK', prefix .. other .. part)
    end
    redis.call('ZREM', jobs, other)
  else
    open = open + 0.1  -- remembered, and not for nothing
  end
end
if open >= tonumber(ARGV[5]) then
  return 0
end
redis.call('ZADD', jobs, now, id)
redis.call('HSET', prefix .. id, 'state', 'running', 'created', ARGV[3], 'began', ARGV[3],
  'last', ARGV[3], 'device', ARGV[6], 'targets', ARGV[7], 'items', ARGV[8], 'done', ARGV[8],
  'done_before', ARGV[8])
for i = 9, #ARGV do
  redis.call('RPUSH', prefix .. id .. ':places', ARGV[i])
end
return 1
