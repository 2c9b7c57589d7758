-- Store a record, unless one of its sources was marked after its as_of: a slow fill that
-- overlaps an invalidation must not bring the old value back.
--
-- KEYS  record, marks, expiry, epoch
-- ARGV  key, body, as_of, filled, expires (s), longest lifetime (s), source ...
-- returns the epoch at which it was stored, nil when refused
local as_of, sources = tonumber(ARGV[3]), {}
for first = 7, #ARGV, 1000 do  -- unpack has its limits
  local last = math.min(first + 999, #ARGV)
  for i = first, last do
    sources[#sources + 1] = ARGV[i]
  end
  for _, mark in ipairs(redis.call('ZMSCORE', KEYS[2], unpack(ARGV, first, last))) do
    if mark and tonumber(mark) > as_of then
      return nil
    end
  end
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'body', ARGV[2], 'as_of', ARGV[3], 'sources', table.concat(sources, '\n'),
  'filled', ARGV[4], 'expires', ARGV[5])
redis.call('PEXPIREAT', KEYS[1], math.ceil(tonumber(ARGV[5]) * 1000))
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[1])
if redis.call('TTL', KEYS[3]) < tonumber(ARGV[6]) then
  redis.call('EXPIRE', KEYS[3], ARGV[6])  -- the index outlives its longest-lived member
end
return tonumber(redis.call('GET', KEYS[4]) or '0')
