-- Put claims whose deadline has passed back into their pending set; their claimer is dead.
--
-- Those claimed too often become dead letters, in the same step; what is no JSON as a text.
--
-- KEYS  inflight, attempts, requests, order, letters and figures of the dead letters
-- ARGV  now (s), at most, attempts allowed, prefix of the pending sets, task of a request, reason,
--       letters kept, bytes kept
-- returns {requeued, {request given up, ...}}
local dead = {order = KEYS[4], letters = KEYS[5], figures = KEYS[6]}
local now, requeued, given_up = ARGV[1], 0, {}

local function letter(id, request, attempts)
  local known, fields = pcall(cjson.decode, request)
  known = known and type(fields) == 'table'
  local at = known and tonumber(fields.at) or tonumber(now)
  local work = known and '"arguments": ' .. request or '"stored": ' .. cjson.encode(request)
  return '{"work": {"task": ' .. cjson.encode(ARGV[5]) .. ', "id": ' .. cjson.encode(id) .. ', ' .. work
    .. '}, "reason": ' .. cjson.encode(ARGV[6]) .. ', "kind": "' .. (known and 'gave up' or 'malformed')
    .. '", "attempts": ' .. attempts .. ', "first_seen": ' .. string.format('%.6f', at)
    .. ', "died": ' .. now .. '}'
end

for _, claim in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local strategy, id = string.match(claim, '^([^|]*)|[^|]*|(.*)$')
  redis.call('ZREM', KEYS[1], claim)
  local attempts = redis.call('HINCRBY', KEYS[2], id, 1)
  if attempts > tonumber(ARGV[3]) then
    local request = redis.call('HGET', KEYS[3], id) or ''
    bury(dead, letter(id, request, attempts), now, ARGV[7], ARGV[8])
    given_up[#given_up + 1] = request
    redis.call('HDEL', KEYS[3], id)
    redis.call('HDEL', KEYS[2], id)
  else
    redis.call('ZADD', ARGV[4] .. strategy, now, id)
    requeued = requeued + 1
  end
end
return {requeued, given_up}
