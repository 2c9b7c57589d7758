-- One page of all that a device holds; what changes while the pages are read is told afterwards,
-- since whoever has all of them asks for the changes since the first. From the first page on they are
-- noted.
--
-- KEYS  ledger, manifest, pins, clock, marks, changes
-- ARGV  where HSCAN goes on ('0' begins), about how many entries
-- returns {incarnation, epoch, number of the last change, where it goes on ('0' at the end), rows}
redis.call('HSETNX', KEYS[1], 'changes', 0)
local found, rows = redis.call('HSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2]), {}
for i = 1, #found[2], 2 do
  add_row(rows, found[2][i], found[2][i + 1])
end
return {incarnation, epoch(), number_of('changes'), found[1], rows}
