-- Look a path up in a device's manifest and count the access, in one trip.
-- The rank is core.retention.rank: the parts that "now" decides come as arguments.
--
-- KEYS  manifest, rank, accesses, stats, marks, events, last, clock
-- ARGV  path, now (s), 0.4 * now / horizon, usage weight, full usage, events kept, events' lifetime (s)
-- returns  nil  not held | {0}  stale or expired | {1, entry, accesses}
--          and, as the next element, the path read before this one
local before = redis.call('GETSET', KEYS[7], ARGV[1])
redis.call('EXPIRE', KEYS[7], ARGV[7])
local entry = redis.call('HGET', KEYS[1], ARGV[1])
local state = 'missing'
local held
if entry then
  held = cjson.decode(entry)
  state = tonumber(held.expires) > tonumber(ARGV[2]) and 'hit' or 'expired'
  if held.incarnation ~= tonumber(redis.call('HGET', KEYS[8], 'incarnation')) then
    state = 'stale'
  end
  for first = 1, #held.sources, 1000 do  -- unpack has its limits
    local last = math.min(first + 999, #held.sources)
    for _, mark in ipairs(redis.call('ZMSCORE', KEYS[5], unpack(held.sources, first, last))) do
      if mark and tonumber(mark) > held.as_of then
        state = 'stale'
      end
    end
  end
end
redis.call('LPUSH', KEYS[6], ARGV[2] .. ' ' .. state .. ' ' .. ARGV[1])
redis.call('LTRIM', KEYS[6], 0, ARGV[6] - 1)
redis.call('EXPIRE', KEYS[6], ARGV[7])
if state ~= 'hit' then
  redis.call('HINCRBY', KEYS[4], 'misses', 1)
  return {0, before or ''}
end
redis.call('HINCRBY', KEYS[4], 'hits', 1)
local accesses = redis.call('HINCRBY', KEYS[3], ARGV[1], 1)
if held.by == 'prefetch' and accesses == 1 then
  redis.call('HINCRBY', KEYS[4], 'prefetch_used', 1)
end
local usage = math.min(1, accesses / tonumber(ARGV[5]))
-- XX: what is pinned stays out of the order.
redis.call('ZADD', KEYS[2], 'XX', tonumber(ARGV[3]) + held.worth + tonumber(ARGV[4]) * usage, ARGV[1])
return {1, before or '', entry, accesses}
