#!lua
-- chunk: one piece of a large body. It goes with its fetch unless settle commits it, and expires by
-- itself. Refused when Redis is full: what is fetched must not push out what waits.
--
-- ARGV: worker, token, number, ttl ms, bytes
local worker, token, number, bytes = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
if not is_member('f', worker) then return redis.error_reply('STALE the worker is none of ours') end
call('SET', chunk_key(token, number), bytes, 'PX', ARGV[4])
call('HSET', loose_key(worker), token .. ':' .. number, #bytes)
count('loose', #bytes)
return 1
