#!lua flags=allow-oom
-- Fence every node that has not applied the log up to an epoch: it gets no lease any more, so
-- once a lease has passed since, none of them serves anything from memory.
--
-- KEYS  acks, fenced
-- ARGV  epoch
-- returns the nodes
local silent = redis.call('ZRANGE', KEYS[1], '-inf', '(' .. ARGV[1], 'BYSCORE')
for _, node in ipairs(silent) do
  redis.call('SADD', KEYS[2], node)
end
return silent
