-- Forget keys of the graph that have neither a value nor anything derived from them.
--
-- KEYS  nodes, log, statistics
-- ARGV  log length, prefixes of the in: and the out: sets, of values and of bindings, key ...
-- returns the keys that went
local graph = {nodes = KEYS[1], log = KEYS[2], stats = KEYS[3], length = ARGV[1], into = ARGV[2],
  out = ARGV[3], values = ARGV[4], bindings = ARGV[5]}
local gone = {}
for i = 6, #ARGV do
  if prune(graph, ARGV[i]) then
    gone[#gone + 1] = ARGV[i]
  end
end
return gone
