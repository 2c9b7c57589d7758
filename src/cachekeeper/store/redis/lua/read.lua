-- Read a record if it is fresh: no source of it was marked after its as_of.
--
-- KEYS  record, marks, epoch
-- returns  nil                                   no record
--          {0}                                   stale; the record was removed (lazy removal)
--          {1, epoch, body, as_of, sources, filled, expires}
local record = redis.call('HMGET', KEYS[1], 'body', 'as_of', 'sources', 'filled', 'expires')
if not record[1] then
  return nil
end
local sources = {}
for source in string.gmatch(record[3], '[^\n]+') do
  sources[#sources + 1] = source
end
local as_of = tonumber(record[2])
for first = 1, #sources, 1000 do  -- unpack has its limits
  local last = math.min(first + 999, #sources)
  for _, mark in ipairs(redis.call('ZMSCORE', KEYS[2], unpack(sources, first, last))) do
    if mark and tonumber(mark) > as_of then
      redis.call('UNLINK', KEYS[1])
      return {0}
    end
  end
end
local epoch = tonumber(redis.call('GET', KEYS[3]) or '0')
return {1, epoch, record[1], record[2], record[3], record[4], record[5]}
