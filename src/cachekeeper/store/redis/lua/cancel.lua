#!lua flags=allow-oom
-- The transaction was rolled back: forget what it prepared. What is not prepared any more is done
-- or on its way. Works when the server is full.
--
-- KEYS  prepared, prepared requests
-- ARGV  id ...
-- returns how many were forgotten
local forgotten = 0
for _, id in ipairs(ARGV) do
  if redis.call('ZREM', KEYS[1], id) == 1 then
    redis.call('HDEL', KEYS[2], id)
    forgotten = forgotten + 1
  end
end
return forgotten
