#!lua flags=allow-oom
-- chunk: one piece of a large body. It expires by itself unless settle commits it.
--
-- ARGV: id, token, number, ttl ms, bytes
call('SET', T .. 'd:' .. ARGV[1] .. ':' .. ARGV[2] .. ':' .. ARGV[3], ARGV[5], 'PX', ARGV[4])
return 1
