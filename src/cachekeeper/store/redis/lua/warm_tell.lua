-- One path of a claim is done, or failed; or only a sign of life. What somebody else has claimed since
-- then is counted by him.
--
-- KEYS  job, claims
-- ARGV  token, lease (s), path ('' for a sign of life), bytes, why it failed or '', '1' if it was held
-- returns the job's state, '' when the claim has passed
local claim = redis.call('HGET', KEYS[2], ARGV[1])
if not claim then
  return ''
end
renew(KEYS[2], ARGV[1], claim, ARGV[2], ARGV[3])
if ARGV[3] ~= '' then
  if ARGV[5] ~= '' then
    redis.call('HINCRBY', KEYS[1], 'failed:' .. ARGV[5], 1)
  else
    redis.call('HINCRBY', KEYS[1], 'done', 1)
    redis.call('HINCRBY', KEYS[1], 'bytes', ARGV[4])
    redis.call('HINCRBY', KEYS[1], 'held', ARGV[6])
  end
  redis.call('HSET', KEYS[1], 'last', server_time())
end
return redis.call('HGET', KEYS[1], 'state') or ''
