#!lua flags=allow-oom
-- limits: what the operator's file says of named hosts, all of it anew.
--
-- ARGV: per line: lane, "concurrency rate" ("-" for the default)
call('DEL', T .. 'limits')
for i = 1, #ARGV, 2 do call('HSET', T .. 'limits', ARGV[i], ARGV[i + 1]) end
return 'OK'
