-- Take the entries of lowest rank out of a manifest until enough bytes are named. Their bytes
-- stay counted, as reservations, until the caller has deleted the files and released them.
-- Entries that are being fetched are passed over.
--
-- KEYS  ledger, reservations, manifest, rank, accesses, stats, events, pins, changes
-- ARGV  bytes wanted, token, deadline (s), rank below which an entry may go ('+inf' for any), at most,
--       events kept, events' lifetime (s)
-- returns the paths
local wanted, victims, named = tonumber(ARGV[1]), {}, 0
local time = redis.call('TIME')
local event = string.format('%d.%06d evicted:%d ', time[1], time[2], wanted)
local limit = ARGV[4] == '+inf' and '+inf' or '(' .. ARGV[4]
for _, path in ipairs(redis.call('ZRANGE', KEYS[4], '-inf', limit, 'BYSCORE', 'LIMIT', 0, ARGV[5])) do
  if named >= wanted then
    break
  end
  if redis.call('HEXISTS', KEYS[2], path) == 0 then
    local entry = redis.call('HGET', KEYS[3], path)
    local size = entry and cjson.decode(entry).size or 0
    redis.call('ZREM', KEYS[4], path)
    redis.call('HDEL', KEYS[3], path)
    redis.call('HDEL', KEYS[5], path)
    redis.call('HINCRBY', KEYS[1], 'used', -size)
    redis.call('HINCRBY', KEYS[1], 'reserved', size)
    redis.call('HSET', KEYS[2], path, ARGV[2] .. ' ' .. string.format('%d', size) .. ' ' .. ARGV[3])
    redis.call('HINCRBY', KEYS[6], 'evictions', 1)
    redis.call('LPUSH', KEYS[7], event .. path)
    victims[#victims + 1] = path
    named = named + size
  end
end
note_changes(victims)
if #victims > 0 then
  redis.call('LTRIM', KEYS[7], 0, ARGV[6] - 1)
  redis.call('EXPIRE', KEYS[7], ARGV[7])
end
return victims
