-- Say what a key was derived from, without storing anything under it.
--
-- KEYS  nodes, log, statistics
-- ARGV  key, log length, prefixes of the in: and the out: sets, of values, of bindings and of a
--       group's members, 'more' or 'instead', number of inputs, for each the key and when what was
--       read of it had been filled (s), source ...
-- returns the number of edges changed
local graph = {nodes = KEYS[1], log = KEYS[2], stats = KEYS[3], length = ARGV[2], into = ARGV[3],
  out = ARGV[4], values = ARGV[5], bindings = ARGV[6], members = ARGV[7]}
local inputs, read, sources = {}, {}, {}
local first_source = 10 + 2 * ARGV[9]
for i = 10, first_source - 1, 2 do
  inputs[#inputs + 1] = ARGV[i]
  read[#read + 1] = tonumber(ARGV[i + 1])
end
for i = first_source, #ARGV do
  sources[#sources + 1] = ARGV[i]
end
if #sources > 0 then
  inputs = ways(graph, inputs, read, sources)
end
return link(graph, ARGV[1], inputs, ARGV[8] == 'more')
