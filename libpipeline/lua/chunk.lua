#!lua
-- chunk: one piece of a large body. It expires by itself unless settle commits it.
-- Refused when Redis is full: what is fetched must not push out what waits.
--
-- ARGV: token, number, ttl ms, bytes
call('SET', chunk_key(ARGV[1], ARGV[2]), ARGV[4], 'PX', ARGV[3])
return 1
