-- Forget a key of the graph that has neither a value nor anything derived from it.
--
-- KEYS  nodes, log, in:<key>, out:<key>, value, binding
-- ARGV  key, log length, prefix of the out: sets
-- returns 1 forgotten, 0 still needed
if redis.call('EXISTS', KEYS[4], KEYS[5], KEYS[6]) > 0 then
  return 0
end
for _, input in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  redis.call('SREM', ARGV[3] .. input, ARGV[1])
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'op', '-', 'u', input, 'v', ARGV[1])
end
redis.call('UNLINK', KEYS[3])
redis.call('SREM', KEYS[1], ARGV[1])
return 1
