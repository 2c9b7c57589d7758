-- Read a record if it is fresh: of this incarnation, and no source of it marked after its as_of.
-- A mark raises the epoch: while the epoch is the record's as_of, no source has a later one.
--
-- KEYS  record, marks, clock
-- ARGV  key
-- returns  nil  no record
--          ''   stale; the record was removed (lazy removal)
--          {epoch, the record as fill.lua wrote it}
local record = redis.call('GET', KEYS[1])
if not record then
  return nil
end
local clock = redis.call('HMGET', KEYS[3], 'incarnation', 'epoch')
local incarnation, as_of, _, _, count, _, at = struct.unpack('>ddddI2I4', record)
local fresh = incarnation == tonumber(clock[1])
if fresh and tonumber(clock[2]) > as_of then
  local key, names = ARGV[1], string.rep('s', count)
  -- The last of what unpack returns is a position: one more name, of no source.
  local marks = redis.call('ZMSCORE', KEYS[2], 'o:' .. key, 'k:' .. key,
    'n:' .. string.match(key, '^[^:]*'), struct.unpack(names, record, at))
  for i = 1, count + 3 do
    if marks[i] and tonumber(marks[i]) > as_of then
      fresh = false
      break
    end
  end
end
if not fresh then
  redis.call('UNLINK', KEYS[1])
  return ''
end
return {clock[2], record}
