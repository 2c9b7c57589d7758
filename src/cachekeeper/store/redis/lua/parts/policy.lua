-- The order in which a device lets go of what it holds: core/policy, to the last digit.
-- A property test holds the two to the same victims.
--
-- state of an entry: reads, weight of its priority, and for gdga f, halvings, again (0 or 1)
-- figures: of lru accesses; of gdga floor, w1, requests, requested, halvings, since, ghost_bytes,
-- once, again, order (of ghosts), rounds (of making room)
local TRIP, HALVED_AFTER, GHOSTS, LEAST_W1, MOST_W1, STEP, WHOLE_STEP = 3, 20, 2, 0.02, 2, 0.05, 200

local function exact(number)
  return string.format('%.17g', number)
end

local function figure(name, otherwise)
  return tonumber(redis.call('HGET', device.figures, name) or otherwise)
end

local function seen_of(state)
  local reads, weight, f, halvings, again =
    string.match(state, '^(%S+) (%S+) (%S+) (%S+) (%S+)')
  return {reads = tonumber(reads), weight = tonumber(weight), f = tonumber(f),
    halvings = tonumber(halvings), again = again == '1'}
end

local function state_of(seen)
  return string.format('%d %.17g %.17g %d %d', seen.reads, seen.weight, seen.f, seen.halvings,
    seen.again and 1 or 0)
end

local gdga = {}

-- A request, before it is looked at.
function gdga.count(size)
  redis.call('HINCRBY', device.figures, 'requests', 1)
  redis.call('HINCRBY', device.figures, 'requested', whole(size))
  local since = redis.call('HINCRBY', device.figures, 'since', 1)
  local known = redis.call('HLEN', device.state) + redis.call('HLEN', device.ghosts)
  if since > HALVED_AFTER * known then
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

function gdga.value(seen, size, w)
  local known = redis.call('HMGET', device.figures, 'floor', 'requests', 'requested')
  local c0 = known[2] and TRIP * known[3] / known[2] or 0
  size = math.max(1, size)
  return tonumber(known[1] or 0) + seen.weight * w * seen.f * (size + c0) / size
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

-- ghost: bytes, f, halvings, again
local function ghost_of(ghost)
  local size, f, halvings, again = string.match(ghost, '^(%d+) (%S+) (%S+) (%S+)')
  return tonumber(size), {f = tonumber(f), halvings = tonumber(halvings), again = again == '1'}
end

function gdga.count_ghosts(bytes, once, again)
  redis.call('HINCRBY', device.figures, 'once', once)
  redis.call('HINCRBY', device.figures, 'again', again)
  return redis.call('HINCRBY', device.figures, 'ghost_bytes', whole(bytes))
end

-- Remember at most AT_ONCE that have gone, and forget the oldest beyond twice the quota.
function gdga.remember(paths, sizes, seen, quota)
  local ghosts, order, bytes, count = {}, {}, 0, {[true] = 0, [false] = 0}
  local place = redis.call('HINCRBY', device.figures, 'order', #paths) - #paths
  for i = 1, #paths do
    local s = seen[i]
    ghosts[2 * i - 1] = paths[i]
    ghosts[2 * i] = string.format('%.0f %.17g %d %d', sizes[i], s.f, s.halvings, s.again and 1 or 0)
    order[2 * i - 1], order[2 * i] = place + i, paths[i]
    bytes = bytes + sizes[i]
    count[s.again] = count[s.again] + 1
  end
  redis.call('HSET', device.ghosts, unpack(ghosts))
  redis.call('ZADD', device.ghost_order, unpack(order))
  local known = gdga.count_ghosts(bytes, count[false], count[true])
  for _ = 1, 2 * AT_ONCE do  -- the rest at the next turn
    if known <= GHOSTS * quota then
      break
    end
    local oldest = redis.call('ZPOPMIN', device.ghost_order)[1]
    local size, s = ghost_of(redis.call('HGET', device.ghosts, oldest))
    redis.call('HDEL', device.ghosts, oldest)
    known = gdga.count_ghosts(-size, s.again and 0 or -1, s.again and -1 or 0)
  end
end

-- What is known of a path that is not held, and what it is worth: {seen, worth}.
function gdga.insert(path, size, weight, quota, by)
  local ghost = redis.call('HGET', device.ghosts, path)
  if not ghost then
    local seen = {reads = 0, weight = weight, f = 1, halvings = figure('halvings', 0), again = false}
    return seen, gdga.value(seen, size, figure('w1', 0.3))
  end
  local bytes, seen = ghost_of(ghost)
  seen.reads, seen.weight = 0, weight
  if by == 'demand' then
    gdga.adapt(seen.again, size, quota)
  end
  redis.call('HDEL', device.ghosts, path)
  redis.call('ZREM', device.ghost_order, path)
  gdga.count_ghosts(-bytes, seen.again and 0 or -1, seen.again and -1 or 0)
  gdga.again(seen)
  return seen, gdga.value(seen, size, 1)
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
local function touched(policy, seen, size, now, by)
  local first = by == 'prefetch' and seen.reads == 0
  seen.reads = seen.reads + 1
  if policy == 'lru' then
    return redis.call('HINCRBY', device.figures, 'accesses', 1)
  elseif policy == 'retention' then
    return retention(now, seen.reads, seen.weight)
  end
  gdga.count(size)
  if first and not seen.again then
    return gdga.value(seen, size, figure('w1', 0.3))
  end
  gdga.again(seen)
  return gdga.value(seen, size, 1)
end

-- What something that is asked for would be worth: seen, worth, and what a victim may be worth.
local function asked_for(policy, path, size, weight, now, by, quota)
  local reads = by == 'demand' and 1 or 0
  local seen = {reads = reads, weight = weight, f = 1, halvings = 0, again = false}
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

-- Whether something may push out what is worth so much. What was predicted pushes out less.
local function may_push_out(policy, worth, victim, by)
  if policy == 'gdga' then
    return worth >= victim
  end
  return by == 'demand' or (policy == 'retention' and victim < worth)
end

-- Entries that go because of their rank: the policy remembers what it has to. Scores from the lowest.
local function let_go(policy, paths, scores, entries, quota)
  if policy ~= 'gdga' or #paths == 0 then
    return
  end
  local sizes, seen = {}, {}
  for i, state in ipairs(redis.call('HMGET', device.state, unpack(paths))) do
    sizes[i] = tonumber(string.match(entries[i], '^%d+'))
    seen[i] = seen_of(state)
  end
  gdga.raise_floor(tonumber(scores[#scores]))
  gdga.remember(paths, sizes, seen, quota)
end

-- The entries of lowest rank that are worth at least so many bytes together, without those being
-- fetched anew: paths, scores, entries, bytes, and whether there are more.
local function lowest(wanted, at_most, is_allowed)
  local ranked = redis.call('ZRANGE', device.rank, 0, at_most - 1, 'WITHSCORES')
  local all, paths, scores, entries, bytes = {}, {}, {}, {}, 0
  for i = 1, #ranked, 2 do
    all[#all + 1] = ranked[i]
  end
  if #all == 0 then
    return paths, scores, entries, 0, false, true
  end
  local manifest = redis.call('HMGET', device.manifest, unpack(all))
  local busy = redis.call('HLEN', device.reservations) > 0
    and redis.call('HMGET', device.reservations, unpack(all)) or {}
  local refused = false
  for i = 1, #all do
    if bytes >= wanted then
      break
    end
    if not manifest[i] then
      redis.call('ZREM', device.rank, all[i])
    elseif not busy[i] then
      local score = ranked[2 * i]
      if is_allowed and not is_allowed(tonumber(score), bytes) then
        refused = true
        break
      end
      paths[#paths + 1], scores[#scores + 1], entries[#entries + 1] = all[i], score, manifest[i]
      bytes = bytes + string.match(manifest[i], '^%d+')
    end
  end
  return paths, scores, entries, bytes, refused, #all < at_most
end

-- Rank an entry that was not in the policy's order.
local function rank_anew(policy, path, entry, state, now)
  local seen, worth = seen_of(state), nil
  if policy == 'lru' then
    worth = redis.call('HINCRBY', device.figures, 'accesses', 1)
  elseif policy == 'retention' then
    worth = retention(now, seen.reads, seen.weight)
  else
    seen.f, seen.halvings, seen.again = math.max(1, seen.reads), figure('halvings', 0), seen.reads > 1
    redis.call('HSET', device.state, path, state_of(seen))
    local size = tonumber((string.match(entry, '^%d+')))
    worth = gdga.value(seen, size, seen.again and 1 or figure('w1', 0.3))
  end
  redis.call('ZADD', device.rank, exact(worth), path)
end
