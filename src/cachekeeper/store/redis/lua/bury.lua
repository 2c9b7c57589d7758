-- Keep a dead letter.
--
-- KEYS  order, letters and figures of the dead letters
-- ARGV  letter, now (s), letters kept, bytes kept
-- returns its id
return bury({order = KEYS[1], letters = KEYS[2], figures = KEYS[3]}, ARGV[1], ARGV[2], ARGV[3], ARGV[4])
