-- Look at a record without a change: as read.lua, which would remove a stale one.
--
-- KEYS  record, marks, clock
-- ARGV  key, how many bytes of the body are wanted
-- returns nil  no record
--         {bytes of the body, the record up to its body, the first bytes of that, incarnation now,
--          the latest mark of a source after its as_of or '', that source}
local record = redis.call('GET', KEYS[1])
if not record or #record < HEADER_SIZE then
  return nil
end
local _, as_of, _, _, _, count, size, _, at = struct.unpack(HEADER, record)
local key, body = ARGV[1], at + size
local names = {'o:' .. key, 'k:' .. key, 'n:' .. string.match(key, '^[^:]*'),
  struct.unpack(string.rep('s', count), record, at)}
names[#names] = nil  -- the last of what unpack returns is a position
local latest, source = '', ''
for i, mark in ipairs(redis.call('ZMSCORE', KEYS[2], unpack(names))) do
  if mark and tonumber(mark) > as_of and (latest == '' or tonumber(mark) > tonumber(latest)) then
    latest, source = mark, names[i]
  end
end
return {#record - body + 1, string.sub(record, 1, body - 1),
  string.sub(record, body, body + ARGV[2] - 1), redis.call('HGET', KEYS[3], 'incarnation') or '',
  latest, source}
