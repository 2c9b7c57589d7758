-- Say what a key was derived from, without storing anything under it.
--
-- KEYS  nodes, log, statistics
-- ARGV  key, log length, prefixes of the in: and the out: sets, 'more' or 'instead', input ...
-- returns the number of edges changed
local graph = {nodes = KEYS[1], log = KEYS[2], length = ARGV[2], into = ARGV[3], out = ARGV[4]}
local inputs = {}
for i = 6, #ARGV do
  inputs[#inputs + 1] = ARGV[i]
end
local changed, bridged = link(graph, ARGV[1], inputs, ARGV[5] == 'more')
if not bridged then
  redis.call('HINCRBY', KEYS[3], 'unbridged', 1)
end
return changed
