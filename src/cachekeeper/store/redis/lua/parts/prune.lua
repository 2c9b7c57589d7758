-- Forget a key of the graph that has neither a value nor anything derived from it; whether it went.
local function prune(graph, key)
  local used = redis.call('EXISTS', graph.out .. key, graph.values .. key, graph.bindings .. key)
  if used > 0 or redis.call('SISMEMBER', graph.nodes, key) == 0 then
    return false
  end
  link(graph, key, {})
  return true
end

