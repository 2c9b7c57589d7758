-- The dependency graph, changed: u -> v says that v was derived from u. Every change goes to the
-- log that snapshots follow, one line for a key. A key is a node as long as it has an edge.
--
-- graph: nodes, log (names), into, out (prefixes), length (of the log)

local function log_change(graph, key, added, removed)
  if #added + #removed > 0 then
    redis.call('XADD', graph.log, 'MAXLEN', '~', graph.length, '*', 'v', key,
      '+', table.concat(added, '\0'), '-', table.concat(removed, '\0'))
  end
end

local function forget_if_alone(graph, key)
  if redis.call('EXISTS', graph.into .. key, graph.out .. key) == 0 then
    redis.call('SREM', graph.nodes, key)
  end
end

local function add_edge(graph, u, v)
  if redis.call('SADD', graph.into .. v, u) == 0 then
    return false
  end
  redis.call('SADD', graph.out .. u, v)
  redis.call('SADD', graph.nodes, u, v)
  return true
end

-- What was made from the key as it was is still made from what the key was made from: it is linked
-- to that directly, so that no invalidation fails to reach it.
local function bridge(graph, key, gone)
  local dependents = redis.call('SCARD', graph.out .. key)
  if dependents * #gone > 1000 then
    return false  -- their stamps refuse them, but no purge finds them
  end
  for _, dependent in ipairs(redis.call('SMEMBERS', graph.out .. key)) do
    local added = {}
    for _, input in ipairs(gone) do
      if input ~= dependent and add_edge(graph, input, dependent) then
        added[#added + 1] = input
      end
    end
    log_change(graph, dependent, added, {})
  end
  return true
end

-- Say what a key was derived from: instead of what was said before, or (more) as well.
-- Returns how many edges came or went, and false when dependents were too many to be bridged.
local function link(graph, key, inputs, more)
  local wanted, added, removed = {}, {}, {}
  for _, input in ipairs(inputs) do
    wanted[input] = true
  end
  if not more then
    for _, input in ipairs(redis.call('SMEMBERS', graph.into .. key)) do
      if not wanted[input] then
        removed[#removed + 1] = input
      end
    end
  end
  local bridged = #removed == 0 or bridge(graph, key, removed)
  for _, input in ipairs(inputs) do
    if input ~= key and add_edge(graph, input, key) then
      added[#added + 1] = input
    end
  end
  for _, input in ipairs(removed) do
    redis.call('SREM', graph.into .. key, input)
    redis.call('SREM', graph.out .. input, key)
    forget_if_alone(graph, input)
  end
  forget_if_alone(graph, key)
  log_change(graph, key, added, removed)
  return #added + #removed, bridged
end
