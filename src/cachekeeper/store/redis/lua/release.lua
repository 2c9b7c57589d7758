#!lua flags=allow-oom
-- The transaction has committed: what it prepared is to be done, by who calls this or, should they
-- fail, by the sweep. Works when the server is full.
--
-- What is not prepared any more was done at its deadline, before the commit: done then, it says
-- nothing of what was read in between, so it is to be done again, as the spare request. A second
-- call of the same (after a broken connection) finds so too; that costs one invalidation too many.
--
-- KEYS  prepared, released, prepared requests
-- ARGV  seconds until the sweep does it, then for each: id, id of the spare, spare request
-- returns the ids to be done
local time = redis.call('TIME')
local retry = time[1] + time[2] / 1e6 + ARGV[1]
local ids = {}
for i = 2, #ARGV, 3 do
  local id, deadline = ARGV[i], redis.call('ZSCORE', KEYS[1], ARGV[i])
  if deadline then
    redis.call('ZREM', KEYS[1], id)
  else
    id, deadline = ARGV[i + 1], retry
    redis.call('HSET', KEYS[3], id, ARGV[i + 2])
  end
  redis.call('ZADD', KEYS[2], math.min(tonumber(deadline), retry), id)
  ids[#ids + 1] = id
end
return ids
