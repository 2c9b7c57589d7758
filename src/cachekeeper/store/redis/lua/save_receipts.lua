#!lua flags=allow-oom
-- Keep receipts; who waits for one that has ended is handed it. Works when the server is full: what
-- was done must be told.
--
-- KEYS  records, then for each: receipt, bell
-- ARGV  keep (s), ring (s), 1 to leave a receipt that is there alone or 0, then for each: id,
--       receipt, time (s), 1 if it has ended or 0
local n = 4
for i = 2, #KEYS, 2 do
  local id, receipt, submitted, ended = ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3]
  if ARGV[3] == '0' or redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('SET', KEYS[i], receipt, 'EX', ARGV[1])
    if ended == '1' then
      redis.call('LPUSH', KEYS[i + 1], receipt)
      redis.call('LTRIM', KEYS[i + 1], 0, 0)
      redis.call('EXPIRE', KEYS[i + 1], ARGV[2])
    end
  end
  redis.call('ZADD', KEYS[1], submitted, id)
  n = n + 4
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
