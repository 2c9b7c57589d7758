-- The rest of a claim is for somebody else.
--
-- KEYS  places, items, claims
-- ARGV  token
-- returns nothing
local claim = redis.call('HGET', KEYS[3], ARGV[1])
if claim then
  give_back(KEYS[1], KEYS[2], KEYS[3], ARGV[1], claim)
end
