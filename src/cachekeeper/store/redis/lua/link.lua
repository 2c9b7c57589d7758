-- Replace what a key was derived from; each change goes to the log that snapshots follow.
--
-- KEYS  nodes, log, in:<key>
-- ARGV  key, log length, prefix of the out: sets, input ...
-- returns the number of edges changed
local key, changed, wanted = ARGV[1], 0, {}
for i = 4, #ARGV do
  wanted[ARGV[i]] = true
end
for _, input in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  if wanted[input] then
    wanted[input] = nil
  else
    redis.call('SREM', KEYS[3], input)
    redis.call('SREM', ARGV[3] .. input, key)
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'op', '-', 'u', input, 'v', key)
    changed = changed + 1
  end
end
for input in pairs(wanted) do
  redis.call('SADD', KEYS[1], input, key)
  redis.call('SADD', KEYS[3], input)
  redis.call('SADD', ARGV[3] .. input, key)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'op', '+', 'u', input, 'v', key)
  changed = changed + 1
end
return changed
