-- Put a request into the pending set of its strategy; the same id twice is one request. One that was
-- marked is done; one that was given up before may be sent again.
--
-- If one for the same waits already, that one stands for both, at the stricter level; its turn is
-- as early as it was. One that was claimed is left alone: it may have been marked before this one
-- was asked for.
--
-- KEYS  pending, requests, receipt, records, contents, contents by id, marked
-- ARGV  id, request, time (s), receipt, keep (s), content, level, levels from weak to strict
--       (texts, with commas), most that may wait, content of whole namespaces
-- returns {requests that wait, the request that stands for this one, or '' when there is no room,
--         the request that waits or is claimed under this id already, or ''},
--         nil when the id was marked for something else (see mark.lua)
local id, content, level = ARGV[1], ARGV[6], ARGV[7]
local waiting = redis.call('ZCARD', KEYS[1])
local before = redis.call('HGET', KEYS[2], id)
if before then
  return {waiting, id, before}
end
local of = redis.call('HGET', KEYS[7], 'of')
if of and of ~= content and of ~= ARGV[10] then
  return nil
elseif of then
  return {waiting, id, ''}  -- done
end
local first = redis.call('HGET', KEYS[5], content)
local known = first and redis.call('ZSCORE', KEYS[1], first) and redis.call('HGET', KEYS[2], first)
if not known then
  if waiting >= tonumber(ARGV[9]) then
    return {waiting, '', ''}
  end
  redis.call('HSET', KEYS[2], id, ARGV[2])
  redis.call('ZADD', KEYS[1], ARGV[3], id)
  redis.call('HSET', KEYS[5], content, id)
  redis.call('HSET', KEYS[6], id, content)
  redis.call('SET', KEYS[3], ARGV[4], 'EX', ARGV[5])
  first, waiting = id, waiting + 1
else
  -- As text: numbers stay as they were written. In a value, quotes have a backslash before them.
  local field = '"consistency": "'
  local weaker = string.match(known, field .. '(%a+)"')
  if string.find(ARGV[8], level, 1, true) > string.find(ARGV[8], weaker, 1, true) then
    redis.call('HSET', KEYS[2], first,
      (string.gsub(known, field .. weaker .. '"', field .. level .. '"', 1)))
  end
  local told = cjson.encode(first):gsub('%%', '%%%%')
  redis.call('SET', KEYS[3],
    (string.gsub(ARGV[4], '"merged_into": ""', '"merged_into": ' .. told, 1)), 'EX', ARGV[5])
end
redis.call('ZADD', KEYS[4], ARGV[3], id)
redis.call('EXPIRE', KEYS[4], ARGV[5])
return {waiting, first, ''}
