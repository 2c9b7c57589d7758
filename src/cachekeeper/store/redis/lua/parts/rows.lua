-- Entries of a manifest as a device is told them: path, entry, whether it is stale, whether pinned.
--
-- Scripts made with this have as keys: ledger, manifest, pins, clock, marks, changes.

local incarnation = tonumber(redis.call('HGET', KEYS[4], 'incarnation') or '-1')

local function is_stale(held)
  if held.incarnation ~= incarnation then
    return true
  end
  for first = 1, #held.sources, 1000 do  -- unpack has its limits
    local last = math.min(first + 999, #held.sources)
    for _, mark in ipairs(redis.call('ZMSCORE', KEYS[5], unpack(held.sources, first, last))) do
      if mark and tonumber(mark) > held.as_of then
        return true
      end
    end
  end
  return false
end

-- An entry that is '' is not held any more.
local function add_row(rows, path, entry)
  local held = entry and cjson.decode(string.match(entry, '{.*$'))
  rows[#rows + 1] = {
    path, entry or '', held and is_stale(held) and 1 or 0, redis.call('HEXISTS', KEYS[3], path)
  }
end

local function number_of(field)
  return tonumber(redis.call('HGET', KEYS[1], field) or '0')
end

local function epoch()
  return tonumber(redis.call('HGET', KEYS[4], 'epoch') or '0')
end

