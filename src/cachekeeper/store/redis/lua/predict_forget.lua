-- Forget the files among the first of the queue that were last read before a day; the others go to its end.
--
-- KEYS  items, queue
-- ARGV  day, how many to look at
-- returns how many were forgotten
local day, gone = tonumber(ARGV[1]), 0
for _ = 1, tonumber(ARGV[2]) do
  local digest = redis.call('LPOP', KEYS[2])
  if not digest then
    break
  end
  local raw = redis.call('HGET', KEYS[1], digest)
  if raw and struct.unpack('>H', raw) < day then
    redis.call('HDEL', KEYS[1], digest)
    gone = gone + 1
  elseif raw then
    redis.call('RPUSH', KEYS[2], digest)
  end
end
return gone
