-- Seconds by the server's clock.
local function server_time()
  local time = redis.call('TIME')
  return time[1] + time[2] / 1e6
end

-- What is left of a claim goes back where it came from, to its front.
local function give_back(places, items, claims, token, claim)
  local kind, rest = string.match(claim, '^[^\1]+\1(.)\1?(.*)$')
  local back = {}
  for each in string.gmatch(rest, '[^\1]+') do
    back[#back + 1] = each
  end
  for i = #back, 1, -1 do
    if kind == 'p' then
      redis.call('RPUSH', places, back[i])
    else
      redis.call('LPUSH', items, back[i])
    end
  end
  redis.call('HDEL', claims, token)
end

-- Go on with a claim, without the first of its paths if it is the one named.
local function renew(claims, token, claim, lease, path)
  local kind, rest = string.match(claim, '^[^\1]+\1(.)\1?(.*)$')
  if path ~= '' and string.sub(rest .. '\1', 1, #path + 1) == path .. '\1' then
    rest = string.sub(rest, #path + 2)
  end
  if rest == '' then
    redis.call('HDEL', claims, token)
  else
    redis.call('HSET', claims, token, server_time() + lease .. '\1' .. kind .. '\1' .. rest)
  end
end
