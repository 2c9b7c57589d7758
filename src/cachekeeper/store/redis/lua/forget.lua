-- Drop keys from the order of expiry, but not those that were filled again since they were due.
--
-- KEYS  expiry
-- ARGV  now (s), key ...
-- returns the number of keys dropped
local gone, now = 0, tonumber(ARGV[1])
for i = 2, #ARGV do
  local expires = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if expires and tonumber(expires) <= now then
    gone = gone + redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return gone
