-- Let records live longer for the accesses they had since they were filled, as their class says:
-- filled + min(most, base * multiplier ^ accesses). A record that is gone, stale or filled anew
-- meanwhile is none of those that were accessed. The count is kept in the record, since processes
-- add to it; its life is written when that adds at least a share of what is left of it.
--
-- A value and its copy in the other tier have one life. The groups that a record names live on
-- with it: without them a mark of a member would not reach it.
--
-- KEYS  marks, clock, expiry, groups, then for each key: value, binding
-- ARGV  how much longer than a member the index lives (s), the least gain as a share, prefix of the
--       subgroups, then for each key: key, filled (s), accesses, base (s), multiplier, most (s)
-- returns for each key when it expires (s, packed double); '' for one that was left alone
local time, clock = redis.call('TIME'), redis.call('HMGET', KEYS[2], 'incarnation', 'epoch')
local now, last, ends = time[1] + time[2] / 1000000, 0, {}

-- The record that was filled at a time, without its body, if there is one.
local function filled_at(name, filled)
  local header = redis.call('GETRANGE', name, 0, HEADER_SIZE - 1)
  if #header == HEADER_SIZE then
    local _, _, of, expires, accesses, count, size = struct.unpack(HEADER, header)
    if of == filled then
      local sources = size > 0 and redis.call('GETRANGE', name, HEADER_SIZE, HEADER_SIZE + size - 1)
      return {name = name, whole = header .. (sources or ''), expires = expires,
        accesses = accesses, count = count}
    end
  end
end

local function keep_groups(key, record, expires)
  local names = {'k:' .. key, struct.unpack(string.rep('s', record.count), record.whole,
    HEADER_SIZE + 1)}
  names[#names] = nil  -- the last of what unpack returns is a position
  local seen = {}
  for i, is_group in ipairs(redis.call('ZMSCORE', KEYS[4], unpack(names))) do
    if is_group then
      live_on(KEYS[4], ARGV[3], names[i], expires, seen)
    end
  end
end

for i = 4, #ARGV, 6 do
  local key, filled, place = ARGV[i], tonumber(ARGV[i + 1]), 5 + (i - 4) / 3
  local value, binding = filled_at(KEYS[place], filled), filled_at(KEYS[place + 1], filled)
  local record = value or binding
  ends[#ends + 1] = ''
  if record and is_fresh(record.whole, key, KEYS[1], clock) then
    local expires, accesses = record.expires, record.accesses
    if value and binding then
      expires = math.max(expires, binding.expires)
      accesses = math.max(accesses, binding.accesses)
    end
    accesses = math.min(accesses + ARGV[i + 2], 4294967295)
    local most = filled + ARGV[i + 5]
    local longer = math.min(most, filled + ARGV[i + 3] * ARGV[i + 4] ^ accesses)
    if expires < most then
      local gain = longer - expires
      if gain <= 0 or gain < ARGV[2] * (expires - now) then
        longer = expires  -- not worth a change of the index: with a later access, or nearer the end
      end
      for _, each in ipairs({value or binding, value and binding}) do
        redis.call('SETRANGE', each.name, EXPIRES_AT, struct.pack('>dI4', longer, accesses))
        if longer > each.expires then
          redis.call('PEXPIREAT', each.name, string.format('%.0f', longer * 1000))
        end
      end
      if longer > expires then
        redis.call('ZADD', KEYS[3], longer, key)
        if redis.call('EXISTS', KEYS[4]) == 1 then
          keep_groups(key, record, longer)
        end
        expires, last = longer, math.max(last, longer)
      end
    end
    ends[#ends] = struct.pack('>d', expires)
  end
end
if last > 0 and redis.call('TTL', KEYS[3]) < last - now + ARGV[1] then
  redis.call('EXPIRE', KEYS[3], string.format('%.0f', last - now + ARGV[1]))
end
return ends
