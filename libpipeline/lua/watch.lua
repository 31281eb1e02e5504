#!lua flags=allow-oom
-- watch: somebody follows a request; news of it is told for so long.
--
-- ARGV: id, seconds
local key, now = T .. 'watched', math.floor(now_ms() / 1000)
call('ZREMRANGEBYSCORE', key, '-inf', now)
call('ZADD', key, now + ARGV[2], ARGV[1])
call('EXPIRE', key, ARGV[2])
return 'OK'
