-- Reserve room on a device before a download starts, so that concurrent ones can't overshoot. If
-- there is none, take out what is worth least, as the policy says: the caller deletes those files
-- and asks again, with the token under which they were leaving, and nobody takes their room meanwhile.
--
-- One reservation a path. What is being replaced still counts, until the new copy is committed and
-- the old one deleted.
--
-- KEYS  the device's (parts/device.lua), devices
-- ARGV  path, bytes, quota, headroom, token, now, deadline (s), device, policy, demand or prefetch,
--       weight of the priority, token to release or '', what was returned before: worth and state, or ''
-- returns  {1, worth, state}  reserved
--          {0, worth, state, token, the files to be deleted, parted by spaces}  ask again
--          {-1}  the path is busy
--          {-2, reason}  refused: oversize, pinned (with the pins, beyond the quota), room, or worth
--              (less than what would have to go)
local path, size, quota, headroom = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local token, now, deadline, policy, by = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[9], ARGV[10]
if ARGV[12] ~= '' then
  release(ARGV[12])
end
local function refuse(reason)
  redis.call('HDEL', device.reservations, path)
  redis.call('HINCRBY', device.stats, 'refused', 1)
  tell(ARGV[6], 'refused', {path})
  return {-2, reason}
end
if redis.call('HEXISTS', device.reservations, path) == 1 and not reserved(path, token) then
  return {-1}
end
local mine = tonumber(reserved(path, token) or '0')
if mine > 0 then  -- sent again, since the answer was lost: what was reserved then counts once
  redis.call('HINCRBY', device.ledger, 'reserved', whole(-mine))
  redis.call('HSET', device.reservations, path, token .. ' 0 ' .. deadline)
end
local worth, seen = tonumber(ARGV[13]), ARGV[14] ~= '' and seen_of(ARGV[14])
local is_new = redis.call('HEXISTS', device.manifest, path) == 0
if not seen then
  redis.call('SADD', KEYS[14], ARGV[8])
  redis.call('HSET', device.ledger, 'quota', ARGV[3])
  local reason = size > quota and 'oversize' or size > quota - all_pinned() and 'pinned'
  if reason then
    if policy == 'gdga' and by == 'demand' then
      gdga.count(size)
    end
    return refuse(reason)
  end
  if is_new then
    seen, worth = asked_for(policy, path, size, tonumber(ARGV[11]), now, by, quota)
  else
    seen = seen_of(redis.call('HGET', device.state, path))
    seen.weight, seen.size = tonumber(ARGV[11]), size
    worth = touched(policy, seen, now, by)
  end
end
local known = redis.call('HMGET', device.ledger, 'used', 'reserved')
local missing = (known[1] or 0) + (known[2] or 0) + size - quota
if missing <= 0 then
  redis.call('HINCRBY', device.ledger, 'reserved', whole(size))
  redis.call('HSET', device.reservations, path, token .. ' ' .. whole(size) .. ' ' .. deadline)
  return {1, exact(worth), state_of(seen, token)}
end
redis.call('HSET', device.reservations, path, token .. ' 0 ' .. deadline)  -- busy, until it is in
local first
local pushes = is_pinned(path)  -- whatever the others are worth
local found = lowest(missing + headroom, function(victim, so_far)
  if pushes or so_far >= missing then
    return true
  end
  local score = tonumber(redis.call('ZSCORE', device.rank, victim))
  first = first or score
  return may_push_out(policy, worth, score, by)
end)
if found.bytes < missing and (found.refused or found.all) then
  if policy == 'gdga' and is_new then
    if found.refused then
      gdga.raise_floor(math.min(worth, first))
    end
    gdga.remember(path, seen, quota)
  end
  return refuse(found.refused and 'worth' or 'room')
end
if #found.paths == 0 then
  return refuse('room')
end
local leaving = token .. ':' .. redis.call('HINCRBY', device.figures, 'rounds', 1)
local copies = let_go(policy, found, quota, leaving, deadline, missing + headroom)
return {0, exact(worth), state_of(seen, token), leaving, copies}
