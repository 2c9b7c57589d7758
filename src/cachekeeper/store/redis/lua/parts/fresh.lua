-- Whether what was made in an incarnation, as of an epoch, from these sources is fresh still.
local function is_fresh(clock, marks, incarnation, as_of, sources)
  if tonumber(redis.call('HGET', clock, 'incarnation')) ~= tonumber(incarnation) then
    return false
  end
  for first = 1, #sources, 1000 do  -- unpack has its limits
    local last = math.min(first + 999, #sources)
    for _, mark in ipairs(redis.call('ZMSCORE', marks, unpack(sources, first, last))) do
      if mark and tonumber(mark) > tonumber(as_of) then
        return false
      end
    end
  end
  return true
end

local function own_sources(path)
  return {'o:file:' .. path, 'k:file:' .. path, 'n:file'}
end

-- Whether an entry of a manifest is a copy that a read would be given.
local function is_good(clock, marks, entry, now)
  if not entry then
    return false
  end
  local expires, json = string.match(entry, '^%d+ %S+ (%S+) (.*)$')
  local held = cjson.decode(json)
  return tonumber(expires) > now and is_fresh(clock, marks, held.incarnation, held.as_of, held.sources)
end

-- Seconds by the server's clock.
local function server_time()
  local time = redis.call('TIME')
  return time[1] + time[2] / 1e6
end
