#!lua flags=allow-oom
-- Fence every node that has not applied the log up to an epoch: it gets no lease any more, so
-- once a lease has passed since, none of them serves anything from memory.
--
-- KEYS  acks, fenced
-- ARGV  epoch
-- returns the nodes
local silent = {}
local acks = redis.call('HGETALL', KEYS[1])
for i = 1, #acks, 2 do
  if tonumber(acks[i + 1]) < tonumber(ARGV[1]) then
    silent[#silent + 1] = acks[i]
    redis.call('SADD', KEYS[2], acks[i])
  end
end
return silent
