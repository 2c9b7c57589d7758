-- Forget dead letters.
--
-- KEYS  order, letters and figures of the dead letters
-- ARGV  id ...
-- returns how many there were
local dead, removed = {order = KEYS[1], letters = KEYS[2], figures = KEYS[3]}, 0
for _, id in ipairs(ARGV) do
  removed = removed + forget(dead, id)
end
return removed
