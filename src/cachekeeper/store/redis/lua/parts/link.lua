-- The dependency graph, changed: u -> v says that v was derived from u. Every change goes to the
-- log that snapshots follow, one line for a key. A key is a node as long as it has an edge.
--
-- A purge has to find every stored record from every key that its stamp goes back to. So there is
-- a way from each of them to the record's key, from when it is stored on; whatever takes an edge
-- away puts others in its place. tests/chaos/graph looks for bytes that a purge did not find.
--
-- graph: nodes, log, stats (names), into, out, values, bindings, members (prefixes), length (of
-- the log)

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
-- to that directly, so that no invalidation fails to reach it. If that were too much, the key keeps
-- its old edges for now: a purge then removes it without need, but nothing is left.
-- Returns whether the old edges may go.
local function bridge(graph, key, gone)
  local dependents = redis.call('SCARD', graph.out .. key)
  if dependents * #gone > 1000 then
    if redis.call('SCARD', graph.into .. key) <= 10000 then
      return false
    end
    redis.call('HINCRBY', graph.stats, 'unbridged', 1)  -- stamps refuse what no purge finds
    return true
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

-- Whether the record of a key is the one that was filled at a time, so that there is a way to it
-- from all that it goes back to.
local function is_stored(graph, key, filled)
  for _, prefix in ipairs({graph.values, graph.bindings}) do
    local at = redis.call('GETRANGE', prefix .. key, 16, 23)
    if #at == 8 and struct.unpack('>d', at) == filled then
      return true
    end
  end
  return false
end

-- The keys that sources stand for, by themselves or as groups.
local function keys_behind(graph, sources)
  local keys, seen, waiting = {}, {}, {}
  local function wait_for(names)
    for _, name in ipairs(names) do
      if not seen[name] then
        seen[name] = true
        waiting[#waiting + 1] = name
      end
    end
  end
  wait_for(sources)
  local i = 1
  while i <= #waiting do
    local name = waiting[i]
    if string.sub(name, 1, 2) == 'k:' then
      keys[#keys + 1] = string.sub(name, 3)
    end
    wait_for(redis.call('SMEMBERS', graph.members .. name))
    i = i + 1
  end
  return keys
end

-- The inputs, if what was read of each is what is stored. If one was evicted or made anew since, or
-- never stored, its edges tell nothing of what was read: all that the sources stand for, as well.
local function ways(graph, inputs, read, sources)
  for i, input in ipairs(inputs) do
    if not is_stored(graph, input, read[i]) then
      local all = keys_behind(graph, sources)
      for _, each in ipairs(inputs) do
        all[#all + 1] = each
      end
      redis.call('HINCRBY', graph.stats, 'linked_to_all', 1)
      return all
    end
  end
  return inputs
end

-- Say what a key was derived from: instead of what was said before, or (more) as well.
-- Returns how many edges came or went.
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
  if #removed > 0 and not bridge(graph, key, removed) then
    removed = {}
  end
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
  return #added + #removed
end
