-- Store a record, unless it belongs to another incarnation or one of its sources was marked after
-- its as_of: a slow fill that overlaps an invalidation must not bring the old value back.
--
-- Too many sources fold into a group: each becomes a member of it, here and now, so that a mark of
-- a member marks the group. A group lives as long as any value that names it.
--
-- record: incarnation, as_of, filled, expires (doubles), number of sources (2 bytes) and the bytes
-- they take (4), sources each ended by a zero byte, body
--
-- KEYS  record, marks, clock, expiry, groups
-- ARGV  key, incarnation, as_of, filled, expires (s), lifetime of the index (s), group or '',
--       prefixes of a source's groups, a group's members and its subgroups, body, source ...
-- returns the epoch, nil when refused
local key, as_of, expires, group = ARGV[1], tonumber(ARGV[3]), ARGV[5], ARGV[7]
local clock = redis.call('HMGET', KEYS[3], 'incarnation', 'epoch')
if clock[1] ~= ARGV[2] then
  return nil
end
local own = {'o:' .. key, 'k:' .. key, 'n:' .. string.match(key, '^[^:]*')}
local function marked(marks)
  for _, mark in ipairs(marks) do
    if mark and tonumber(mark) > as_of then
      return true
    end
  end
end
if marked(redis.call('ZMSCORE', KEYS[2], unpack(own))) then
  return nil
end
for first = 12, #ARGV, 1000 do  -- unpack has its limits
  if marked(redis.call('ZMSCORE', KEYS[2], unpack(ARGV, first, math.min(first + 999, #ARGV)))) then
    return nil
  end
end
for i = 12, #ARGV do  -- a group that has gone vouches for nothing any more
  if string.sub(ARGV[i], 1, 2) == 'g:' and not redis.call('ZSCORE', KEYS[5], ARGV[i]) then
    return nil
  end
end
local extended = {}
local function extend(named)  -- and the groups that it is made of
  if extended[named] then
    return
  end
  extended[named] = true
  if named == group then
    redis.call('ZADD', KEYS[5], 'GT', expires, named)
  else
    redis.call('ZADD', KEYS[5], 'XX', 'GT', expires, named)
  end
  for _, subgroup in ipairs(redis.call('SMEMBERS', ARGV[10] .. named)) do
    extend(subgroup)
  end
end
local sources, count = '', 0
if group ~= '' then
  for i = 12, #ARGV do
    redis.call('SADD', ARGV[8] .. ARGV[i], group)
    redis.call('SADD', ARGV[9] .. group, ARGV[i])
    if redis.call('ZSCORE', KEYS[5], ARGV[i]) then
      redis.call('SADD', ARGV[10] .. group, ARGV[i])
    end
  end
  extend(group)
  sources, count = group .. '\0', 1
elseif #ARGV > 11 then
  sources, count = table.concat(ARGV, '\0', 12) .. '\0', #ARGV - 11
  for i = 12, #ARGV do
    extend(ARGV[i])
  end
end
local record = struct.pack('>ddddI2I4', tonumber(ARGV[2]), as_of, tonumber(ARGV[4]),
  tonumber(expires), count, #sources) .. sources .. ARGV[11]
redis.call('SET', KEYS[1], record, 'PXAT', string.format('%.0f', tonumber(expires) * 1000))
redis.call('ZADD', KEYS[4], expires, key)
if redis.call('TTL', KEYS[4]) < tonumber(ARGV[6]) then
  redis.call('EXPIRE', KEYS[4], ARGV[6])  -- the index outlives its longest-lived member
end
return tonumber(clock[2])
