-- The order in which a device lets go of what it holds: core/policy, to the last digit.
-- A property test holds the two to the same victims.
--
-- state of a path: again (1: seen more than once), size, f, halvings, batch (the last one when this was
-- written first), reads, weight of its priority, copy. What has a state and no entry in the manifest is
-- a ghost: gone, and remembered.
-- ghosts: batches, each a number and the paths that became ghosts together, the oldest first; what is
-- held again, or was since, is no ghost of that batch any more
-- figures: of lru accesses; of gdga floor, w1, requests, requested, halvings, since, ghost_bytes,
-- once, again, batches; rounds (of making room)
local TRIP, HALVED_AFTER, GHOSTS, LEAST_W1, MOST_W1, STEP, WHOLE_STEP = 3, 20, 2, 0.02, 2, 0.05, 200
local STATE, STATE_BYTES = '>BddI4dI4d', 41
local NOBODY = struct.pack(STATE, 0, 0, 0, 0, math.huge, 0, 0)  -- of no batch

local function exact(number)
  return string.format('%.17g', number)
end

local function figure(name, otherwise)
  return tonumber(redis.call('HGET', device.figures, name) or otherwise)
end

local function seen_of(state)
  local again, size, f, halvings, batch, reads, weight = struct.unpack(STATE, state)
  return {again = again == 1, size = size, f = f, halvings = halvings, batch = batch, reads = reads,
    weight = weight}
end

local function state_of(seen, copy)
  return struct.pack(STATE, seen.again and 1 or 0, seen.size, seen.f, seen.halvings, seen.batch or 0,
    seen.reads, seen.weight) .. copy
end

local function copy_of(state)
  return string.sub(state, STATE_BYTES + 1)
end

local gdga = {}

-- A request, before it is looked at.
function gdga.count(size)
  redis.call('HINCRBY', device.figures, 'requests', 1)
  redis.call('HINCRBY', device.figures, 'requested', whole(size))
  local since = redis.call('HINCRBY', device.figures, 'since', 1)
  if since > HALVED_AFTER * redis.call('HLEN', device.state) then
    redis.call('HINCRBY', device.figures, 'halvings', 1)
    redis.call('HSET', device.figures, 'since', 0)
  end
end

function gdga.again(seen)
  local halvings = figure('halvings', 0)
  if seen.halvings < halvings then
    seen.f = seen.f / 2 ^ (halvings - seen.halvings)
    seen.halvings = halvings
  end
  seen.f = seen.f + 1
  seen.again = true
end

function gdga.value(seen, w)
  local known = redis.call('HMGET', device.figures, 'floor', 'requests', 'requested')
  local c0 = known[2] and TRIP * known[3] / known[2] or 0
  local size, often = math.max(1, seen.size), math.sqrt(seen.f) * math.sqrt(math.sqrt(seen.f))
  return tonumber(known[1] or 0) + seen.weight * w * often * (size + c0) / size
end

-- A ghost is asked for: it should have been held longer, or others shorter.
function gdga.adapt(again, size, quota)
  local step = STEP * math.min(1, WHOLE_STEP * size / quota)
  local once, more = math.max(1, figure('once', 0)), math.max(1, figure('again', 0))
  local w1 = figure('w1', 0.3)
  if again then
    w1 = math.max(LEAST_W1, w1 / math.exp(math.min(step * math.max(1, once / more), 10)))
  else
    w1 = math.min(MOST_W1, w1 * math.exp(math.min(step * math.max(1, more / once), 10)))
  end
  redis.call('HSET', device.figures, 'w1', exact(w1))
end

function gdga.count_ghosts(bytes, once, again)
  redis.call('HINCRBY', device.figures, 'once', whole(once))
  redis.call('HINCRBY', device.figures, 'again', whole(again))
  return redis.call('HINCRBY', device.figures, 'ghost_bytes', whole(bytes))
end

-- Forget the oldest ghosts beyond twice the quota; a bounded number, and the rest at the next turn.
-- Where most batches are of paths that are no ghosts any more, the front goes to the end.
function gdga.forget(known, quota, at_most)
  local limit, bytes, once, more, gone, moved = GHOSTS * quota, 0, 0, 0, {}, {}
  local is_long = redis.call('LLEN', device.ghosts) > 2 * redis.call('HLEN', device.state) + 1000
  while at_most > 0 and (known + bytes > limit or is_long) do
    local batch = redis.call('LPOP', device.ghosts)
    if not batch then
      break
    end
    local number, at = struct.unpack('>d', batch)
    local paths = {}
    for path in string.gmatch(string.sub(batch, at), '[^\n]+') do
      paths[#paths + 1] = path
    end
    local states, i = redis.call('HMGET', device.state, unpack(paths)), 1
    while i <= #paths and at_most > 0 and (known + bytes > limit or is_long) do
      local again, size, _, _, since = struct.unpack(STATE, states[i] or NOBODY)
      if since < number and known + bytes > limit then
        bytes, once, more = bytes - size, once - (1 - again), more - again
        gone[#gone + 1] = paths[i]
      elseif since < number then
        moved[#moved + 1] = paths[i]
      end
      i, at_most = i + 1, at_most - 1
    end
    if i <= #paths then
      redis.call('LPUSH', device.ghosts,
        string.sub(batch, 1, 8) .. table.concat(paths, '\n', i) .. '\n')
    end
  end
  if #gone > 0 then
    redis.call('HDEL', device.state, unpack(gone))
    gdga.count_ghosts(bytes, once, more)
  end
  if #moved > 0 then
    gdga.add_batch(table.concat(moved, '\n'))
  end
end

-- Paths, a newline between two, that become ghosts just now.
function gdga.add_batch(paths)
  local number = redis.call('HINCRBY', device.figures, 'batches', 1)
  redis.call('RPUSH', device.ghosts, struct.pack('>d', number) .. paths .. '\n')
end

-- Remember one that was refused.
function gdga.remember(path, seen, quota)
  local again = seen.again and 1 or 0
  redis.call('HSET', device.state, path, state_of(seen, ''))
  gdga.add_batch(path)
  gdga.forget(gdga.count_ghosts(seen.size, 1 - again, again), quota, 16)
end

-- A path is no ghost any more: what was known of it, if it was one.
function gdga.drop(path)
  local ghost = redis.call('HGET', device.state, path)
  if not ghost then
    return nil
  end
  local seen = seen_of(ghost)
  local again = seen.again and 1 or 0
  redis.call('HDEL', device.state, path)
  gdga.count_ghosts(-seen.size, again - 1, -again)
  return seen
end

-- What is known of a path that is not held, and what it is worth: {seen, worth}. w1 is the chance
-- of what was seen once to be read again; a prediction comes with a chance of its own, as its weight.
function gdga.insert(path, size, weight, quota, by)
  local batch, known = figure('batches', 0), redis.call('HGET', device.state, path)
  if not known then
    local seen = {size = size, weight = weight, f = 1, halvings = figure('halvings', 0), batch = batch}
    return seen, gdga.value(seen, by == 'prefetch' and 1 or figure('w1', 0.3))
  end
  if by == 'demand' then
    gdga.adapt(string.byte(known) == 1, size, quota)
  end
  local seen = gdga.drop(path)
  seen.size, seen.weight, seen.batch = size, weight, batch
  gdga.again(seen)
  return seen, gdga.value(seen, 1)
end

function gdga.raise_floor(worth)
  if worth > figure('floor', 0) then
    redis.call('HSET', device.figures, 'floor', exact(worth))
  end
end

local function retention(now, reads, weight)
  return 0.4 * now / (30 * 86400) + (0.4 * weight + 0.2 * math.min(1, reads / 100))
end

-- What an entry is worth after a read; a read of what was predicted is its first.
local function touched(policy, seen, now, by)
  local first = by == 'prefetch' and seen.reads == 0
  seen.reads = seen.reads + 1
  if policy == 'lru' then
    return redis.call('HINCRBY', device.figures, 'accesses', 1)
  elseif policy == 'retention' then
    return retention(now, seen.reads, seen.weight)
  end
  gdga.count(seen.size)
  if first and not seen.again then
    return gdga.value(seen, figure('w1', 0.3))
  end
  gdga.again(seen)
  return gdga.value(seen, 1)
end

-- What is known of something that is asked for and not held, and what it would be worth. Only what
-- was predicted counts as unread: to have something warmed is to ask for it.
local function asked_for(policy, path, size, weight, now, by, quota)
  local reads = by == 'prefetch' and 0 or 1
  local seen = {size = size, reads = reads, weight = weight, f = 1, halvings = 0}
  if policy ~= 'gdga' then
    gdga.drop(path)
    seen.batch = figure('batches', 0)
  end
  if policy == 'lru' then
    return seen, redis.call('HINCRBY', device.figures, 'accesses', 1)
  elseif policy == 'retention' then
    return seen, retention(now, reads, weight)
  end
  if by == 'demand' then
    gdga.count(size)
  end
  local worth
  seen, worth = gdga.insert(path, size, weight, quota, by)
  seen.reads = reads
  return seen, worth
end

-- Whether something may push out what is worth so much. What is warmed pushes out nothing that was
-- warmed before it, or a folder larger than the quota would go round in it. By lru everything is worth
-- less than what is likely to be read next, and what was warmed was read by nobody.
local function may_push_out(policy, worth, victim, by, path)
  if by == 'warm' and string.find(redis.call('HGET', device.manifest, path) or '', '"by": "warm"', 1, true) then
    return false
  elseif policy == 'gdga' then
    return worth >= victim
  elseif policy == 'lru' then
    return by ~= 'warm'
  end
  return by == 'demand' or victim < worth
end

-- The entries of lowest rank that are worth at least so many bytes together, at most AT_ONCE, without
-- those being fetched anew. `refused`: not all that would be needed may go; `all`: there are no more;
-- `whole`: they are the first of the order, and nothing between them stays.
local function lowest(wanted, is_allowed)
  local found = {paths = {}, states = {}, bytes = 0, refused = false, all = false, whole = true}
  local used = tonumber(redis.call('HGET', device.ledger, 'used') or 0)
  local mean = math.max(1, used / math.max(1, redis.call('ZCARD', device.rank)))
  local is_busy = redis.call('HLEN', device.reservations) > 0
  local taken, from, bytes, paths, states = 0, 0, 0, found.paths, found.states
  while bytes < wanted and not found.refused and not found.all and from < AT_ONCE do
    local few = math.min(AT_ONCE - from, math.max(1, math.ceil((wanted - bytes) / mean)))
    local some = redis.call('ZRANGE', device.rank, from, from + few - 1)
    found.all = #some < few
    if #some == 0 then
      break
    end
    local known = redis.call('HMGET', device.state, unpack(some))
    local busy = is_busy and redis.call('HMGET', device.reservations, unpack(some)) or {}
    for i = 1, #some do
      local state = known[i]
      if bytes >= wanted then
        break
      elseif not state or busy[i] then
        found.whole = false
      elseif is_allowed and not is_allowed(some[i], bytes) then
        found.refused = true
        break
      else
        local _, size = struct.unpack('>Bd', state)
        taken, bytes = taken + 1, bytes + size
        paths[taken], states[taken] = some[i], state
      end
    end
    from = from + #some
  end
  found.bytes = bytes
  return found
end

-- They go: the policy remembers what it has to. Returns the names of their files, parted by spaces.
local function let_go(policy, found, quota, token, deadline, wanted)
  local paths, states, count, copies, more = found.paths, found.states, #found.paths, {}, 0
  for i = 1, count do
    copies[i] = copy_of(states[i])
    more = more + string.byte(states[i])
  end
  count_wasted(states, count)
  if policy == 'gdga' then
    gdga.raise_floor(tonumber(redis.call('ZSCORE', device.rank, paths[count])))
  end
  if found.whole then
    redis.call('ZREMRANGEBYRANK', device.rank, 0, count - 1)
  else
    redis.call('ZREM', device.rank, unpack(paths))
  end
  redis.call('HINCRBY', device.stats, 'evictions', count)
  local names = table.concat(copies, ' ')
  take_out(paths, names, found.bytes, token, deadline, string.format('evicted:%.0f', wanted))
  if policy == 'gdga' then
    gdga.add_batch(table.concat(paths, '\n'))
    gdga.forget(gdga.count_ghosts(found.bytes, count - more, more), quota, 2 * count + 16)
  else
    redis.call('HDEL', device.state, unpack(paths))
  end
  return names
end

-- Rank an entry that was not in the policy's order.
local function rank_anew(policy, path, state, now)
  local seen, worth = seen_of(state), nil
  if policy == 'lru' then
    worth = redis.call('HINCRBY', device.figures, 'accesses', 1)
  elseif policy == 'retention' then
    worth = retention(now, seen.reads, seen.weight)
  else
    seen.f, seen.halvings, seen.again = math.max(1, seen.reads), figure('halvings', 0), seen.reads > 1
    redis.call('HSET', device.state, path, state_of(seen, copy_of(state)))
    worth = gdga.value(seen, seen.again and 1 or figure('w1', 0.3))
  end
  redis.call('ZADD', device.rank, exact(worth), path)
end
