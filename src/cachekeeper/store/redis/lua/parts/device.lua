-- A device: what it holds, the bytes that count against its quota, and what is on its way in or out.
--
-- ledger: used (bytes of the manifest), reserved (bytes on their way in or out), quota (as last
-- enforced). Files on their way in are in `reservations`, path -> token, bytes, deadline; those on
-- their way out in `leaving`, token -> deadline, bytes, copies: bytes count until their file is gone.
-- An entry of the manifest is its size, the name of the file (its copy), its expiry and its JSON.
-- While somebody follows the manifest, the ledger has: changes (the number of the last one) and
-- forgotten (the highest number of those that were dropped). The zset of changes has a number a path.
-- The state of a path is what the eviction of it needs and its policy knows: see parts/policy.lua.
-- `expires` may name paths that have gone: who finds them due finds them gone.
local device = {
  ledger = KEYS[1], reservations = KEYS[2], leaving = KEYS[3], manifest = KEYS[4], rank = KEYS[5],
  state = KEYS[6], expires = KEYS[7], stats = KEYS[8], events = KEYS[9],
  figures = KEYS[10], ghosts = KEYS[11], pins = KEYS[12], changes = KEYS[13],
}
local EVENTS, HISTORY = 1000, 30 * 86400  -- how many are kept, and how long after the last (s)
local A_LINE = 50  -- paths that one event may be of, where many go at once
local AT_ONCE = 500  -- entries in one call: some 5 ms
local CHANGES = 10000  -- paths of which it is remembered when they changed

local function whole(number)
  return string.format('%.0f', number + 0)  -- no minus before a zero
end

local function stamp()
  local time = redis.call('TIME')
  return string.format('%d.%06d', time[1], time[2])
end

-- Keep what has happened to paths just now, some of them in one line of the list.
local function tell(time, state, paths)
  local lines = {}
  for first = #paths, 1, -A_LINE do
    lines[#lines + 1] = time .. ' ' .. state .. ' '
      .. table.concat(paths, '\n', math.max(1, first - A_LINE + 1), first)
  end
  redis.call('LPUSH', device.events, unpack(lines))
  redis.call('LTRIM', device.events, 0, EVENTS - 1)
  redis.call('EXPIRE', device.events, HISTORY)
end

-- Of at most AT_ONCE paths.
local function note_changes(paths)
  if redis.call('HEXISTS', device.ledger, 'changes') == 0 then
    return
  end
  local before, scored = redis.call('HINCRBY', device.ledger, 'changes', #paths) - #paths, {}
  for i, path in ipairs(paths) do
    scored[2 * i - 1], scored[2 * i] = before + i, path
  end
  redis.call('ZADD', device.changes, unpack(scored))
  local over = redis.call('ZCARD', device.changes) - CHANGES
  if over > 0 then
    local dropped = redis.call('ZPOPMIN', device.changes, over)
    redis.call('HSET', device.ledger, 'forgotten', dropped[#dropped])
  end
end

-- Take entries, at most AT_ONCE, out of the manifest. Their bytes stay counted until the caller has
-- deleted the files and released the token. `copies` are the names of the files, parted by spaces.
local function take_out(paths, copies, total, token, deadline, state)
  redis.call('HDEL', device.manifest, unpack(paths))
  redis.call('HINCRBY', device.ledger, 'used', whole(-total))
  redis.call('HINCRBY', device.ledger, 'reserved', whole(total))
  local before = redis.call('HGET', device.leaving, token)
  if before then  -- sent again, since the answer was lost: at its deadline those are settled
    local apart = token .. ':' .. redis.call('HINCRBY', device.figures, 'rounds', 1)
    redis.call('HSET', device.leaving, apart, before)
  end
  redis.call('HSET', device.leaving, token, deadline .. ' ' .. whole(total) .. ' ' .. copies)
  tell(stamp(), state, paths)
  note_changes(paths)
end

-- The same for what goes for another reason than its rank: entries, as the manifest has them.
local function take_out_entries(paths, entries, token, deadline, state)
  local copies, total = {}, 0
  for i = 1, #paths do
    local size
    size, copies[i] = string.match(entries[i], '^(%d+) (%S+)')
    total = total + size
  end
  redis.call('ZREM', device.rank, unpack(paths))
  redis.call('HDEL', device.state, unpack(paths))
  take_out(paths, table.concat(copies, ' '), total, token, deadline, state)
  return copies
end

-- What was leaving under a token has gone. Returns 1, or 0 when it had already.
local function release(token)
  local leaving = redis.call('HGET', device.leaving, token)
  if not leaving then
    return 0
  end
  redis.call('HDEL', device.leaving, token)
  redis.call('HINCRBY', device.ledger, 'reserved', whole(-string.match(leaving, '^%S+ (%d+)')))
  return 1
end

-- The bytes reserved under a token for a path, nil when the reservation is gone.
local function reserved(path, token)
  local holder, bytes = string.match(redis.call('HGET', device.reservations, path) or '', '^(%S+) (%d+)')
  return holder == token and bytes or nil
end
