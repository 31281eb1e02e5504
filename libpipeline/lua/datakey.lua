#!lua flags=allow-oom
-- datakey: the key that signs every dataUrl. What stands in Redis wins over what is offered.
--
-- ARGV: a key to begin with
-- Returns the key.
local key = T .. 'datakey'
call('SET', key, ARGV[1], 'NX')
return call('GET', key)
