-- Put a request into the pending set of its strategy; the same id twice is one request. One that was
-- marked is done; one that was given up before may be sent again.
--
-- KEYS  pending, requests, receipt, marked
-- ARGV  id, request, time (s), receipt, keep (s), source ...
-- returns {the number of requests that wait, the request that waits or is claimed under this id or
-- an empty text}, nil when the id was marked for other sources (see mark.lua)
local before = redis.call('HGET', KEYS[2], ARGV[1]) or ''
if before == '' then
  local of = redis.call('HGET', KEYS[4], 'of')
  if of and of ~= redis.sha1hex(table.concat(ARGV, '\n', 6)) then
    return nil
  end
  if not of then
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
    redis.call('SET', KEYS[3], ARGV[4], 'EX', ARGV[5])
  end
end
return {redis.call('ZCARD', KEYS[1]), before}
