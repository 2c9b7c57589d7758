-- What was found at a place goes to what is to be done, and the claim of the place ends. If that has
-- passed, somebody else lists it.
--
-- KEYS  job, places, items, claims
-- ARGV  token, items, bytes, why it failed or '', number of paths, path ..., place ...
-- returns nothing
if redis.call('HDEL', KEYS[4], ARGV[1]) == 0 then
  return
end
local paths = tonumber(ARGV[5])
for i = 6, #ARGV do
  redis.call('RPUSH', i < 6 + paths and KEYS[3] or KEYS[2], ARGV[i])
end
redis.call('HINCRBY', KEYS[1], 'items', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'total_bytes', ARGV[3])
if ARGV[4] ~= '' then
  redis.call('HINCRBY', KEYS[1], 'failed:' .. ARGV[4], 1)
end
redis.call('HSET', KEYS[1], 'last', server_time())
