-- A record: incarnation, as_of, filled, expires (doubles), accesses (4 bytes), number of sources (2)
-- and the bytes they take (4), how long its loader took (s, 4), sources each ended by a zero byte,
-- body. What extend.lua writes stands together.
local HEADER, HEADER_SIZE, EXPIRES_AT = '>ddddI4I2I4f', 46, 24

-- Whether a record, of which the body may be missing, is of the incarnation of a clock, and no
-- source of it was marked after its as_of. A mark raises the epoch: while the epoch is the record's
-- as_of, no source has a later one.
local function is_fresh(record, key, marks, clock)
  if #record < HEADER_SIZE then
    return false  -- an older version wrote less
  end
  local incarnation, as_of, _, _, _, count, _, _, at = struct.unpack(HEADER, record)
  if incarnation ~= tonumber(clock[1]) then
    return false
  end
  if tonumber(clock[2]) > as_of then
    -- The last of what unpack returns is a position: one more name, of no source.
    local found = redis.call('ZMSCORE', marks, 'o:' .. key, 'k:' .. key,
      'n:' .. string.match(key, '^[^:]*'), struct.unpack(string.rep('s', count), record, at))
    for i = 1, count + 3 do
      if found[i] and tonumber(found[i]) > as_of then
        return false
      end
    end
  end
  return true
end

