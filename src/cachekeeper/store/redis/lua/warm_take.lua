-- Claim some work of a job until a deadline by the server's clock. What was claimed by somebody who let
-- the deadline pass goes back first. When nothing is left and nobody is at work, the job is done.
--
-- A claim is its deadline, its kind (i: items, p: a place) and what is left of it, parted by "\1".
--
-- KEYS  job, places, items, claims
-- ARGV  token, lease (s), paths at most, claims at most
-- returns {state} | {state, 'i', path ...} | {state, 'p', place}
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'running' then
  return {state or ''}
end
local now, active = server_time(), 0
local claims = redis.call('HGETALL', KEYS[4])
for i = 1, #claims, 2 do
  if tonumber((string.match(claims[i + 1], '^[^\1]+'))) < now then
    give_back(KEYS[2], KEYS[3], KEYS[4], claims[i], claims[i + 1])
  else
    active = active + 1
  end
end
if active >= tonumber(ARGV[4]) then
  return {state}
end
local kind, found = 'i', redis.call('LPOP', KEYS[3], ARGV[3])
if not found or #found == 0 then
  kind, found = 'p', redis.call('RPOP', KEYS[2], 1)
end
if not found or #found == 0 then
  if active == 0 then
    state = 'done'
    redis.call('HSET', KEYS[1], 'state', state, 'last', now)
  end
  return {state}
end
redis.call('HSET', KEYS[4], ARGV[1], now + ARGV[2] .. '\1' .. kind .. '\1' .. table.concat(found, '\1'))
return {state, kind, unpack(found)}
