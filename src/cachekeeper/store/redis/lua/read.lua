-- Read a record if it is fresh: of this incarnation, and no source of it marked after its as_of.
--
-- KEYS  record, marks, clock
-- ARGV  key
-- returns  nil  no record
--          ''   stale; the record was removed (lazy removal)
--          the epoch as a double, then the record as fill.lua wrote it
local record = redis.call('GET', KEYS[1])
if not record then
  return nil
end
local clock = redis.call('HMGET', KEYS[3], 'incarnation', 'epoch')
local incarnation, as_of, _, _, count, at = struct.unpack('>ddddI4', record)
local fresh = incarnation == tonumber(clock[1])
if fresh then
  local key = ARGV[1]
  local sources = {struct.unpack(string.rep('s', count), record, at)}
  sources[count + 1] = 'o:' .. key  -- in place of the position that unpack returns last
  sources[count + 2] = 'k:' .. key
  sources[count + 3] = 'n:' .. string.match(key, '^[^:]*')
  local marks = redis.call('ZMSCORE', KEYS[2], unpack(sources))
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
return struct.pack('>d', tonumber(clock[2])) .. record
