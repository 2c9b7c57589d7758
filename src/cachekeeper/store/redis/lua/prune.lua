-- Forget keys of the graph that have neither a value nor anything derived from them.
--
-- KEYS  nodes, log, statistics, then for each key: value, binding
-- ARGV  log length, prefixes of the in: and the out: sets, key ...
-- returns the keys that went
local graph = {nodes = KEYS[1], log = KEYS[2], stats = KEYS[3], length = ARGV[1], into = ARGV[2],
  out = ARGV[3]}
local gone = {}
for i = 4, #ARGV do
  local key, at = ARGV[i], 2 * (i - 4) + 4
  if redis.call('EXISTS', graph.out .. key, KEYS[at], KEYS[at + 1]) == 0
      and redis.call('SISMEMBER', graph.nodes, key) == 1 then
    link(graph, key, {})
    gone[#gone + 1] = key
  end
end
return gone
