-- Store a record, unless it belongs to another incarnation or one of its sources was marked after
-- its as_of: a slow fill that overlaps an invalidation must not bring the old value back.
--
-- Too many sources fold into a group: each becomes a member of it, here and now, so that a mark of
-- a member marks the group. A group lives as long as any value that names it.
--
-- record: incarnation, as_of, filled, expires (doubles), number of sources (2 bytes) and the bytes
-- they take (4), sources each ended by a zero byte, body
--
-- What the value was made from goes into the dependency graph in the same step. The graph knows one
-- version of a key: another one in the other tier goes, and a copy from there is stored only while
-- that has what was copied.
--
-- KEYS  record, marks, clock, expiry, groups, nodes, log and statistics of the graph, the key's
--       record in the other tier, if the tier lists the namespaces of its records: that list
-- ARGV  key, incarnation, as_of, filled, expires (s), lifetime of the index (s), group or '',
--       prefixes of a source's groups, a group's members and its subgroups, body,
--       log length, prefixes of the in: and out: sets, of values and of bindings, number of inputs
--       (-1: a copy), for each the key and when what was read of it had been filled (s), source ...
-- returns the epoch, nil when refused
local key, as_of, expires, group = ARGV[1], tonumber(ARGV[3]), ARGV[5], ARGV[7]
local is_copy = ARGV[17] == '-1'
local first_source = 18 + (is_copy and 0 or 2 * ARGV[17])
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
local other = redis.call('GETRANGE', KEYS[9], 16, 23)
local is_same = #other == 8 and struct.unpack('>d', other) == tonumber(ARGV[4])
if is_copy and not is_same then
  return nil
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
  for i = first_source, #ARGV do
    redis.call('SADD', ARGV[8] .. ARGV[i], group)
    redis.call('SADD', ARGV[9] .. group, ARGV[i])
    if redis.call('ZSCORE', KEYS[5], ARGV[i]) then
      redis.call('SADD', ARGV[10] .. group, ARGV[i])
    end
  end
  extend(group)
  sources, count = group .. '\0', 1
elseif #ARGV >= first_source then
  sources, count = table.concat(ARGV, '\0', first_source) .. '\0', #ARGV - first_source + 1
  for i = first_source, #ARGV do
    extend(ARGV[i])
  end
end
local record = struct.pack('>ddddI2I4', tonumber(ARGV[2]), as_of, tonumber(ARGV[4]),
  tonumber(expires), count, #sources) .. sources .. ARGV[11]
redis.call('SET', KEYS[1], record, 'PXAT', string.format('%.0f', tonumber(expires) * 1000))
if KEYS[10] then
  redis.call('SADD', KEYS[10], string.match(key, '^[^:]*'))
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
  for i = 18, first_source - 1, 2 do
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
return tonumber(clock[2])
