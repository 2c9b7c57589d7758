-- Remove the keys whose time has come, the oldest first: from the index, from both tiers, and from
-- the graph, with all above them that was kept for them alone. The clock of the server decides,
-- too: one that is ahead must not remove what can still be served.
--
-- A key stays in the graph while something was derived from it. If that is to be invalidated, its
-- name is kept until it was.
--
-- What a call does is bounded, in keys and in edges; at least one key is taken.
--
-- KEYS  expiry, nodes, log and statistics of the graph, names whose dependents are to be invalidated
-- ARGV  now (s), most keys, most edges, whether dependents are to be invalidated (1), log length,
--       prefixes of the in: and out: sets, of values and of bindings
-- returns {keys removed, how many the graph forgot, whether more are due (1)}
local time = redis.call('TIME')
local now = math.min(tonumber(ARGV[1]), time[1] + time[2] / 1000000)
if ARGV[4] ~= '1' then
  redis.call('UNLINK', KEYS[5])  -- of a client with another setting, or of before it was changed
end
local keys = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[2])
if #keys == 0 then
  return {0, 0, 0}
end
local graph = {nodes = KEYS[2], log = KEYS[3], stats = KEYS[4], length = ARGV[5], into = ARGV[6],
  out = ARGV[7], values = ARGV[8], bindings = ARGV[9]}
local is_node = redis.call('SMISMEMBER', graph.nodes, unpack(keys))
local taken, edges, records = 0, 0, {}
for i, key in ipairs(keys) do
  if is_node[i] == 1 then
    edges = edges + redis.call('SCARD', graph.into .. key)
    if edges > tonumber(ARGV[3]) and taken > 0 then
      break
    end
  end
  taken = i
  records[2 * i - 1], records[2 * i] = graph.values .. key, graph.bindings .. key
end
redis.call('UNLINK', unpack(records))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, taken - 1)
local gone = 0
for i = 1, taken do
  if is_node[i] == 1 then
    local waiting, at = {keys[i]}, 1
    while waiting[at] and at <= 1000 do  -- what is left of a longer way, the refresh finds
      local above = redis.call('SMEMBERS', graph.into .. waiting[at])
      if prune(graph, waiting[at]) then
        gone = gone + 1
        for _, each in ipairs(above) do
          waiting[#waiting + 1] = each
        end
      end
      at = at + 1
    end
    if ARGV[4] == '1' and redis.call('EXISTS', graph.out .. keys[i]) == 1 then
      redis.call('SADD', KEYS[5], keys[i])
    end
  end
end
local more = (taken < #keys or #keys == tonumber(ARGV[2])) and 1 or 0
return {taken, gone, more}
