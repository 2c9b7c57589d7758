-- What has changed in a manifest since a position: entries stored, removed, pinned, and those that
-- have become stale, which no entry says: the marks do.
--
-- It gives up, and has all of it listed, if changes were dropped since, in another incarnation, if
-- the position is of a history that this server has lost, if there were too many marks to look at, or if
-- one may concern any entry.
--
-- KEYS  ledger, manifest, pins, clock, marks, changes
-- ARGV  number, incarnation, epoch of the position; changes at most, marks at most
-- returns {} to have all listed | {epoch, number that it goes on from, whether there is more, rows}
local after, since = tonumber(ARGV[1]), tonumber(ARGV[3])
local last, now = number_of('changes'), epoch()
if redis.call('HEXISTS', KEYS[1], 'changes') == 0 or incarnation ~= tonumber(ARGV[2])
    or after < number_of('forgotten') or after > last or since > now then
  return {}
end
local rows, told = {}, {}
local function tell(path)
  if not told[path] then
    told[path] = true
    add_row(rows, path, redis.call('HGET', KEYS[2], path))
  end
end

local marks = redis.call('ZRANGE', KEYS[5], '(' .. ARGV[3], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[5] + 1)
if #marks > tonumber(ARGV[5]) then
  return {}
end
local wide = redis.call('HEXISTS', KEYS[1], 'wide') == 1
for _, source in ipairs(marks) do
  if wide or source == 'n:file' then
    return {}
  end
  local path = string.match(source, '^[ko]:file:(.*)$')
  if path and redis.call('HEXISTS', KEYS[2], path) == 1 then
    tell(path)
  end
end

local changed = redis.call('ZRANGE', KEYS[6], '(' .. ARGV[1], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[4], 'WITHSCORES')
for i = 1, #changed, 2 do
  tell(changed[i])
end
local reached = #changed > 0 and tonumber(changed[#changed]) or last
local more = redis.call('ZCOUNT', KEYS[6], '(' .. reached, '+inf')
return {now, more > 0 and reached or last, more > 0 and 1 or 0, rows}
