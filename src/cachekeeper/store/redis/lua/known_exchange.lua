-- What is known of files in a folder, unless somebody else knows better by now: whoever compares a
-- list with it must not undo what was told meanwhile.
--
-- KEYS  known versions of the folder
-- ARGV  name, what it was ('' for not known, '*' for whatever), what it is ('' for not known) ...
for n = 1, #ARGV, 3 do
  local name, before, now = ARGV[n], ARGV[n + 1], ARGV[n + 2]
  if before == '*' or (redis.call('HGET', KEYS[1], name) or '') == before then
    if now == '' then
      redis.call('HDEL', KEYS[1], name)
    else
      redis.call('HSET', KEYS[1], name, now)
    end
  end
end
return 1
