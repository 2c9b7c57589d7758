#!lua flags=allow-oom
-- Dead letters: a bounded number of a bounded size in all; the oldest make room, and are counted.
-- This also works when the server is full: what was given up must be told.
--
-- dead: order (id -> when it died), letters (by id), figures (last id, bytes, dropped)

local function forget(dead, id)
  local size = redis.call('HSTRLEN', dead.letters, id)
  if redis.call('ZREM', dead.order, id) == 1 then
    redis.call('HDEL', dead.letters, id)
    redis.call('HINCRBY', dead.figures, 'bytes', -size)
    return 1
  end
  return 0
end

local function bury(dead, letter, now, most, most_bytes)
  local id = redis.call('HINCRBY', dead.figures, 'last', 1)
  redis.call('ZADD', dead.order, now, id)
  redis.call('HSET', dead.letters, id, letter)
  redis.call('HINCRBY', dead.figures, 'bytes', #letter)
  while redis.call('ZCARD', dead.order) > tonumber(most)
    or tonumber(redis.call('HGET', dead.figures, 'bytes')) > tonumber(most_bytes) do
    forget(dead, redis.call('ZRANGE', dead.order, 0, 0)[1])
    redis.call('HINCRBY', dead.figures, 'dropped', 1)
  end
  return id
end
