-- Change the state of a job, if it is one of those given. Its rates count from where it begins to run.
--
-- KEYS  job
-- ARGV  new state, reason, state ...
-- returns 1, or 0
local state = redis.call('HGET', KEYS[1], 'state')
for i = 3, #ARGV do
  if state == ARGV[i] then
    local now = server_time()
    redis.call('HSET', KEYS[1], 'state', ARGV[1], 'reason', ARGV[2], 'last', now)
    if ARGV[1] == 'running' then
      local known = redis.call('HMGET', KEYS[1], 'done', 'bytes')
      redis.call('HSET', KEYS[1], 'began', now, 'done_before', known[1] or 0, 'bytes_before', known[2] or 0)
    end
    return 1
  end
end
return 0
