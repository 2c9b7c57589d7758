-- How often what came true, of how many trials: core/predict/rates.py and calibration.py. A rate is two
-- doubles: hits, trials.
local BINS, RATE = 50, '>dd'

-- Rates, read when first asked for and written at the end.
local function table_of(key)
  return {key = key, rates = {}, changed = {}}
end

local function rate(of, name)
  local found = of.rates[name]
  if not found then
    local raw = redis.call('HGET', of.key, name)
    found = {0, 0}
    if raw then
      found = {struct.unpack(RATE, raw)}
    end
    of.rates[name] = found
  end
  return found
end

local function save(of)
  for name in pairs(of.changed) do
    redis.call('HSET', of.key, name, struct.pack(RATE, unpack(of.rates[name])))
  end
end

local function tried(counts, halved_at)
  counts[2] = counts[2] + 1
  if counts[2] >= halved_at then
    counts[1], counts[2] = counts[1] / 2, counts[2] / 2
  end
end

local function smoothed(counts, prior, strength)
  return math.min(1, (counts[1] + strength * prior) / (counts[2] + strength))
end

-- Pool adjacent violators.
local function curve(bins)
  local pools, top, values = {}, 0, {}
  for i = 1, BINS do
    local hits = bins[i][1] + 5 * ((i - 1 + 0.5) / BINS)
    local trials, width = bins[i][2] + 5, 1
    while top > 0 and pools[top][1] * trials > hits * pools[top][2] do
      local before = pools[top]
      hits, trials, width = before[1] + hits, before[2] + trials, before[3] + width
      top = top - 1
    end
    top = top + 1
    pools[top] = {hits, trials, width}
  end
  for i = 1, top do
    for _ = 1, pools[i][3] do
      values[#values + 1] = math.min(1, pools[i][1] / pools[i][2])
    end
  end
  return values
end
