-- Store a record, unless it belongs to another incarnation or one of its sources was marked after
-- its as_of: a slow fill that overlaps an invalidation must not bring the old value back.
--
-- Too many sources fold into a group: each becomes a member of it, here and now, so that a mark of
-- a member marks the group. A group lives as long as any value that names it.
--
-- What the value was made from goes into the dependency graph in the same step. The graph knows one
-- version of a key: another one in the other tier goes, and a copy from there is stored only while
-- that has what was copied, and for as long as that lives by now.
--
-- A value that had expired is made anew before the sweep has seen that: if what was derived from it
-- is to be invalidated for it, its name is kept until it was.
--
-- KEYS  record, marks, clock, expiry, groups, nodes, log and statistics of the graph, the key's
--       record in the other tier, names whose dependents are to be invalidated, if the tier lists
--       the namespaces of its records: that list
-- ARGV  key, incarnation, as_of, filled, expires (s), lifetime of the index (s), group or '',
--       prefixes of a source's groups, a group's members and its subgroups, body,
--       log length, prefixes of the in: and out: sets, of values and of bindings, how long the
--       loader took (s), whether what was derived from an expired value is to be invalidated (1),
--       number of inputs (-1: a copy), for each the key and when what was read of it had been
--       filled (s), source ...
-- returns {epoch, expires (s, packed double)}, nil when refused
local key, as_of, expires, group = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[5]), ARGV[7]
local is_copy = ARGV[19] == '-1'
local first_source = 20 + (is_copy and 0 or 2 * ARGV[19])
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
for first = first_source, #ARGV, 1000 do  -- unpack has its limits
  if marked(redis.call('ZMSCORE', KEYS[2], unpack(ARGV, first, math.min(first + 999, #ARGV)))) then
    return nil
  end
end
for i = first_source, #ARGV do  -- a group that has gone vouches for nothing any more
  if string.sub(ARGV[i], 1, 2) == 'g:' and not redis.call('ZSCORE', KEYS[5], ARGV[i]) then
    return nil
  end
end
local other, accesses, is_same = redis.call('GETRANGE', KEYS[9], 0, HEADER_SIZE - 1), 0, false
if #other == HEADER_SIZE then
  local _, _, of, lives, read = struct.unpack(HEADER, other)
  is_same = of == tonumber(ARGV[4])
  if is_same then
    expires, accesses = math.max(expires, lives), read
  end
end
if is_copy and not is_same then
  return nil
end
local seen = {}
local sources, count = '', 0
if group ~= '' then
  for i = first_source, #ARGV do
    redis.call('SADD', ARGV[8] .. ARGV[i], group)
    redis.call('SADD', ARGV[9] .. group, ARGV[i])
    if redis.call('ZSCORE', KEYS[5], ARGV[i]) then
      redis.call('SADD', ARGV[10] .. group, ARGV[i])
    end
  end
  redis.call('ZADD', KEYS[5], 'GT', expires, group)
  live_on(KEYS[5], ARGV[10], group, expires, seen)
  sources, count = group .. '\0', 1
elseif #ARGV >= first_source then
  sources, count = table.concat(ARGV, '\0', first_source) .. '\0', #ARGV - first_source + 1
  for i = first_source, #ARGV do
    live_on(KEYS[5], ARGV[10], ARGV[i], expires, seen)
  end
end
if ARGV[18] == '1' and not is_copy then
  local ended, time = redis.call('ZSCORE', KEYS[4], key), redis.call('TIME')
  if ended and tonumber(ended) <= tonumber(time[1])
      and redis.call('EXISTS', ARGV[14] .. key) == 1 then
    redis.call('SADD', KEYS[10], key)
  end
end
local record = struct.pack(HEADER, tonumber(ARGV[2]), as_of, tonumber(ARGV[4]), expires, accesses,
  count, #sources, tonumber(ARGV[17])) .. sources .. ARGV[11]
redis.call('SET', KEYS[1], record, 'PXAT', string.format('%.0f', expires * 1000))
if KEYS[11] then
  redis.call('SADD', KEYS[11], string.match(key, '^[^:]*'))
end
redis.call('ZADD', KEYS[4], expires, key)
if redis.call('TTL', KEYS[4]) < tonumber(ARGV[6]) then
  redis.call('EXPIRE', KEYS[4], ARGV[6])  -- the index outlives its longest-lived member
end
if not is_copy then
  if not is_same then
    redis.call('UNLINK', KEYS[9])
  end
  local graph = {nodes = KEYS[6], log = KEYS[7], stats = KEYS[8], length = ARGV[12],
    into = ARGV[13], out = ARGV[14], values = ARGV[15], bindings = ARGV[16], members = ARGV[9]}
  local inputs, read, sources = {}, {}, {}
  for i = 20, first_source - 1, 2 do
    inputs[#inputs + 1] = ARGV[i]
    read[#read + 1] = tonumber(ARGV[i + 1])
  end
  for i = first_source, #ARGV do
    sources[#sources + 1] = ARGV[i]
  end
  if #inputs > 0 or redis.call('EXISTS', graph.into .. key) == 1 then
    link(graph, key, ways(graph, inputs, read, sources))
  end
end
return {clock[2], struct.pack('>d', expires)}
