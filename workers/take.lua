#!lua flags=allow-oom
-- Take a message from the first list that has one, and note it as unacknowledged in the same step: at
-- no moment is it only on its way to a worker that may be killed. The worker gives a sign of life, by
-- which others tell whether what it holds is to go back. Works when the server is full.
--
-- KEYS  unacked, index of unacked, signs of life, list ...
-- ARGV  delivery tag, name of the consumer, for each list: its queue
-- returns {list, message}, nil when all are empty
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
redis.call('ZADD', KEYS[3], now, ARGV[2])
for i = 4, #KEYS do
  local message = redis.call('RPOP', KEYS[i])
  if message then
    local record = '[' .. message .. ', "", ' .. cjson.encode(ARGV[i - 1]) .. ']'
    redis.call('HSET', KEYS[1], ARGV[1], record)
    redis.call('ZADD', KEYS[2], now, ARGV[1])
    return {KEYS[i], message}
  end
end
