-- Read a record if it is fresh: of this incarnation, and no source of it marked after its as_of.
--
-- KEYS  record, marks, clock
-- ARGV  key
-- returns  nil  no record
--          ''   stale; the record was removed (lazy removal)
--          {epoch, the record}
local record = redis.call('GET', KEYS[1])
if not record then
  return nil
end
local clock = redis.call('HMGET', KEYS[3], 'incarnation', 'epoch')
if not is_fresh(record, ARGV[1], KEYS[2], clock) then
  redis.call('UNLINK', KEYS[1])
  return ''
end
return {clock[2], record}
