-- What is known of a file, as it is stored.
--
-- item: day of the last read (u16), touched since it was looked at for room (u8), reads by quarter of the
-- day (4 x u8), number of followers (u8); each follower: digest (6 bytes), counts by quarter (4 x u8); the
-- path. A digest is the first 6 bytes of the SHA-1 of a path: where two paths share one, the later read
-- takes the place of the other.
local HEAD, HEAD_BYTES, DIGEST = '>HBBBBBB', 8, 6
local EACH = DIGEST + 4

local function digest_of(path)
  return (string.gsub(string.sub(redis.sha1hex(path), 1, 2 * DIGEST), '..', function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function path_in(raw)
  return string.sub(raw, HEAD_BYTES + EACH * string.byte(raw, HEAD_BYTES) + 1)
end

local function unpacked(raw)
  local day, touched, a, b, c, d, count = struct.unpack(HEAD, raw)
  local followers = {}
  for i = 1, count do
    local from = HEAD_BYTES + EACH * (i - 1) + 1
    local digest = string.sub(raw, from, from + DIGEST - 1)
    followers[i] = {digest = digest, string.byte(raw, from + DIGEST, from + EACH - 1)}
  end
  return {day = day, touched = touched, reads = {a, b, c, d}, followers = followers, path = path_in(raw)}
end

local function packed(item)
  local reads, parts = item.reads, {}
  for i, each in ipairs(item.followers) do
    parts[i] = each.digest .. string.char(unpack(each))
  end
  return struct.pack(HEAD, item.day, item.touched, reads[1], reads[2], reads[3], reads[4], #parts)
    .. table.concat(parts) .. item.path
end

local function sum(counts)
  return counts[1] + counts[2] + counts[3] + counts[4]
end

-- The same, looked at for room.
local function untouched(raw)
  return string.sub(raw, 1, 2) .. '\0' .. string.sub(raw, 4)
end
