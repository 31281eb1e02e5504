#!lua
-- chunk: one piece of a large body. It goes with its fetch unless settle commits it, and expires by
-- itself. Refused when Redis is full, or bodies in it are: what is fetched must not push out what waits.
--
-- ARGV: worker, token, number, ttl ms, most bytes of bodies (0: any), bytes
local worker, token, number, most, bytes = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5]), ARGV[6]
if not is_member('f', worker) then return redis.error_reply('STALE the worker is none of ours') end
if most > 0 and bodies() + #bytes > most then return redis.error_reply('OOM bodies have used up their share') end
call('SET', chunk_key(token, number), bytes, 'PX', ARGV[4])
call('HSET', loose_key(worker), token .. ':' .. number, #bytes)
count('loose', #bytes)
return 1
