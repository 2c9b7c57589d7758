-- Give the lease of the sweep through the origin back, unless it is another's by now.
--
-- KEYS  lease
-- ARGV  token
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
