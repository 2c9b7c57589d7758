#!lua flags=allow-oom
-- Ask to be rung when every registered node has applied the log up to an epoch: at once if that is
-- so, else by the renewal of the last one (renew.lua). Works when the server is full.
--
-- KEYS  clock, acks, waiting, bell
-- ARGV  epoch, name of the bell, ring (s)
-- returns {incarnation, node, epoch applied, ...}, the node that is furthest behind first
local incarnation = redis.call('HGET', KEYS[1], 'incarnation') or '0'
local known = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
table.insert(known, 1, incarnation)
if #known == 1 or tonumber(known[3]) >= tonumber(ARGV[1]) then
  redis.call('LPUSH', KEYS[4], table.concat(known, '\n'))
  redis.call('EXPIRE', KEYS[4], ARGV[3])
else
  redis.call('ZADD', KEYS[3], ARGV[1], ARGV[2])
  redis.call('EXPIRE', KEYS[3], ARGV[3])
end
return known
