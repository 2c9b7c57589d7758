-- Learn that a device read a file, and tell what it is likely to read soon: core/predict/model.py, to the
-- last digit. A property test holds the two together.
--
-- history: what the device read within the horizon, the oldest first, 16 at most. Of each: time (double),
-- length of its extension (u8), extension, digest, number of guesses (u8). Of each guess: digest,
-- relation, decile, magnitude, bin (a byte each).
--
-- KEYS  items, queue, classes, outcomes, calibration, history of the device
-- ARGV  path, time (s), horizon (s), items at most, lifetime of the history (s), threshold, successor of
--       the path or '', number of predecessors, these; then files that are related: path, relation
-- returns of each candidate of at least the threshold: path, probability, pattern, time, relationship, relation
local ITEMS, QUEUE, CLASSES, OUTCOMES, CALIBRATION, HISTORY = unpack(KEYS)
local path, at, horizon, capacity = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local threshold, after = tonumber(ARGV[6]), ARGV[7]
local WINDOW, TOGETHER, FOLLOWERS, SPARED = 16, 4, 10, 8
local ITEM_HALVED, RATE_HALVED, BIN_HALVED, MOST_CLASSES = 128, 1000, 2000, 4096
local GUESS = DIGEST + 4
local BY_NAME = '-'

local own_stem, own_extension = parted(path)
local own_folder = folder_of(path)

local function relation_to(other, streak)
  if other == after then
    return tostring(streak)
  end
  local stem, folder = parted(other), folder_of(other)
  if stem == own_stem and stem ~= '' then
    return 's'
  elseif folder == own_folder then
    return 'f'
  elseif (own_folder ~= '' and folder_of(own_folder) == folder)
    or (folder ~= '' and folder_of(folder) == own_folder) then
    return 'p'
  end
  return '-'
end

local classes, outcomes = table_of(CLASSES), table_of(OUTCOMES)

-- By what files of a class are counted; those of too many kinds of extensions together.
local full = redis.call('HLEN', CLASSES) >= MOST_CLASSES
local function class_of(relation, before, extension)
  local name = relation .. before .. '>' .. extension
  if full and redis.call('HEXISTS', CLASSES, name) == 0 then
    return relation .. '*'
  end
  return name
end

local bins, stored = {}, redis.call('GET', CALIBRATION)
for i = 1, BINS do
  bins[i] = {0, 0}
  if stored then
    bins[i] = {struct.unpack(RATE, stored, 16 * (i - 1) + 1)}
  end
end

-- What the device read within the horizon. One that comes late counts as the last one. Where a clock
-- went back by more than the horizon, what was before is left behind.
local function recent()
  local raw, visits, from = redis.call('GET', HISTORY) or '', {}, 1
  while from <= #raw do
    local visit, length, count = {guesses = {}}, nil, nil
    visit.at, length = struct.unpack('>dB', raw, from)
    from = from + 9
    visit.extension = string.sub(raw, from, from + length - 1)
    from = from + length
    visit.digest = string.sub(raw, from, from + DIGEST - 1)
    count = string.byte(raw, from + DIGEST)
    from = from + DIGEST + 1
    for i = 1, count do
      visit.guesses[i] = string.sub(raw, from, from + GUESS - 1)
      from = from + GUESS
    end
    visits[#visits + 1] = visit
  end
  if #visits == 0 or at < visits[#visits].at - horizon then
    return {}
  end
  at = math.max(at, visits[#visits].at)
  local kept = {}
  for _, visit in ipairs(visits) do
    if visit.at >= at - horizon then
      kept[#kept + 1] = visit
    end
  end
  return kept
end

local function remember(visits)
  local parts = {}
  for i = math.max(1, #visits - WINDOW + 1), #visits do
    local visit = visits[i]
    parts[#parts + 1] = struct.pack('>dB', visit.at, #visit.extension) .. visit.extension .. visit.digest
      .. string.char(#visit.guesses) .. table.concat(visit.guesses)
  end
  redis.call('SET', HISTORY, table.concat(parts), 'EX', ARGV[5])
end

local own = digest_of(path)

local function came_true(visits)
  for _, visit in ipairs(visits) do
    for i, guess in ipairs(visit.guesses) do
      if string.sub(guess, 1, DIGEST) == own then
        local relation = string.sub(guess, DIGEST + 1, DIGEST + 1)
        local decile, magnitude, bin = string.byte(guess, DIGEST + 2, DIGEST + 4)
        local class = class_of(relation, visit.extension, own_extension)
        local outcome = relation .. decile .. ':' .. magnitude
        rate(classes, class)[1] = rate(classes, class)[1] + 1
        rate(outcomes, outcome)[1] = rate(outcomes, outcome)[1] + 1
        classes.changed[class], outcomes.changed[outcome] = true, true
        bins[bin + 1][1] = bins[bin + 1][1] + 1
        table.remove(visit.guesses, i)
        break
      end
    end
  end
end

local function slot_of(time)
  return math.floor(time / 21600) % 4 + 1
end

local function followed_by(item, slot)
  for _, each in ipairs(item.followers) do
    if each.digest == own then
      each[slot] = each[slot] + 1
      return
    end
  end
  if #item.followers >= FOLLOWERS then
    local rarest = 1
    for i, each in ipairs(item.followers) do
      if sum(each) < sum(item.followers[rarest]) then
        rarest = i
      end
    end
    table.remove(item.followers, rarest)
  end
  local each = {digest = own, 0, 0, 0, 0}
  each[slot] = 1
  table.insert(item.followers, each)
end

-- Count it as read after each of the last ones, after which it was not read yet.
local function follow(visits)
  for i = #visits, math.max(1, #visits - TOGETHER + 1), -1 do
    if visits[i].digest == own then
      return
    end
    local raw = redis.call('HGET', ITEMS, visits[i].digest)
    if raw then
      local item = unpacked(raw)
      followed_by(item, slot_of(visits[i].at))
      redis.call('HSET', ITEMS, visits[i].digest, packed(item))
    end
  end
end

-- Forget the first of the queue, but give those another turn that were read since it came there.
local function make_room()
  for spared = 0, SPARED do
    local digest = redis.call('LPOP', QUEUE)
    local raw = digest and redis.call('HGET', ITEMS, digest)
    if raw and string.byte(raw, 3) == 1 and spared < SPARED then
      redis.call('HSET', ITEMS, digest, untouched(raw))
      redis.call('RPUSH', QUEUE, digest)
    elseif raw then
      redis.call('HDEL', ITEMS, digest)
      return
    end
  end
end

local function halve(counts)
  for i = 1, 4 do
    counts[i] = math.floor(counts[i] / 2)
  end
  return counts
end

local function read()
  local raw = redis.call('HGET', ITEMS, own)
  local item = {reads = {0, 0, 0, 0}, followers = {}, path = path}
  if raw and path_in(raw) == path then
    item = unpacked(raw)
  elseif not raw then
    if redis.call('HLEN', ITEMS) >= capacity then
      make_room()
    end
    redis.call('RPUSH', QUEUE, own)
  end
  local slot = slot_of(at)
  item.day, item.touched = math.max(0, math.min(65535, math.floor(at / 86400))), 1
  item.reads[slot] = item.reads[slot] + 1
  if sum(item.reads) >= ITEM_HALVED then
    halve(item.reads)
    local kept = {}
    for _, each in ipairs(item.followers) do
      if sum(halve(each)) > 0 then
        kept[#kept + 1] = each
      end
    end
    item.followers = kept
  end
  redis.call('HSET', ITEMS, own, packed(item))
  return item
end

-- Digest, path, counts and relation ('-': by their names) of what may be read soon.
local function candidates(item, visits)
  local seen, found = {[own] = true}, {}
  for _, visit in ipairs(visits) do
    seen[visit.digest] = true  -- what was just read is held already
  end
  local related, next_argument = {}, 9 + tonumber(ARGV[8])
  for i = next_argument, #ARGV, 2 do
    related[ARGV[i]] = ARGV[i + 1]
  end
  local function add(digest, name, counts)
    if not seen[digest] then
      seen[digest] = true
      found[#found + 1] = {digest = digest, path = name, counts = counts, relation = related[name] or BY_NAME}
    end
  end
  for _, each in ipairs(item.followers) do
    local raw = redis.call('HGET', ITEMS, each.digest)
    if raw then
      add(each.digest, path_in(raw), each)
    end
  end
  if after ~= '' then
    local digest = digest_of(after)
    if not seen[digest] and redis.call('HEXISTS', ITEMS, digest) == 1 then
      add(digest, after, {0, 0, 0, 0})
    end
  end
  for i = next_argument, #ARGV, 2 do
    add(digest_of(ARGV[i]), ARGV[i], {0, 0, 0, 0})
  end
  return found
end

local function streak_in(visits)
  local seen, streak = {}, 0
  for _, visit in ipairs(visits) do
    seen[visit.digest] = true
  end
  for i = 9, 8 + tonumber(ARGV[8]) do
    if not seen[digest_of(ARGV[i])] then
      break
    end
    streak = streak + 1
  end
  return streak
end

local function exact(number)
  return string.format('%.17g', number)
end

local visits = recent()
came_true(visits)
follow(visits)
local item = read()
local slot, probability, streak = slot_of(at), curve(bins), streak_in(visits)
local reads, in_slot, magnitude = math.max(1, sum(item.reads)), math.max(1, item.reads[slot]), 0
while 2 ^ (magnitude + 1) <= reads do
  magnitude = magnitude + 1
end
local told, now = {}, {at = at, extension = own_extension, digest = own, guesses = {}}
local found = candidates(item, visits)
for _, each in ipairs(found) do
  if each.relation == BY_NAME then
    each.relation = relation_to(each.path, streak)
  end
  local _, extension = parted(each.path)
  each.class = class_of(each.relation, own_extension, extension)
  local of_class = smoothed(rate(classes, each.class), 0.1, 4)
  local pattern = math.min(1, (sum(each.counts) + 2 * of_class) / (reads - 1 + 2))
  local time = math.min(1, (each.counts[slot] + 4 * pattern) / (in_slot - 1 + 4))
  local decile = math.floor(10 * pattern)
  each.outcome = each.relation .. decile .. ':' .. magnitude
  local relationship = smoothed(rate(outcomes, each.outcome), pattern, 5)
  local bin = math.min(BINS - 1, math.floor((0.4 * pattern + 0.3 * time + 0.3 * relationship) * BINS))
  each.bin = bin + 1
  now.guesses[#now.guesses + 1] = each.digest .. each.relation .. string.char(decile, magnitude, bin)
  if probability[each.bin] >= threshold then
    told[#told + 1] = {
      each.path, exact(probability[each.bin]), exact(pattern), exact(time), exact(relationship), each.relation,
    }
  end
end
for _, each in ipairs(found) do  -- when all are scored, so that none counts for another
  tried(rate(classes, each.class), RATE_HALVED)
  tried(rate(outcomes, each.outcome), RATE_HALVED)
  classes.changed[each.class], outcomes.changed[each.outcome] = true, true
  tried(bins[each.bin], BIN_HALVED)
end
save(classes)
save(outcomes)
local rates = {}
for i = 1, BINS do
  rates[i] = struct.pack(RATE, unpack(bins[i]))
end
redis.call('SET', CALIBRATION, table.concat(rates))
visits[#visits + 1] = now
remember(visits)
return told
