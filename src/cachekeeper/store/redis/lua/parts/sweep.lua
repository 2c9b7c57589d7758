-- Begins a pass of the sweep through the origin, at its topmost folder.
local function begin(state, todo, suspects, figures, now)
  redis.call('DEL', todo, suspects, figures)
  redis.call('LPUSH', todo, '+')
  redis.call('HSET', state, 'phase', 'looking', 'started', now)
  redis.call('HDEL', state, 'wanted')
end
