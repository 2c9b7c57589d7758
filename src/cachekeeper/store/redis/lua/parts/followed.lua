-- What a change of a manifest leaves for the device that follows it, and what a pin keeps.
--
-- Scripts made with this have the ledger as their first key, the pins as the last but one and the
-- changes as the last. In the ledger:
--   changes    number of the last change; not there while nobody follows the manifest
--   forgotten  the highest number among the changes that were dropped for room
--   pinned     bytes of all pins
--   wide       there since an entry had sources beside its own

local CHANGES_KEPT = 10000

-- At most 1000 paths.
local function note_changes(paths)
  if #paths == 0 or redis.call('HEXISTS', KEYS[1], 'changes') == 0 then
    return
  end
  local before, scored = redis.call('HINCRBY', KEYS[1], 'changes', #paths) - #paths, {}
  for i, path in ipairs(paths) do
    scored[2 * i - 1], scored[2 * i] = before + i, path
  end
  redis.call('ZADD', KEYS[#KEYS], unpack(scored))
  local over = redis.call('ZCARD', KEYS[#KEYS]) - CHANGES_KEPT
  if over > 0 then
    local dropped = redis.call('ZPOPMIN', KEYS[#KEYS], over)
    redis.call('HSET', KEYS[1], 'forgotten', dropped[#dropped])
  end
end

local function note_sources(entry)
  if #cjson.decode(entry).sources > 3 then
    redis.call('HSET', KEYS[1], 'wide', 1)
  end
end

local function is_pinned(path)
  return redis.call('HEXISTS', KEYS[#KEYS - 1], path) == 1
end

-- Whether a path is pinned; its pin counts the bytes of the new copy from here on.
local function still_pinned(path, size)
  local pinned = redis.call('HGET', KEYS[#KEYS - 1], path)
  if not pinned then
    return false
  end
  redis.call('HSET', KEYS[#KEYS - 1], path, size)
  redis.call('HINCRBY', KEYS[1], 'pinned', size - pinned)
  return true
end

